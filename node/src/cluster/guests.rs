//! How many connections of the internal port stand open, and for how long those of strangers do.
//!
//! A stranger has no certificate: somebody who joins, and is done within a second, or an enemy. Strangers have few
//! places and are sent away in time whatever they do. A node has places of its own, so that one that is broken into
//! takes none from another.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rookery_control::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// The open connections, by who has them; `None` for strangers.
#[derive(Clone, Default)]
pub(super) struct Guests(Arc<Mutex<BTreeMap<Option<NodeId>, usize>>>);

/// A place, until it is dropped.
pub(super) struct Place {
    guests: Guests,
    who: Option<NodeId>,
}

/// A connection that has a place.
pub(super) struct Seated<S> {
    stream: S,
    /// When a stranger must go.
    until: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl Guests {
    /// A place for one more connection; none if as many stand open as may.
    pub(super) fn place(&self, who: Option<NodeId>) -> Option<Place> {
        let max = match who {
            None => STRANGERS_MAX,
            Some(_) => CONNECTIONS_OF_NODE_MAX,
        };
        let mut open = self.open();
        let count = open.entry(who).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        let guests = self.clone();
        Some(Place { guests, who })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Option<NodeId>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection that takes it.
    pub(super) fn seat<S>(self, stream: S) -> Seated<S> {
        let is_stranger = self.who.is_none();
        Seated {
            stream,
            until: is_stranger.then(|| Box::pin(tokio::time::sleep(STRANGER_MAX))),
            _place: self,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.guests.open();
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seated<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(until) = &mut self.until
            && until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seated<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Connected> Connected for Seated<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

/// Connections of strangers at once: an operator lets one machine in after the other.
const STRANGERS_MAX: usize = 64;

/// How long a stranger may stay: a join is a few calls.
const STRANGER_MAX: Duration = Duration::from_secs(20);

/// Connections of one node at once: it has four, and some that it has given up are noticed only after a while.
const CONNECTIONS_OF_NODE_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn strangers_have_few_places_and_take_none_from_nodes() {
        let guests = Guests::default();
        let mut strangers: Vec<_> = (0..STRANGERS_MAX)
            .map(|_| guests.place(None).expect("a place"))
            .collect();
        assert!(guests.place(None).is_none());
        let (one, two) = (NodeId::FIRST, NodeId::new(2).unwrap());
        let of_one: Vec<_> = (0..CONNECTIONS_OF_NODE_MAX)
            .map(|_| guests.place(Some(one)).expect("a place"))
            .collect();
        assert!(guests.place(Some(one)).is_none());
        assert!(guests.place(Some(two)).is_some());
        strangers.pop();
        assert!(guests.place(None).is_some());
        drop((strangers, of_one));
        assert!(guests.open().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_is_sent_away_in_time_and_a_node_is_not() {
        let guests = Guests::default();
        let (near, _far) = tokio::io::duplex(64);
        let mut stranger = guests.place(None).unwrap().seat(near);
        let error = stranger.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let (near, _far) = tokio::io::duplex(64);
        let mut node = guests.place(Some(NodeId::FIRST)).unwrap().seat(near);
        let read = tokio::time::timeout(STRANGER_MAX * 10, node.read_u8());
        assert!(read.await.is_err(), "it waits");
    }
}
