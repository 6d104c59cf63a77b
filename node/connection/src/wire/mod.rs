//! The socket of one connection: bytes in clear on one side, what goes over the wire on the other.
//!
//! ```text
//! read:  socket ─► Scratch::raw ─► TlsEngine ─► Scratch::plain
//! write: Scratch::outgoing ─► TlsEngine (one record) ─► one write ─► what the kernel does not take is kept
//! ```

mod tls_engine;
mod witness;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub(crate) use self::tls_engine::{TLS_PENDING_BYTES_MAX, TlsEngine};
use crate::scratch::{READ_BYTES_MAX, Scratch};

/// A socket, with TLS or without it yet.
pub(crate) struct Wire {
    socket: TcpStream,
    tls: Option<Box<TlsEngine>>,
    /// Sealed bytes that the kernel has not taken.
    unsent: Vec<u8>,
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes, or TLS's own business. `more` tells that the socket may hold more.
    Some {
        /// How many the socket gave.
        bytes: usize,
        /// Whether the buffer was filled.
        more: bool,
        /// Whether TLS was finished by this.
        secured: bool,
    },
    /// The end.
    End,
    /// What came cannot be TLS, or breaks it. The alert that tells so is among what is to be sent.
    Broken,
}

impl Wire {
    /// A connection in clear.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self {
            socket,
            tls: None,
            unsent: Vec::new(),
        }
    }

    /// From now on everything is TLS.
    pub(crate) fn start_tls(&mut self, engine: TlsEngine) {
        self.tls = Some(Box::new(engine));
    }

    /// The TLS connection, once it was begun.
    pub(crate) fn tls(&self) -> Option<&TlsEngine> {
        self.tls.as_deref()
    }

    /// Reads once, so much at most; what it says is appended to `scratch.plain`, what TLS answers to
    /// `scratch.sealed`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        bytes_max: usize,
    ) -> Poll<io::Result<Read>> {
        if self.tls.as_ref().is_some_and(|tls| tls.has_ended()) {
            return Poll::Ready(Ok(Read::End));
        }
        let kept = self
            .tls
            .as_mut()
            .map_or(0, |tls| tls.restore(&mut scratch.raw));
        let bytes_max = bytes_max.min(READ_BYTES_MAX);
        let mut buffer = ReadBuf::new(&mut scratch.raw[kept..kept + bytes_max]);
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut buffer);
        let read = buffer.filled().len();
        let incoming = &mut scratch.raw[..kept + read];
        if read == 0 {
            if let Some(tls) = &mut self.tls {
                tls.keep(incoming);
            }
            return polled.map_ok(|()| Read::End);
        }
        let more = read == bytes_max;
        let Some(tls) = &mut self.tls else {
            scratch.plain.extend_from_slice(incoming);
            return Poll::Ready(Ok(Read::Some {
                bytes: read,
                more,
                secured: false,
            }));
        };
        Poll::Ready(Ok(
            match tls.receive(incoming, &mut scratch.plain, &mut scratch.sealed) {
                Err(_) => Read::Broken,
                Ok(received) if received.ended && scratch.plain.is_empty() => Read::End,
                Ok(received) => Read::Some {
                    bytes: read,
                    more,
                    secured: received.secured,
                },
            },
        ))
    }

    /// Appends what is to be sent to `sealed`, as one record where it fits into one.
    ///
    /// # Errors
    /// TLS refuses to encrypt: the connection is of no use any more.
    pub(crate) fn seal(&mut self, outgoing: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.tls {
            None => sealed.extend_from_slice(outgoing),
            Some(tls) => tls.seal(outgoing, sealed).map_err(io::Error::other)?,
        }
        Ok(())
    }

    /// Appends the end of TLS (RFC 8446 6.1), so that the client can tell the end from a cut.
    pub(crate) fn seal_end(&mut self, sealed: &mut Vec<u8>) {
        if let Some(tls) = &mut self.tls {
            tls.seal_end(sealed);
        }
    }

    /// Writes what waits and what is sealed, in this order. Ready when nothing is left; what the
    /// kernel does not take is kept. Also gives the number of bytes written.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        sealed: &[u8],
    ) -> (usize, Poll<io::Result<()>>) {
        if self.unsent.is_empty() {
            let (written, polled) = self.poll_write_all(cx, sealed);
            if polled.is_pending() {
                self.unsent = sealed[written..].to_vec();
            }
            return (written, polled);
        }
        let mut unsent = std::mem::take(&mut self.unsent);
        unsent.extend_from_slice(sealed);
        let (written, polled) = self.poll_write_all(cx, &unsent);
        if polled.is_pending() {
            unsent.drain(..written);
            self.unsent = unsent;
        }
        (written, polled)
    }

    fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> (usize, Poll<io::Result<()>>) {
        let mut written = 0;
        while written < bytes.len() {
            match Pin::new(&mut self.socket).poll_write(cx, &bytes[written..]) {
                Poll::Ready(Ok(0)) => {
                    return (written, Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(n)) => written += n,
                Poll::Ready(Err(error)) => return (written, Poll::Ready(Err(error))),
                Poll::Pending => return (written, Poll::Pending),
            }
        }
        (written, Poll::Ready(Ok(())))
    }

    /// Sealed bytes that wait for the kernel.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.len()
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Reads and drops: a socket that is closed with unread bytes takes back what was just written.
    /// Ready at the end.
    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        for _ in 0..DISCARDS_A_TURN {
            let mut buffer = ReadBuf::new(&mut scratch.raw);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Reads that are dropped before the thread's other sessions have their turn.
const DISCARDS_A_TURN: usize = 4;
