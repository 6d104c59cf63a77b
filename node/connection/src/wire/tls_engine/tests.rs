//! The engine against a buffered rustls client.

use std::future::poll_fn;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

mod random;

use super::*;
use crate::scratch::Scratch;
use crate::tls::{CertificateFiles, TlsHosts, TlsOptions};
use crate::wire::{Read, Wire};

/// Certificates of a host, and the roots that trust them.
fn generation(host: &str) -> (Arc<TlsGeneration>, RootCertStore) {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).expect("a certificate");
    let dir = tempfile::tempdir().expect("a folder");
    let files = CertificateFiles {
        host: host.to_owned(),
        chain: dir.path().join("chain.pem"),
        key: dir.path().join("key.pem"),
    };
    std::fs::write(&files.chain, made.cert.pem()).expect("room on disk");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("room on disk");
    let options = TlsOptions {
        certificates: vec![files],
        ..TlsOptions::default()
    };
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    (
        TlsHosts::load(&options).expect("good files").current(),
        roots,
    )
}

/// A client and the engine, with the wire between them.
struct Pair {
    client: ClientConnection,
    engine: TlsEngine,
    plain: Vec<u8>,
    sealed: Vec<u8>,
    secured: bool,
    /// What the client read.
    got: Vec<u8>,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let (generation, roots) = generation("localhost");
        let client = client(version, roots, None);
        let engine = TlsEngine::new(generation, false).expect("a good configuration");
        Self {
            client,
            engine,
            plain: vec![],
            sealed: vec![],
            secured: false,
            got: vec![],
        }
    }

    fn secured(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        while pair.client.is_handshaking() || !pair.secured {
            pair.exchange(usize::MAX);
        }
        pair
    }

    /// Carries what the client has to the engine, in pieces, and the answers back.
    fn exchange(&mut self, piece: usize) {
        let mut wire = vec![];
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).expect("memory takes all");
        }
        for piece in wire.chunks(piece.min(wire.len().max(1))) {
            self.give(piece).expect("TLS");
        }
        let mut answer = &std::mem::take(&mut self.sealed)[..];
        while !answer.is_empty() {
            self.client.read_tls(&mut answer).expect("memory gives all");
            self.client.process_new_packets().expect("TLS");
            let mut got = [0; 20_000];
            while let Ok(n @ 1..) = self.client.reader().read(&mut got) {
                self.got.extend_from_slice(&got[..n]);
            }
        }
    }

    fn give(&mut self, bytes: &[u8]) -> Result<Received, Error> {
        let mut raw = vec![0; TLS_PENDING_BYTES_MAX + bytes.len()];
        let kept = self.engine.restore(&mut raw);
        raw[kept..kept + bytes.len()].copy_from_slice(bytes);
        let incoming = &mut raw[..kept + bytes.len()];
        let received = self
            .engine
            .receive(incoming, &mut self.plain, &mut self.sealed)?;
        self.secured |= received.secured;
        Ok(received)
    }
}

/// A client that puts at most so much of its words into one record.
fn client(
    version: &'static SupportedProtocolVersion,
    roots: RootCertStore,
    fragment: Option<usize>,
) -> ClientConnection {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a known version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.max_fragment_size = fragment;
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a good configuration")
}

#[test]
fn both_sides_export_the_same_binding_under_tls_1_3() {
    let pair = Pair::secured(&rustls::version::TLS13);
    let mut theirs = [0; 32];
    let label = b"EXPORTER-Channel-Binding";
    pair.client
        .export_keying_material(&mut theirs, label, None)
        .expect("a handshake that is over");
    let facts = pair.engine.facts();
    assert_eq!(facts.exporter, Some(theirs));
    assert!(facts.tls13);
    assert_eq!(facts.server_name.as_deref(), Some("localhost"));
    assert!(facts.server_end_point.is_some_and(|hash| hash.len() >= 32));
}

#[test]
fn tls_1_2_has_no_exporter_binding() {
    let facts = Pair::secured(&rustls::version::TLS12).engine.facts();
    assert_eq!((facts.tls13, facts.exporter), (false, None));
    assert!(facts.server_end_point.is_some());
}

#[test]
fn what_comes_byte_by_byte_is_the_same() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    while pair.client.is_handshaking() || !pair.secured {
        pair.exchange(1);
    }
    pair.client
        .writer()
        .write_all(b"<presence/>")
        .expect("room");
    pair.exchange(1);
    assert_eq!(pair.plain, b"<presence/>");
}

#[test]
fn bytes_that_come_with_the_last_flight_are_not_lost() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    pair.exchange(usize::MAX);
    assert!(!pair.client.is_handshaking() && !pair.secured);
    pair.client
        .writer()
        .write_all(b"<stream:stream>")
        .expect("room");
    pair.exchange(usize::MAX);
    assert!(pair.secured);
    assert_eq!(pair.plain, b"<stream:stream>");
}

#[test]
fn large_writes_arrive_whole() {
    let mut pair = Pair::secured(&rustls::version::TLS13);
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    pair.engine.seal(&sent, &mut pair.sealed).expect("TLS");
    pair.exchange(usize::MAX);
    assert!(pair.got == sent);
}

#[test]
fn an_end_is_told_from_a_cut() {
    let mut pair = Pair::secured(&rustls::version::TLS13);
    pair.engine.seal_end(&mut pair.sealed);
    pair.exchange(usize::MAX);
    assert_eq!(
        pair.client.reader().read(&mut [0; 8]).expect("a clean end"),
        0
    );
    pair.client.send_close_notify();
    let mut wire = vec![];
    pair.client.write_tls(&mut wire).expect("memory takes all");
    assert!(pair.give(&wire).expect("TLS").ended);
}

#[tokio::test]
async fn an_end_that_comes_with_the_last_words_ends_the_reading() {
    let Pair {
        mut client, engine, ..
    } = Pair::secured(&rustls::version::TLS13);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut theirs = TcpStream::connect(address).await.expect("a connection");
    let (ours, _) = listener.accept().await.expect("a connection");
    let mut wire = Wire::new(ours);
    wire.start_tls(engine);
    client.writer().write_all(b"<presence/>").expect("room");
    client.send_close_notify();
    let mut sealed = vec![];
    while client.wants_write() {
        client.write_tls(&mut sealed).expect("memory takes all");
    }
    theirs.write_all(&sealed).await.expect("an open socket");
    let mut scratch = Scratch::take();
    let words = poll_fn(|cx| wire.poll_read(cx, &mut scratch, usize::MAX)).await;
    assert!(matches!(words, Ok(Read::Some { .. })), "{words:?}");
    assert_eq!(scratch.plain, b"<presence/>");
    // The client waits for our end: the socket says nothing more.
    let end = poll_fn(|cx| wire.poll_read(cx, &mut scratch, usize::MAX));
    let end = tokio::time::timeout(Duration::from_secs(10), end).await;
    assert!(matches!(end, Ok(Ok(Read::End))), "{end:?}");
}

#[test]
fn what_is_no_tls_is_answered_with_an_alert() {
    let mut pair = Pair::new(&rustls::version::TLS13);
    assert!(pair.give(b"GET / HTTP/1.1\r\n\r\n").is_err());
    assert!(pair.give(b"again").is_err() && pair.engine.seal(b"x", &mut vec![]).is_err());
    assert_eq!(
        pair.sealed.first(),
        Some(&21),
        "an alert record: {:?}",
        pair.sealed
    );
}

#[test]
fn an_endless_handshake_is_bounded() {
    // Records of a ClientHello that claims what nobody takes, and of one that claims what TLS does.
    for claimed in [[0xff, 0xff, 0xff], [0, 0xff, 0xf0]] {
        let mut pair = Pair::new(&rustls::version::TLS13);
        let mut hello = [&[22, 3, 1, 0x40, 0, 1], &claimed[..]].concat();
        hello.resize(5 + 0x4000, 0);
        let failed = (0..8).any(|_| pair.give(&hello).is_err());
        assert!(failed && pair.engine.pending.is_empty());
        // The mover says goodbye to everybody.
        let sealed = pair.sealed.len();
        pair.engine.seal_end(&mut pair.sealed);
        assert_eq!(pair.sealed.len(), sealed);
        assert!(pair.give(b"more").is_err());
    }
}

#[test]
fn a_key_update_in_pieces_does_not_disturb_writing() {
    let mut pair = Pair::secured(&rustls::version::TLS13);
    pair.client.refresh_traffic_keys().expect("TLS 1.3 has it");
    pair.client.writer().write_all(b"<a/>").expect("room");
    let mut wire = vec![];
    while pair.client.wants_write() {
        pair.client.write_tls(&mut wire).expect("memory takes all");
    }
    for byte in wire {
        pair.give(&[byte]).expect("TLS");
        pair.engine.seal(b"x", &mut pair.sealed).expect("TLS");
    }
    assert_eq!(pair.plain, b"<a/>");
}
