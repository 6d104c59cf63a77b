//! One connection: bytes out are queued and written in one piece, bytes in are framed.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::ClientError;
use super::framer::{Frame, Framer};

/// A socket or a TLS stream with a framer behind it.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    framer: Framer,
    out: Vec<u8>,
    written: usize,
    flushing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream; `framer` says whether a stream header is expected.
    pub(crate) fn new(stream: S, framer: Framer) -> Self {
        Self {
            stream,
            framer,
            out: Vec::new(),
            written: 0,
            flushing: false,
        }
    }

    /// Gives the stream back, for the TLS handshake.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    /// Expects a new stream header next.
    pub(crate) fn restart(&mut self) {
        self.framer.reset();
    }

    /// What is to be written: append, then call [`Self::poll_flush`] or [`Self::flush`].
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.flushing = true;
        &mut self.out
    }

    /// The next whole frame that has arrived.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, ClientError> {
        self.framer.next()
    }

    /// Writes what is queued; `Ready` when the system has all of it.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        while self.written < self.out.len() {
            let rest = &self.out[self.written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if count == 0 {
                return Poll::Ready(Err(ClientError::Closed));
            }
            self.written += count;
        }
        self.out.clear();
        self.written = 0;
        if self.out.capacity() > OUT_KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        if self.flushing {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.flushing = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once; `Ready` when bytes came. The end of the stream is [`ClientError::Closed`].
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Err(ClientError::Closed));
            }
            self.framer.push(read.filled());
            Poll::Ready(Ok(()))
        })
    }

    /// Writes while it can, and waits until bytes came.
    pub(crate) async fn fill(&mut self) -> Result<(), ClientError> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            self.poll_fill(cx)
        })
        .await
    }

    /// Waits until all queued bytes are written.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends one request of the set-up.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.out().extend_from_slice(bytes);
        self.flush().await
    }

    /// The next element, copied; a stream header is skipped, a stream error is an error.
    pub(crate) async fn element(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            match self.next()? {
                Some(Frame::Open(_)) => {}
                Some(Frame::Stanza(stanza)) => return checked(stanza).map(<[u8]>::to_vec),
                Some(Frame::Close) => return Err(ClientError::Closed),
                None => self.fill().await?,
            }
        }
    }
}

/// Turns a stream error into an error.
pub(crate) fn checked(stanza: &[u8]) -> Result<&[u8], ClientError> {
    if super::stanza::is(stanza, "stream:error") || super::stanza::is(stanza, "error") {
        return Err(ClientError::StreamError(super::stanza::condition(stanza)));
    }
    Ok(stanza)
}

thread_local! {
    /// Read buffer of all sessions of the process: an idle session owns none.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

const SCRATCH_BYTES: usize = 32 * 1024;
const OUT_KEPT_BYTES_MAX: usize = 16 * 1024;
