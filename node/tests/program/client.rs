//! A client of a test: what it writes, byte for byte, over direct TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// The header that opens a stream.
pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream over TLS.
pub(crate) struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    /// A stream that is open, to a `rookery dev` whose folder this is and whose direct TLS port. None if nobody lets it
    /// in.
    pub(crate) fn connect(dir: &Path, port: u16) -> Option<Self> {
        Self::connect_from(dir, port, [127, 0, 0, 1])
    }

    /// The same from another loopback address.
    pub(crate) fn connect_from(dir: &Path, port: u16, from: [u8; 4]) -> Option<Self> {
        let socket = connect_from(port, from).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let name = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(Arc::new(trusting(dir)), name).expect("a connection");
        let mut client = Self(StreamOwned::new(tls, socket));
        client.0.write_all(HEADER.as_bytes()).ok()?;
        client.0.flush().ok()?;
        client
            .heard_or_closed("</stream:features>")
            .ends_with("</stream:features>")
            .then_some(client)
    }

    /// Writes this.
    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).expect("sent");
        self.0.flush().expect("sent");
    }

    /// What is read until this comes.
    pub(crate) fn heard(&mut self, until: &str) -> String {
        let text = self.heard_or_closed(until);
        assert!(text.ends_with(until), "{until} in {text}");
        text
    }

    /// What is read until this or the end comes.
    fn heard_or_closed(&mut self, until: &str) -> String {
        let (mut text, mut byte) = (String::new(), [0]);
        while !text.ends_with(until) && matches!(self.0.read(&mut byte), Ok(1..)) {
            text.push(char::from(byte[0]));
        }
        text
    }

    /// Tries to log in by PLAIN, and says what the server answers: `<success …` or `<failure …>…</failure>`.
    pub(crate) fn try_plain(&mut self, name: &str, password: &str) -> String {
        let message = STANDARD.encode(format!("\0{name}\0{password}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>"
        ));
        let answer = self.heard_or_closed("urn:ietf:params:xml:ns:xmpp-sasl");
        match answer.contains("<failure") {
            true => answer + &self.heard_or_closed("</failure>"),
            false => answer + &self.heard_or_closed(">"),
        }
    }

    /// Logs in and binds a resource.
    pub(crate) fn log_in(&mut self, name: &str, password: &str) {
        let answer = self.try_plain(name, password);
        assert!(answer.contains("<success"), "{answer}");
        self.send(HEADER);
        self.heard("</stream:features>");
        self.send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
        self.heard("</iq>");
    }
}

/// What an HTTPS port answers for a path to who sends these further headers, the head included.
pub(crate) fn https(dir: &Path, port: u16, path: &str, headers: &str) -> String {
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("an https port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut config = trusting(dir);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = "localhost".try_into().expect("a name");
    let tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = StreamOwned::new(tls, socket);
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    // Some end without a word.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("UTF-8")
}

/// A connection from that loopback address.
pub(crate) fn connect_from(port: u16, from: [u8; 4]) -> std::io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((from, 0)))?;
    connect(&socket, &SocketAddr::from(([127, 0, 0, 1], port)))?;
    Ok(TcpStream::from(socket))
}

/// Trusts the authority of a `rookery dev`.
fn trusting(dir: &Path) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let authority = CertificateDer::from_pem_file(dir.join("tls/ca.pem"));
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.expect("a certificate"))
        .expect("an authority");
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = versions
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    config
}
