use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    CertificateParams, KeyPair, OtherNameValue, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SanType, SignatureAlgorithm, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest, Sha256, Sha384};

use super::*;

/// A folder that goes with the test.
struct Nest(PathBuf);

impl Nest {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rookery-tls-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a certificate of its own for the names.
    fn write(&self, host: &str, algorithm: &'static SignatureAlgorithm) -> CertificateFiles {
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        self.write_params(host, params, algorithm)
    }

    fn write_params(
        &self,
        host: &str,
        params: CertificateParams,
        algorithm: &'static SignatureAlgorithm,
    ) -> CertificateFiles {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let files = CertificateFiles {
            host: host.to_owned(),
            chain: self.0.join(format!("{host}.pem")),
            key: self.0.join(format!("{host}.key")),
        };
        fs::write(&files.chain, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

impl Drop for Nest {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(certificates: Vec<CertificateFiles>) -> TlsOptions {
    TlsOptions {
        certificates,
        ..TlsOptions::default()
    }
}

fn der(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// Accepts every certificate: the tests look at which one came.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A whole handshake in memory: what the client and the server then know.
fn handshake(
    tls: &TlsHosts,
    direct_tls: bool,
    name: &'static str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name)?;
    let mut server = ServerConnection::new(tls.current().server_config(direct_tls))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

fn shown(tls: &TlsHosts, name: &'static str) -> CertificateDer<'static> {
    let (client, _) = handshake(tls, false, name, rustls::ALL_VERSIONS).unwrap();
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn the_certificate_is_chosen_by_sni_and_falls_to_the_first() {
    let nest = Nest::new("sni");
    let first = nest.write("first.example", &PKCS_ECDSA_P256_SHA256);
    let other = nest.write("other.example", &PKCS_ECDSA_P256_SHA256);
    let tls = TlsHosts::load(&options(vec![first.clone(), other.clone()])).unwrap();
    assert_eq!(shown(&tls, "other.example"), der(&other.chain));
    assert_eq!(shown(&tls, "OTHER.Example"), der(&other.chain));
    assert_eq!(shown(&tls, "first.example"), der(&first.chain));
    assert_eq!(shown(&tls, "unknown.example"), der(&first.chain));
    // Addresses are never sent as SNI.
    assert_eq!(shown(&tls, "192.0.2.1"), der(&first.chain));
}

#[test]
fn a_host_with_other_letters_is_found_by_its_ascii_name() {
    let nest = Nest::new("idn");
    let first = nest.write("first.example", &PKCS_ECDSA_P256_SHA256);
    let mut other = nest.write("xn--bcher-kva.example", &PKCS_ECDSA_P256_SHA256);
    other.host = "Bücher.example".to_owned();
    let tls = TlsHosts::load(&options(vec![first, other.clone()])).unwrap();
    assert_eq!(shown(&tls, "xn--bcher-kva.example"), der(&other.chain));
    assert!(other.facts().unwrap().is_for("bücher.example"));
}

#[test]
fn alpn_is_for_direct_tls_only_and_nothing_is_resumed() {
    let nest = Nest::new("alpn");
    let tls = TlsHosts::load(&options(vec![nest.write("a.example", &PKCS_ED25519)])).unwrap();
    let (client, server) = handshake(&tls, true, "a.example", &[&rustls::version::TLS13]).unwrap();
    assert_eq!(client.alpn_protocol(), Some(&b"xmpp-client"[..]));
    assert_eq!(client.tls13_tickets_received(), 0);
    assert_eq!(server.server_name(), Some("a.example"));
    let (client, _) = handshake(&tls, false, "a.example", &[&rustls::version::TLS13]).unwrap();
    assert_eq!(client.alpn_protocol(), None);
}

#[test]
fn tls_1_2_can_be_turned_off() {
    let nest = Nest::new("tls12");
    let mut options = options(vec![nest.write("a.example", &PKCS_ECDSA_P256_SHA256)]);
    let old = || [&rustls::version::TLS12];
    let tls = TlsHosts::load(&options).unwrap();
    let (client, _) = handshake(&tls, false, "a.example", &old()).unwrap();
    assert_eq!(
        client.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_2)
    );
    options.tls12 = false;
    tls.reload(&options).unwrap();
    assert!(handshake(&tls, false, "a.example", &old()).is_err());
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name() {
    let nest = Nest::new("mismatch");
    let mut files = nest.write("a.example", &PKCS_ECDSA_P256_SHA256);
    files.key = nest.write("b.example", &PKCS_ECDSA_P256_SHA256).key;
    let error = TlsHosts::load(&options(vec![files])).unwrap_err();
    assert!(matches!(error, TlsLoadError::KeyMismatch { .. }), "{error}");
    let told = error.to_string();
    assert!(
        told.contains("b.example.key") && told.contains("a.example.pem"),
        "{told}"
    );
}

#[test]
fn files_that_cannot_be_used_are_told_apart() {
    let nest = Nest::new("files");
    let good = nest.write("a.example", &PKCS_ECDSA_P256_SHA256);
    let load = |files: CertificateFiles| TlsHosts::load(&options(vec![files])).unwrap_err();
    let absent = load(CertificateFiles {
        chain: nest.0.join("none"),
        ..good.clone()
    });
    assert!(matches!(absent, TlsLoadError::Read { .. }), "{absent}");
    let swapped = load(CertificateFiles {
        chain: good.key.clone(),
        ..good.clone()
    });
    assert!(
        matches!(
            swapped,
            TlsLoadError::Missing {
                what: "certificate",
                ..
            }
        ),
        "{swapped}"
    );
    let swapped = load(CertificateFiles {
        key: good.chain.clone(),
        ..good.clone()
    });
    assert!(
        matches!(
            swapped,
            TlsLoadError::Missing {
                what: "private key",
                ..
            }
        ),
        "{swapped}"
    );
    let cut = nest.0.join("cut");
    fs::write(&cut, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    let cut = load(CertificateFiles {
        chain: cut,
        ..good.clone()
    });
    assert!(matches!(cut, TlsLoadError::Pem { .. }), "{cut}");
    let junk = nest.0.join("junk");
    fs::write(
        &junk,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let junk = load(CertificateFiles {
        chain: junk,
        ..good.clone()
    });
    assert!(matches!(junk, TlsLoadError::Certificate { .. }), "{junk}");
    let host = load(CertificateFiles {
        host: "a b".to_owned(),
        ..good.clone()
    });
    assert!(matches!(host, TlsLoadError::Host { .. }), "{host}");
    let upper = CertificateFiles {
        host: "A.Example".to_owned(),
        ..good.clone()
    };
    let twice = TlsHosts::load(&options(vec![good, upper])).unwrap_err();
    assert!(matches!(twice, TlsLoadError::HostTwice { .. }), "{twice}");
    let none = TlsHosts::load(&options(Vec::new())).unwrap_err();
    assert!(matches!(none, TlsLoadError::NoCertificate), "{none}");
}

#[test]
fn only_where_clients_come_there_must_be_a_certificate() {
    let nest = Nest::new("none");
    let some = options(vec![nest.write("a.example", &PKCS_ED25519)]);
    let none = options(Vec::new());
    let with_clients = TlsHosts::load(&some).unwrap();
    with_clients.check(&none).unwrap_err();
    with_clients.reload(&none).unwrap_err();
    let without = TlsHosts::load_without_clients(&none).unwrap();
    without.check(&none).unwrap();
    without.reload(&some).unwrap();
    without.reload(&none).unwrap();
    assert_eq!(without.current().end_point_hash(Some("a.example")), None);
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let nest = Nest::new("reload");
    let options = options(vec![
        nest.write("a.example", &PKCS_ECDSA_P256_SHA256),
        nest.write("b.example", &PKCS_ECDSA_P256_SHA256),
    ]);
    let tls = TlsHosts::load(&options).unwrap();
    let old = shown(&tls, "a.example");
    let began = tls.current();
    nest.write("a.example", &PKCS_ECDSA_P256_SHA256);
    fs::write(&options.certificates[1].key, "nothing").unwrap();
    tls.reload(&options).unwrap_err();
    assert_eq!(shown(&tls, "a.example"), old);
    nest.write("b.example", &PKCS_ECDSA_P256_SHA256);
    tls.reload(&options).unwrap();
    assert_eq!(
        shown(&tls, "a.example"),
        der(&options.certificates[0].chain)
    );
    let hash = Some(Sha256::digest(&old).to_vec());
    assert_eq!(
        began.end_point_hash(Some("a.example")),
        hash,
        "an old connection keeps its own"
    );
}

#[test]
fn the_end_point_hash_is_that_of_the_signature_of_the_certificate_shown() {
    let nest = Nest::new("hash");
    let small = nest.write("small.example", &PKCS_ECDSA_P256_SHA256);
    let large = nest.write("large.example", &PKCS_ECDSA_P384_SHA384);
    let none = nest.write("none.example", &PKCS_ED25519);
    let all = vec![small.clone(), large.clone(), none];
    let tls = TlsHosts::load(&options(all)).unwrap().current();
    let by_256 = Some(Sha256::digest(der(&small.chain)).to_vec());
    assert_eq!(tls.end_point_hash(Some("small.example")), by_256);
    assert_eq!(tls.end_point_hash(None), by_256);
    let by_384 = Some(Sha384::digest(der(&large.chain)).to_vec());
    assert_eq!(tls.end_point_hash(Some("Large.example")), by_384);
    assert_eq!(tls.end_point_hash(Some("none.example")), None);
}

#[test]
fn the_facts_are_those_of_the_certificate() {
    let nest = Nest::new("facts");
    let names = vec!["*.example.org".to_owned(), "example.org".to_owned()];
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2030, 1, 1);
    let address = (
        vec![1, 3, 6, 1, 5, 5, 7, 8, 5],
        OtherNameValue::Utf8String("im.test".into()),
    );
    params.subject_alt_names.push(SanType::OtherName(address));
    let facts = nest
        .write_params("a", params, &PKCS_ECDSA_P256_SHA256)
        .facts()
        .unwrap();
    assert_eq!(facts.not_before.as_millis(), 1_577_836_800_000);
    assert_eq!(facts.not_after.as_millis(), 1_893_456_000_000);
    assert_eq!((facts.dns_names.clone(), facts.chain_length), (names, 1));
    assert!(facts.self_signed);
    for host in ["example.org", "Chat.Example.ORG", "im.test"] {
        assert!(facts.is_for(host), "{host}");
    }
    for host in [
        "a.chat.example.org",
        "org",
        "example.com",
        "",
        "*.example.org",
        "x.im.test",
    ] {
        assert!(!facts.is_for(host), "{host}");
    }
}
