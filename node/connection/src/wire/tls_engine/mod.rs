//! TLS of one connection, without IO and without buffers of its own: idle, it holds its keys and
//! nothing else.

use std::sync::Arc;

use rookery_session::event::TlsFacts;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ProtocolVersion};

use super::witness::Witness;
use crate::tls::TlsGeneration;

/// Bytes of unfinished records that are kept for a connection: one record of the largest size (RFC
/// 8446 5.2), or as much of a handshake. A handshake message that does not fit is no browser's and
/// no client's.
pub(crate) const TLS_PENDING_BYTES_MAX: usize = 18 * 1024;

/// The server's end of one TLS connection.
pub(crate) struct TlsEngine {
    connection: UnbufferedServerConnection,
    /// The certificates that the handshake chose from.
    generation: Arc<TlsGeneration>,
    witness: Arc<Witness>,
    /// What was read of an unfinished record.
    pending: Vec<u8>,
    secured: bool,
    /// The client ended TLS.
    ended: bool,
    /// The client broke TLS: neither reading nor writing is possible any more.
    broken: bool,
}

/// What came of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// The handshake ended with them.
    pub(crate) secured: bool,
    /// The client has ended TLS.
    pub(crate) ended: bool,
}

impl TlsEngine {
    /// An engine that waits for a ClientHello.
    ///
    /// # Errors
    /// rustls refuses the configuration, which [`TlsGeneration`] has tried.
    pub(crate) fn new(generation: Arc<TlsGeneration>, direct_tls: bool) -> Result<Self, Error> {
        let (witness, config) = Witness::of(&generation.server_config(direct_tls));
        Ok(Self {
            connection: UnbufferedServerConnection::new(config)?,
            generation,
            witness,
            pending: Vec::new(),
            secured: false,
            ended: false,
            broken: false,
        })
    }

    /// Moves what is pending to the front of a buffer that is to be read into; gives its length.
    pub(crate) fn restore(&mut self, raw: &mut [u8]) -> usize {
        let kept = self.pending.len();
        raw[..kept].copy_from_slice(&self.pending);
        self.pending = Vec::new();
        kept
    }

    /// Keeps bytes that [`restore`](Self::restore) gave, because no others came.
    pub(crate) fn keep(&mut self, raw: &[u8]) {
        self.pending = raw.to_vec();
    }

    /// Takes records from `incoming`: what they say is appended to `plain`, what answers them to
    /// `sealed`. What is unfinished of a record is kept.
    ///
    /// # Errors
    /// The client breaks TLS; the alert is among `sealed`.
    pub(crate) fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) -> Result<Received, Error> {
        if self.broken {
            return Err(Error::HandshakeNotComplete);
        }
        match self.take_records(incoming, plain, sealed) {
            Ok(taken) => {
                // Nothing that follows the end is read any more.
                let left = if self.ended { &[] } else { &incoming[taken..] };
                self.pending = left.to_vec();
            }
            Err(error) => {
                // rustls panics when a connection fails twice, and when bytes that it has seen are gone.
                self.broken = true;
                return Err(error);
            }
        }
        // A server may write before the client's last flight, but must not believe anything before
        // it.
        let secured = !self.secured && !self.connection.is_handshaking();
        self.secured |= secured;
        Ok(Received {
            secured,
            ended: self.ended,
        })
    }

    /// Whether the client has ended TLS: nothing more comes from it.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Gives the number of bytes of `incoming` that are done with.
    fn take_records(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        sealed: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let mut at = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut incoming[at..]);
            let mut done = false;
            match state {
                Err(error) => {
                    self.alert(sealed);
                    return Err(error);
                }
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, sealed)?,
                // It is queued, so it counts as sent.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(
                    ConnectionState::WriteTraffic(_)
                    | ConnectionState::BlockedHandshake
                    | ConnectionState::Closed,
                ) => done = true,
                // Early data was not offered.
                Ok(_) => return Err(Error::General("unexpected state of TLS".to_owned())),
            }
            at += discard;
            if done {
                break;
            }
        }
        if !self.ended && incoming.len() - at > TLS_PENDING_BYTES_MAX {
            return Err(Error::General("too long a handshake".to_owned()));
        }
        Ok(at)
    }

    /// Appends what is to be sent as records.
    ///
    /// # Errors
    /// TLS is not there yet, or not any more.
    pub(crate) fn seal(&mut self, outgoing: &[u8], sealed: &mut Vec<u8>) -> Result<(), Error> {
        self.write(
            sealed,
            |traffic, out| traffic.encrypt(outgoing, out),
            outgoing.len(),
        )
    }

    /// Appends the alert that ends TLS, if there is TLS to end.
    pub(crate) fn seal_end(&mut self, sealed: &mut Vec<u8>) {
        // Without it the client sees a cut, and nothing else can be done about that.
        let _ = self.write(sealed, |traffic, out| traffic.queue_close_notify(out), 0);
    }

    /// What the connection gives to authentication.
    pub(crate) fn facts(&self) -> TlsFacts {
        let server_name = self.witness.server_name().map(str::to_owned);
        let tls13 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        TlsFacts {
            tls13,
            exporter: self.witness.channel_binding().filter(|_| tls13),
            server_end_point: self.generation.end_point_hash(server_name.as_deref()),
            server_name,
        }
    }

    fn write(
        &mut self,
        sealed: &mut Vec<u8>,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
        plain_bytes: usize,
    ) -> Result<(), Error> {
        if self.broken {
            return Err(Error::HandshakeNotComplete);
        }
        // What is pending goes along, for the connection may remember that it has seen some of it.
        let UnbufferedStatus { state, .. } = self.connection.process_tls_records(&mut self.pending);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(Error::HandshakeNotComplete);
        };
        let records = plain_bytes / RECORD_PLAIN_BYTES_MAX + 1;
        let start = sealed.len();
        sealed.resize(start + plain_bytes + records * RECORD_OVERHEAD_BYTES_MAX, 0);
        let mut written = write(&mut traffic, &mut sealed[start..]);
        if let Err(EncryptError::InsufficientSize(needed)) = &written {
            sealed.resize(start + needed.required_size, 0);
            written = write(&mut traffic, &mut sealed[start..]);
        }
        sealed.truncate(start + *written.as_ref().unwrap_or(&0));
        written
            .map(drop)
            .map_err(|error| Error::General(error.to_string()))
    }

    /// Appends the alert about what the client broke. That is the last that rustls may be asked.
    fn alert(&mut self, sealed: &mut Vec<u8>) {
        while self.connection.wants_write() {
            let state = self.connection.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else {
                break;
            };
            if encode(&mut data, sealed).is_err() {
                break;
            }
        }
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, sealed: &mut Vec<u8>) -> Result<(), Error> {
    let start = sealed.len();
    let mut size = HANDSHAKE_RECORD_BYTES;
    loop {
        sealed.resize(start + size, 0);
        match data.encode(&mut sealed[start..]) {
            Ok(written) => {
                sealed.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) => size = needed.required_size,
            Err(error) => {
                sealed.truncate(start);
                return Err(Error::General(error.to_string()));
            }
        }
    }
}

/// Plaintext in one record (RFC 8446 5.1).
const RECORD_PLAIN_BYTES_MAX: usize = 16 * 1024;

/// Header, nonce, type and tag of one record under any suite that is offered; a key update may come
/// before it.
const RECORD_OVERHEAD_BYTES_MAX: usize = 64;

/// Room for a usual flight; a long certificate chain needs more and asks for it.
const HANDSHAKE_RECORD_BYTES: usize = 2 * 1024;

#[cfg(test)]
mod tests;
