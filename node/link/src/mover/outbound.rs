//! The sending direction of one connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use rookery_proto::carrier::Parcel;
use tonic::Status;

use crate::clock::Clock;
use crate::half::Half;
use crate::wire::{Down, Frame, Hello, Outgoing, Up};

/// A hello, and then all that waits, parcel by parcel. Its end is the end of the connection.
pub(crate) struct Outbound<F: Frame> {
    half: Arc<Half<F>>,
    generation: u64,
    hello: Option<Hello>,
    clock: Clock,
}

impl<F: Frame> Outbound<F> {
    pub(super) fn new(half: Arc<Half<F>>, generation: u64, hello: Hello, clock: Clock) -> Self {
        Self {
            half,
            generation,
            hello: Some(hello),
            clock,
        }
    }

    fn next(&mut self, cx: &Context<'_>) -> Poll<Option<Parcel>> {
        match self.hello.take() {
            Some(hello) => Poll::Ready(Some(Outgoing::<F>::Hello(hello).into())),
            None => self.half.poll_parcel(self.generation, cx),
        }
    }
}

impl Stream for Outbound<Arc<Up>> {
    type Item = Parcel;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Parcel>> {
        self.next(cx)
    }
}

impl Stream for Outbound<Down> {
    type Item = Result<Parcel, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Parcel, Status>>> {
        self.next(cx).map(|parcel| parcel.map(Ok))
    }
}

impl<F: Frame> Drop for Outbound<F> {
    fn drop(&mut self) {
        self.half.disconnect(self.generation, self.clock.now());
    }
}
