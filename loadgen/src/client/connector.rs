//! From an address to a bound session, or to a registered account.
//!
//! ```text
//! TCP ─► (<starttls/>) ─► TLS ─► stream ─► SASL ─► stream ─► bind
//!                          └──► stream ─► XEP-0077
//! ```

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::ClientError;
use super::framer::Framer;
use super::managed::{NS, h_of};
use super::networks::Networks;
use super::scram::{Hash, SaltedPasswords, Scram};
use super::session::{Resumable, STEP, Session, TlsWire};
use super::stanza::{self, condition, contains, escape};
use super::wire::Wire;

/// How the connection is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TlsMode {
    /// RFC 6120 5: `<starttls/>` on the usual port.
    Starttls,
    /// XEP-0368: TLS from the first byte.
    Direct,
}

/// How an account proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mechanism {
    /// RFC 7677.
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// RFC 5802.
    #[value(name = "scram-sha-1")]
    ScramSha1,
    /// RFC 4616.
    Plain,
}

impl Mechanism {
    fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::Plain => "PLAIN",
        }
    }
}

/// Which addresses of this machine clients connect from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// As the system chooses.
    Any,
    /// So many loopback addresses in turn, for more than 28,000 sockets to one loopback address.
    Loopback(u32),
    /// All hosts of an IPv4 /24 in turn.
    Prefix24([u8; 3]),
}

impl Sources {
    fn pick(self, ordinal: u32, target: SocketAddr) -> Option<IpAddr> {
        let [a, b, c, d] = match self {
            Self::Loopback(count) if target.is_ipv4() && target.ip().is_loopback() => {
                let [high, low] = u16::try_from(2 + ordinal % count)
                    .unwrap_or(2)
                    .to_be_bytes();
                [127, 1, high, low]
            }
            Self::Prefix24([a, b, c]) if target.is_ipv4() => [a, b, c, (1 + ordinal % 254) as u8],
            _ => return None,
        };
        Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    }
}

/// What became of somebody who connected and went no further.
pub(crate) enum Knocked {
    /// The server closed the connection without a word.
    Refused,
    /// The server answered; the connection stands.
    Admitted(TcpStream),
}

/// What all clients of a process share.
pub(crate) struct Connector {
    /// The addresses of the server's nodes; session n goes to target n modulo their number.
    pub(crate) targets: Vec<SocketAddr>,
    /// The virtual host.
    pub(crate) domain: String,
    /// STARTTLS or direct.
    pub(crate) mode: TlsMode,
    /// How to log in.
    pub(crate) mechanism: Mechanism,
    /// Account n is `prefix` followed by n.
    pub(crate) prefix: String,
    /// The password of every account.
    pub(crate) password: String,
    /// Where to connect from.
    pub(crate) sources: Sources,
    /// Where to say, in a PROXY header, that they come from.
    pub(crate) networks: Option<Networks>,
    /// TLS.
    pub(crate) tls: TlsConnector,
    /// Results of PBKDF2.
    pub(crate) salted: SaltedPasswords,
}

impl Connector {
    /// The local part of account `account`.
    pub(crate) fn user(&self, account: u32) -> String {
        format!("{}{account}", self.prefix)
    }

    /// The bare JID of account `account`, escaped for an attribute.
    pub(crate) fn bare_jid(&self, account: u32) -> String {
        escape(&format!("{}@{}", self.user(account), self.domain))
    }

    /// The place of one of a pair of accounts among the targets: partners are on one target or on two, and every two
    /// targets have pairs between them, both ways.
    pub(crate) fn place_in_pair(&self, account: u32) -> u32 {
        let (pair, targets) = (account / 2, self.targets.len() as u32);
        match account % 2 {
            0 => pair,
            _ => pair + pair / targets,
        }
    }

    /// Which target session number `ordinal` uses.
    pub(crate) fn target_of(&self, ordinal: u32) -> usize {
        ordinal as usize % self.targets.len()
    }

    /// Logs in and binds `resource`.
    pub(crate) async fn login(
        &self,
        account: u32,
        ordinal: u32,
        resource: &str,
    ) -> Result<Session, ClientError> {
        timeout(STEP, Box::pin(self.login_steps(account, ordinal, resource)))
            .await
            .map_err(|_| ClientError::TimedOut("the login"))?
    }

    /// Logs in and goes on with this stream (XEP-0198 5). Gives how many stanzas the server has got on it as well.
    pub(crate) async fn resume(
        &self,
        account: u32,
        ordinal: u32,
        stream: &Resumable,
    ) -> Result<(Session, u32), ClientError> {
        timeout(STEP, Box::pin(self.resume_steps(account, ordinal, stream)))
            .await
            .map_err(|_| ClientError::TimedOut("the resumption"))?
    }

    /// Creates account `account`; `Ok(false)` when it existed already (`conflict`).
    pub(crate) async fn register(&self, account: u32, ordinal: u32) -> Result<bool, ClientError> {
        timeout(STEP, Box::pin(self.register_steps(account, ordinal)))
            .await
            .map_err(|_| ClientError::TimedOut("the registration"))?
    }

    /// A stream on which a stranger may ask for an account.
    pub(crate) async fn stranger(&self, ordinal: u32) -> Result<TlsWire, ClientError> {
        let secured = timeout(STEP, Box::pin(self.secured(ordinal))).await;
        let (wire, _) = secured.map_err(|_| ClientError::TimedOut("a stranger's stream"))??;
        Ok(wire)
    }

    /// Asks for an account with this local part; `Ok(false)` when it existed already (`conflict`).
    pub(crate) async fn ask_for(
        &self,
        wire: &mut TlsWire,
        user: &str,
    ) -> Result<bool, ClientError> {
        timeout(STEP, self.ask_for_steps(wire, user))
            .await
            .map_err(|_| ClientError::TimedOut("the registration"))?
    }

    /// Connects to a port with STARTTLS, begins a stream, and goes no further.
    pub(crate) async fn knock(&self, ordinal: u32) -> Result<Knocked, ClientError> {
        let mut tcp = match self.connect(ordinal).await {
            // The server's kernel has let it in and the server has not, before this side looked.
            Err(ClientError::Connect { reason, .. } | ClientError::Io(reason))
                if reason.kind() == ErrorKind::ConnectionReset =>
            {
                return Ok(Knocked::Refused);
            }
            connected => connected?,
        };
        // Whoever was refused hears of it here, or below.
        if tcp.write_all(self.header().as_bytes()).await.is_err() {
            return Ok(Knocked::Refused);
        }
        match tcp.read(&mut [0; 1]).await {
            Ok(1..) => Ok(Knocked::Admitted(tcp)),
            // Closed, or reset because the server has not read what was sent.
            Ok(0) | Err(_) => Ok(Knocked::Refused),
        }
    }

    /// Where client number `ordinal` comes from, for the server.
    pub(crate) fn source(&self, ordinal: u32) -> IpAddr {
        let target = self.targets[self.target_of(ordinal)];
        match self.networks {
            Some(networks) => networks.address(ordinal).into(),
            // To itself, a machine comes from where it goes to.
            None => self
                .sources
                .pick(ordinal, target)
                .unwrap_or_else(|| target.ip()),
        }
    }

    /// Only TCP and TLS, for a peer that speaks no XMPP (the bare relay).
    pub(crate) async fn bare(&self, ordinal: u32) -> Result<TlsWire, ClientError> {
        let tcp = self.connect(ordinal).await?;
        Ok(Wire::new(
            self.handshake(tcp).await?,
            Framer::inside_stream(),
        ))
    }

    async fn login_steps(
        &self,
        account: u32,
        ordinal: u32,
        resource: &str,
    ) -> Result<Session, ClientError> {
        let mut wire = self.authenticated(account, ordinal).await?;
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        );
        wire.send(bind.as_bytes()).await?;
        let answer = wire.element().await?;
        if stanza::has_type(&answer, "error") {
            return Err(ClientError::Refused {
                what: "bind",
                condition: condition(&answer),
            });
        }
        let jid = stanza::text_of(&answer, "jid")
            .ok_or_else(|| ClientError::unexpected("bind", &answer))?;
        Ok(Session {
            wire,
            jid: escape(&jid),
            account,
            target: self.target_of(ordinal),
            stream: None,
        })
    }

    async fn resume_steps(
        &self,
        account: u32,
        ordinal: u32,
        stream: &Resumable,
    ) -> Result<(Session, u32), ClientError> {
        let mut wire = self.authenticated(account, ordinal).await?;
        let previd = escape(&stream.id);
        let resume = format!(
            "<resume xmlns='{NS}' previd='{previd}' h='{}'/>",
            stream.came
        );
        wire.send(resume.as_bytes()).await?;
        let answer = wire.element().await?;
        let h = stanza::is(&answer, "resumed").then(|| h_of(&answer));
        let Some(h) = h.flatten() else {
            return Err(ClientError::Refused {
                what: "resume",
                condition: condition(&answer),
            });
        };
        let session = Session {
            wire,
            jid: stream.jid.clone(),
            account,
            target: self.target_of(ordinal),
            stream: Some(stream.clone()),
        };
        Ok((session, h))
    }

    /// A stream on which nothing but to bind, or to resume, is left to do.
    async fn authenticated(&self, account: u32, ordinal: u32) -> Result<TlsWire, ClientError> {
        let (mut wire, features) = self.secured(ordinal).await?;
        self.authenticate(&mut wire, account, &features).await?;
        self.open(&mut wire).await?;
        Ok(wire)
    }

    async fn register_steps(&self, account: u32, ordinal: u32) -> Result<bool, ClientError> {
        let (mut wire, _) = self.secured(ordinal).await?;
        self.ask_for_steps(&mut wire, &self.user(account)).await
    }

    async fn ask_for_steps(&self, wire: &mut TlsWire, user: &str) -> Result<bool, ClientError> {
        let request = format!(
            "<iq type='set' id='register'><query xmlns='jabber:iq:register'>\
             <username>{}</username><password>{}</password></query></iq>",
            escape(user),
            escape(&self.password)
        );
        wire.send(request.as_bytes()).await?;
        let answer = wire.element().await?;
        // Courtesy only: the account exists now, whatever becomes of this connection.
        let _ = wire.send(b"</stream:stream>").await;
        if stanza::has_type(&answer, "result") {
            Ok(true)
        } else if contains(&answer, "<conflict") {
            Ok(false)
        } else {
            Err(ClientError::Registration(condition(&answer)))
        }
    }

    /// A TLS stream whose features were read.
    async fn secured(&self, ordinal: u32) -> Result<(TlsWire, Vec<u8>), ClientError> {
        let mut tcp = self.connect(ordinal).await?;
        if self.mode == TlsMode::Starttls {
            let mut plain = Wire::new(tcp, Framer::default());
            plain.send(self.header().as_bytes()).await?;
            let features = plain.element().await?;
            if !contains(&features, "<starttls") {
                return Err(ClientError::NotOffered("STARTTLS"));
            }
            plain
                .send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .await?;
            let answer = plain.element().await?;
            if !stanza::is(&answer, "proceed") {
                return Err(ClientError::unexpected("starttls", &answer));
            }
            tcp = plain.into_stream();
        }
        let mut wire = Wire::new(self.handshake(tcp).await?, Framer::default());
        let features = self.open(&mut wire).await?;
        Ok((wire, features))
    }

    async fn connect(&self, ordinal: u32) -> Result<TcpStream, ClientError> {
        let target = self.targets[self.target_of(ordinal)];
        let failed = |reason| ClientError::Connect {
            target: target.to_string(),
            reason,
        };
        let socket = if target.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let socket = socket.map_err(failed)?;
        if let Some(source) = self.sources.pick(ordinal, target) {
            socket.bind(SocketAddr::new(source, 0)).map_err(failed)?;
        }
        let mut stream = socket.connect(target).await.map_err(failed)?;
        stream.set_nodelay(true)?;
        if let Some(networks) = self.networks {
            let header = networks.header(ordinal, target);
            stream.write_all(header.as_bytes()).await?;
        }
        Ok(stream)
    }

    async fn handshake(
        &self,
        tcp: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClientError> {
        let name = ServerName::try_from(self.domain.clone())
            .map_err(|_| ClientError::NotOffered("TLS for a domain that is no DNS name"))?;
        self.tls.connect(name, tcp).await.map_err(ClientError::Tls)
    }

    /// Opens a stream and returns its features.
    async fn open(&self, wire: &mut TlsWire) -> Result<Vec<u8>, ClientError> {
        wire.restart();
        wire.send(self.header().as_bytes()).await?;
        let features = wire.element().await?;
        if contains(&features[..features.len().min(20)], "features") {
            Ok(features)
        } else {
            Err(ClientError::unexpected("stream header", &features))
        }
    }

    async fn authenticate(
        &self,
        wire: &mut TlsWire,
        account: u32,
        features: &[u8],
    ) -> Result<(), ClientError> {
        if !contains(features, &format!(">{}<", self.mechanism.name())) {
            return Err(ClientError::NotOffered(self.mechanism.name()));
        }
        let user = self.user(account);
        match self.mechanism {
            Mechanism::Plain => {
                let secret = STANDARD.encode(format!("\0{user}\0{}", self.password));
                wire.send(auth("PLAIN", &secret).as_bytes()).await?;
                succeeded(&user, wire.element().await?).map(drop)
            }
            Mechanism::ScramSha1 => self.scram(wire, &user, Hash::Sha1).await,
            Mechanism::ScramSha256 => self.scram(wire, &user, Hash::Sha256).await,
        }
    }

    async fn scram(&self, wire: &mut TlsWire, user: &str, hash: Hash) -> Result<(), ClientError> {
        let mut scram = Scram::new(hash, user, &self.password, nonce());
        wire.send(auth(self.mechanism.name(), &scram.first()).as_bytes())
            .await?;
        let challenge = wire.element().await?;
        if !stanza::is(&challenge, "challenge") {
            return succeeded(user, challenge).map(drop);
        }
        let answer = scram.answer(stanza::top_text(&challenge), &self.salted)?;
        wire.send(format!("<response xmlns='{SASL}'>{answer}</response>").as_bytes())
            .await?;
        let success = succeeded(user, wire.element().await?)?;
        scram.verify(stanza::top_text(&success))
    }

    fn header(&self) -> String {
        format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            escape(&self.domain)
        )
    }
}

fn auth(mechanism: &str, initial: &str) -> String {
    format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{initial}</auth>")
}

/// Passes `<success/>` on.
fn succeeded(user: &str, answer: Vec<u8>) -> Result<Vec<u8>, ClientError> {
    if stanza::is(&answer, "success") {
        return Ok(answer);
    }
    if stanza::is(&answer, "failure") {
        let condition = condition(&answer);
        return Err(ClientError::Login {
            user: user.to_owned(),
            condition,
        });
    }
    Err(ClientError::unexpected("SASL", &answer))
}

fn nonce() -> String {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).expect("the system has entropy");
    STANDARD.encode(bytes)
}

const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_from_where_they_are_told_to() {
        let target = SocketAddr::from(([127, 0, 0, 1], 5222));
        let pick =
            |sources: Sources, ordinal| sources.pick(ordinal, target).map(|it| it.to_string());
        assert_eq!(pick(Sources::Any, 7), None);
        assert_eq!(
            pick(Sources::Loopback(300), 299).as_deref(),
            Some("127.1.1.45")
        );
        let prefix = Sources::Prefix24([127, 0, 9]);
        assert_eq!(pick(prefix, 0).as_deref(), Some("127.0.9.1"));
        assert_eq!(pick(prefix, 253).as_deref(), Some("127.0.9.254"));
        assert_eq!(pick(prefix, 254).as_deref(), Some("127.0.9.1"));
    }
}
