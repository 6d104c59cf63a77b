//! A bound session: becoming available and leaving.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::error::ClientError;
use super::stanza;
use super::wire::Wire;

/// The wire of a session.
pub(crate) type TlsWire = Wire<TlsStream<TcpStream>>;

/// A client that is logged in and bound.
#[derive(Debug)]
pub(crate) struct Session {
    /// The connection.
    pub(crate) wire: TlsWire,
    /// The full JID that the server bound, escaped as it goes into an attribute.
    pub(crate) jid: String,
    /// The number of the account.
    pub(crate) account: u32,
    /// Index of the target it is connected to.
    pub(crate) target: usize,
    /// Its stream, if it can be resumed.
    pub(crate) stream: Option<Resumable>,
}

/// A stream that can be resumed (XEP-0198 5).
#[derive(Clone, Debug)]
pub(crate) struct Resumable {
    /// Its name.
    pub(crate) id: String,
    /// The full JID of its session.
    pub(crate) jid: String,
    /// How many stanzas have come on it.
    pub(crate) came: u32,
}

impl Session {
    /// Becomes available.
    pub(crate) async fn announce(&mut self) -> Result<(), ClientError> {
        self.wire.send(b"<presence/>").await
    }

    /// Has the stream be one that can be resumed (XEP-0198 3). What comes before the answer is passed over.
    pub(crate) async fn enable(&mut self) -> Result<(), ClientError> {
        let enable = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
        self.wire.send(enable).await?;
        let enabled = loop {
            let element = self.wire.element().await?;
            if stanza::is(&element, "enabled") {
                break element;
            }
            if stanza::is(&element, "failed") {
                return Err(ClientError::NotOffered("stream management"));
            }
        };
        let id = stanza::attribute(&enabled, "id").ok_or(ClientError::NotOffered("resumption"))?;
        self.stream = Some(Resumable {
            id: stanza::unescape(id),
            jid: self.jid.clone(),
            came: 0,
        });
        Ok(())
    }

    /// The closing handshake (RFC 6120 4.4): says goodbye and waits, bounded, for the server's.
    pub(crate) async fn close(mut self) -> Result<(), ClientError> {
        self.wire.send(b"</stream:stream>").await?;
        let goodbye = async {
            loop {
                match self.wire.element().await {
                    Ok(_) => {}
                    Err(ClientError::Closed) => return Ok(()),
                    // Many servers drop the connection without TLS's own goodbye.
                    Err(ClientError::Io(_)) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        timeout(STEP, goodbye)
            .await
            .map_err(|_| ClientError::TimedOut("the stream's end"))?
    }
}

/// The bound of one step of a set-up.
pub(crate) const STEP: Duration = Duration::from_secs(30);
