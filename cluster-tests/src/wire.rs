//! A bare XMPP stream: what a client may write, byte for byte, and what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::server::Server;
use crate::suite::now;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The header that opens a stream.
pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A stream over TCP or TLS, with everything that was received on it.
pub(crate) struct Wire {
    socket: Socket,
    received: Vec<u8>,
    ended: bool,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects without TLS.
    pub(crate) fn plain(server: &Server) -> Result<Self> {
        let socket = connect(("127.0.0.1", server.starttls_port()))?;
        Ok(Self {
            socket: Socket::Plain(socket),
            received: vec![],
            ended: false,
        })
    }

    /// Connects with direct TLS.
    pub(crate) fn tls(server: &Server) -> Result<Self> {
        let address = ([127, 0, 0, 1], server.direct_tls_port()).into();
        Self::tls_at(address, &server.certificate())
    }

    /// Connects with direct TLS to whoever listens there, and has a certificate of this authority.
    fn tls_at(address: SocketAddr, authority: &Path) -> Result<Self> {
        let socket = secure(authority, connect(address)?)?;
        Ok(Self {
            socket,
            received: vec![],
            ended: false,
        })
    }

    /// Connects to the direct TLS port, but speaks no TLS.
    pub(crate) fn plain_to_tls_port(server: &Server) -> Result<Self> {
        let socket = connect(("127.0.0.1", server.direct_tls_port()))?;
        Ok(Self {
            socket: Socket::Plain(socket),
            received: vec![],
            ended: false,
        })
    }

    /// Says that nothing more will be written.
    pub(crate) fn close_writing(&self) -> Result<()> {
        if let Socket::Plain(socket) = &self.socket {
            socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(())
    }

    /// Connects with direct TLS, logs in with PLAIN and binds; the full JID comes back.
    pub(crate) fn bound(server: &Server, name: &str, password: &str) -> Result<(Self, String)> {
        let mut wire = Self::authenticated(server, name, password)?;
        let jid = wire.bind()?;
        Ok((wire, jid))
    }

    /// Connects with direct TLS and logs in with PLAIN.
    pub(crate) fn authenticated(server: &Server, name: &str, password: &str) -> Result<Self> {
        Self::tls(server)?.log_in(name, password)
    }

    /// The same with a node of a cluster.
    pub(crate) fn authenticated_at(
        address: SocketAddr,
        authority: &Path,
        name: &str,
        password: &str,
    ) -> Result<Self> {
        Self::tls_at(address, authority)?.log_in(name, password)
    }

    fn log_in(self, name: &str, password: &str) -> Result<Self> {
        let mut wire = self;
        wire.send(HEADER)?;
        wire.read_until("</stream:features>")?;
        let token = STANDARD.encode(format!("\0{name}\0{password}"));
        wire.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
        ))?;
        wire.read_until("<success")?;
        wire.forget();
        wire.send(HEADER)?;
        wire.read_until("</stream:features>")?;
        wire.forget();
        Ok(wire)
    }

    /// Binds a resource; the full JID comes back.
    pub(crate) fn bind(&mut self) -> Result<String> {
        self.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")?;
        let answer = self.read_until("</iq>")?;
        let jid = between(&answer, "<jid>", "</jid>")
            .context("a bound JID")?
            .to_owned();
        self.forget();
        Ok(jid)
    }

    /// Writes text.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        self.send_bytes(text.as_bytes())
    }

    /// Writes bytes.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.socket {
            Socket::Plain(socket) => socket.write_all(bytes)?,
            Socket::Tls(stream) => {
                shake_hands(stream)?;
                stream.write_all(bytes)?;
                stream.flush()?;
            }
        }
        Ok(())
    }

    /// Reads until this text came; everything that was received comes back.
    pub(crate) fn read_until(&mut self, text: &str) -> Result<String> {
        let start = now();
        while !self.text().contains(text) {
            if self.ended {
                bail!("the stream ended without {text}: {}", self.text());
            }
            if start.elapsed() > DEADLINE {
                bail!("no {text} in {DEADLINE:?}: {}", self.text());
            }
            self.read_some()?;
        }
        Ok(self.text())
    }

    /// Reads until this text came once more than so many times.
    pub(crate) fn read_until_more(&mut self, text: &str, times: usize) -> Result<()> {
        let start = now();
        while self.text().matches(text).count() <= times {
            if self.ended || start.elapsed() > DEADLINE {
                bail!("{text} came {times} times: {}", self.text());
            }
            self.read_some()?;
        }
        Ok(())
    }

    /// Reads until the server closes the socket; everything that was received comes back.
    pub(crate) fn read_to_end(&mut self) -> Result<String> {
        let start = now();
        while !self.ended {
            if start.elapsed() > DEADLINE * 3 {
                bail!("the server keeps the socket open: {}", self.text());
            }
            self.read_some()?;
        }
        Ok(self.text())
    }

    /// Forgets what was received.
    pub(crate) fn forget(&mut self) {
        self.received.clear();
    }

    /// All that was received since the last [`forget`](Self::forget).
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    fn read_some(&mut self) -> Result<()> {
        let mut chunk = [0; 16_384];
        let read = match &mut self.socket {
            Socket::Plain(socket) => socket.read(&mut chunk),
            Socket::Tls(stream) => stream.read(&mut chunk),
        };
        match read {
            Ok(0) => self.ended = true,
            Ok(n) => self.received.extend_from_slice(&chunk[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // The server may reset a socket with unread bytes, and need not say goodbye in TLS to garbage.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe
                ) =>
            {
                self.ended = true;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Ends the handshake before the first byte is written, however long the server takes for its part.
fn shake_hands(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> Result<()> {
    let start = now();
    while stream.conn.is_handshaking() {
        match stream.conn.complete_io(&mut stream.sock) {
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
                    && start.elapsed() < DEADLINE => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The text between two others.
pub(crate) fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let start = text.find(from)? + from.len();
    let end = text[start..].find(to)? + start;
    Some(&text[start..end])
}

fn connect(address: impl ToSocketAddrs) -> Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(socket)
}

fn secure(authority: &Path, socket: TcpStream) -> Result<Socket> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?;
    Ok(Socket::Tls(Box::new(StreamOwned::new(connection, socket))))
}
