//! The certificate of a server for development: signed by an authority of its own, kept in the
//! folder.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// Where a certificate and its key lie.
pub(super) struct Files {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
}

/// The certificate for `localhost` in `dir`, made at the first call.
pub(super) fn for_localhost(dir: &Path) -> io::Result<Files> {
    let files = Files {
        chain: dir.join("localhost.pem"),
        key: dir.join("localhost.key"),
    };
    if files.chain.exists() && files.key.exists() {
        return Ok(files);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let made = make().map_err(io::Error::other)?;
    fs::write(dir.join("ca.pem"), &made.authority)?;
    write_private(&files.key, &made.key)?;
    fs::write(&files.chain, made.certificate + &made.authority)?;
    Ok(files)
}

struct Made {
    authority: String,
    certificate: String,
    key: String,
}

/// The authority's key is not kept: nothing else can ever be signed with it, so trusting it is
/// safe.
fn make() -> Result<Made, rcgen::Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name = named("Rookery development authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    set_validity(&mut authority);
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);

    // The addresses too, for clients that are told one compare it instead of the account's domain.
    let names = ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec();
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name = named("localhost");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    set_validity(&mut server);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?.pem();
    Ok(Made {
        authority: authority_pem,
        certificate,
        key: key.serialize_pem(),
    })
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// It works on machines whose clock is wrong, and never expires in the middle of somebody's work.
fn set_validity(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

/// Writes a file that only its owner can read, from its first byte on.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
