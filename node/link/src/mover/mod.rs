//! What moves parcels: tonic on one arbiter's thread, and timers.

mod dial;
mod outbound;
mod serve;
mod settings;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use rookery_proto::carrier::Parcel;
use tokio::time::{Instant, sleep_until};
use tonic::Streaming;

pub use dial::{Dial, DialError};
pub use settings::{client_settings, server_settings};

pub(crate) use dial::keep_dialled;

use crate::broken::Broken;
use crate::half::Half;
use crate::wire::Frame;

/// How often it is looked who is away for too long, and who owns the shards that frames wait for.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// How long word of what was taken waits for something to ride on.
const TELL_AFTER: Duration = Duration::from_millis(1);

/// Parcels are far smaller, a single large frame aside; and no stanza is larger than 512 KiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1_048_576;

/// Looks at something again and again, as long as it is there.
pub(crate) async fn tick<T>(what: Weak<T>, look: impl Fn(&Arc<T>)) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        match what.upgrade() {
            Some(what) => look(&what),
            None => return,
        }
    }
}

/// Reads one connection until it ends, or another one takes over.
async fn read<F: Frame>(
    half: &Half<F>,
    generation: u64,
    inbound: &mut Streaming<Parcel>,
    receive: impl Fn(Bytes) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut current = half.watch();
    let mut tell_at = None;
    loop {
        if !half.line().has_to_tell() {
            tell_at = None;
        } else if tell_at.is_none() {
            tell_at = Some(Instant::now() + TELL_AFTER);
        }
        tokio::select! {
            biased;
            ended = current.wait_for(|current| *current != generation) => {
                drop(ended);
                return Ok(());
            }
            parcel = inbound.message() => match parcel? {
                Some(parcel) => receive(content(parcel))?,
                None => return Ok(()),
            },
            () = sleep_until(tell_at.unwrap_or_else(Instant::now)), if tell_at.is_some() => {
                half.line().tell_now();
                half.wake();
                tell_at = None;
            }
        }
    }
}

/// The bytes of a parcel that was received.
fn content(parcel: Parcel) -> Bytes {
    match parcel {
        Parcel::Incoming(bytes) => bytes,
        Parcel::Outgoing(_) => Bytes::new(),
    }
}
