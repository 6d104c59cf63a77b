//! The certificate of a server for development: signed by an authority of its own, kept in the
//! folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use crate::operation::{make_folder, sync_folder_of, write_file};

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
    make_folder(dir)?;
    let made = make().map_err(io::Error::other)?;
    // The chain is there only beside what belongs to it, whenever the power is cut.
    if files.chain.exists() {
        fs::remove_file(&files.chain)?;
        sync_folder_of(&files.chain)?;
    }
    write_file(&dir.join("ca.pem"), 0o644, made.authority.as_bytes())?;
    write_private(&files.key, &made.key)?;
    let chain = made.certificate + &made.authority;
    write_file(&files.chain, 0o644, chain.as_bytes())?;
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

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    write_file(path, 0o600, text.as_bytes())
}
