//! One end of a link with its lock and its wake-ups: producers on any thread, one connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use metrics::counter;
use rookery_proto::carrier::Parcel;
use tokio::sync::watch;

use crate::machine::{Line, LineLimits, NotQueued, Polled};
use crate::wire::Frame;

/// A [`Line`] that many may push to. A push wakes the connection once, which takes all that is
/// queued by then.
pub(crate) struct Half<F> {
    line: Mutex<Line<F>>,
    waker: AtomicWaker,
    /// The connection that may speak.
    generation: watch::Sender<u64>,
}

impl<F: Frame> Half<F> {
    pub(crate) fn new(limits: LineLimits, now: Duration) -> Self {
        Self {
            line: Mutex::new(Line::new(limits, now)),
            waker: AtomicWaker::new(),
            generation: watch::Sender::new(0),
        }
    }

    /// The line, to change several things at once; [`wake`](Self::wake) afterwards if there is
    /// something to send.
    pub(crate) fn line(&self) -> MutexGuard<'_, Line<F>> {
        // Every change is complete before anything could panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Wakes the connection if there is something to send.
    pub(crate) fn wake_if_needed(&self) {
        self.wake_for(self.line());
    }

    /// Lets go of the line, and wakes the connection if it has something to send.
    fn wake_for(&self, line: MutexGuard<'_, Line<F>>) {
        let wake = line.has_to_send();
        drop(line);
        if wake {
            self.waker.wake();
        }
    }

    /// Queues a frame that counts.
    pub(crate) fn push(&self, frame: F, tag: u16) -> Result<(), NotQueued<F>> {
        let mut line = self.line();
        line.push(frame, tag)?;
        self.wake_for(line);
        Ok(())
    }

    /// Queues a frame that is always taken; false at the end of the link, and for one that is too
    /// large.
    pub(crate) fn push_always(&self, frame: F) -> bool {
        let mut line = self.line();
        let taken = line.push_always(frame);
        self.wake_for(line);
        taken
    }

    /// The next parcel of a connection; `None` when it must end.
    pub(crate) fn poll_parcel(&self, generation: u64, cx: &Context<'_>) -> Poll<Option<Parcel>> {
        self.waker.register(cx.waker());
        match self.line().poll(generation) {
            Polled::Parcel(parcel) => {
                counter!("rookery_link_parcels_sent_total").increment(1);
                counter!("rookery_link_frames_sent_total").increment(parcel.frames() as u64);
                Poll::Ready(Some(parcel.into()))
            }
            Polled::Pending => Poll::Pending,
            Polled::Ended => Poll::Ready(None),
        }
    }

    /// Begins a connection; the one before ends.
    pub(crate) fn connect(&self) -> u64 {
        let generation = self.line().connect();
        self.changed(generation);
        generation
    }

    /// Ends a connection.
    pub(crate) fn disconnect(&self, generation: u64, now: Duration) {
        let mut line = self.line();
        line.disconnect(generation, now);
        let current = line.generation();
        drop(line);
        self.changed(current);
    }

    /// To notice that a connection must end.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Both directions of the connection before notice that they must end.
    pub(crate) fn changed(&self, generation: u64) {
        self.generation.send_replace(generation);
        self.waker.wake();
    }
}
