//! One link to a node that this one has dialled.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use rookery_session::carrier::{AskId, SessionId, ShardId, SinkRef};

use super::Inner;
use crate::LinkOptions;
use crate::broken::Broken;
use crate::half::Half;
use crate::wire::{Cause, DownIn, Hello, Incoming, Malformed, Up, UpBody, read_parcel};

/// A link as its dialling side knows it.
pub(crate) struct Dialled {
    pub(crate) node: u32,
    pub(crate) half: Arc<Half<Up>>,
    /// Who waits for an answer.
    asks: Mutex<BTreeMap<(SessionId, AskId), SinkRef>>,
    /// Shards for which the node gives back all until it is told otherwise.
    giving_back: Mutex<HashSet<ShardId>>,
    /// Held while a parcel is handled.
    receiving: Mutex<Link>,
    /// Away for too long: nothing is queued until it is back.
    away: AtomicBool,
}

/// Which link it is.
#[derive(Default)]
struct Link {
    number: u64,
    /// The peer knows it.
    established: bool,
}

impl Dialled {
    pub(super) fn new(node: u32, options: &LinkOptions, now: Duration) -> Self {
        Self {
            node,
            half: Arc::new(Half::new(options.up_limits(), now)),
            asks: Mutex::default(),
            giving_back: Mutex::default(),
            receiving: Mutex::default(),
            away: AtomicBool::new(false),
        }
    }

    /// A connection begins: its number, and what is said first.
    pub(crate) fn connect(&self, ways: &Inner) -> (u64, Hello) {
        // Nothing of the connection before is half handled.
        let link = self.receiving();
        let generation = self.half.connect();
        let line = self.half.line();
        let hello = Hello {
            newest: ways.config.options.version,
            oldest: ways.config.options.version_oldest,
            from: ways.config.node,
            to: self.node,
            life: ways.config.life,
            link: link.number,
            resumed: link.established,
            received: line.received(),
            forget: line.forgettable(),
        };
        (generation, hello)
    }

    /// Handles a parcel. `Err` ends the connection.
    pub(crate) fn receive(
        &self,
        ways: &Arc<Inner>,
        generation: u64,
        parcel: Bytes,
    ) -> Result<(), Broken> {
        let size = parcel.len();
        match read_parcel(parcel, DownIn::read)? {
            Incoming::Hello(hello) => self.welcomed(ways, generation, &hello),
            Incoming::Frames(header, frames) => {
                let receiving = self.receiving();
                let repeats = self
                    .half
                    .line()
                    .repeats(generation, &header, frames.len())?;
                let count = frames.len() - repeats;
                let mut words = Vec::new();
                for (number, frame) in (header.first..).zip(frames).skip(repeats) {
                    self.handle(ways, number, frame, &mut words);
                }
                counter!("rookery_link_parcels_received_total").increment(1);
                counter!("rookery_link_frames_received_total").increment(count as u64);
                let mut line = self.half.line();
                for up in words {
                    line.push_always(up);
                }
                line.handled(count, size);
                line.forget(header.forget)?;
                let (short, wake) = (line.take_short(), line.has_to_send());
                drop(line);
                drop(receiving);
                if wake {
                    self.half.wake();
                }
                ways.has_room(&short);
                Ok(())
            }
        }
    }

    fn handle(&self, ways: &Arc<Inner>, number: u64, frame: DownIn, words: &mut Vec<Up>) {
        match frame {
            DownIn::Session {
                session,
                round,
                frame,
            } => {
                let refused = ways.seats.give(self, session, round, frame);
                if let Some(word) = refused {
                    words.push(word.into_up(number, session, |jid| ways.shard_of(jid)));
                }
            }
            DownIn::Refused(number, Cause::NotMine(version)) => {
                let up = self.half.line().take_back(number);
                if let Some(up) = up {
                    let (node, shard) = (self.node, up.shard.0);
                    tracing::debug!(node, shard, version, "node does not own a shard");
                    self.giving_back().insert(up.shard);
                    self.answered(&up);
                    ways.stray(Arc::unwrap_or_clone(up));
                }
            }
            DownIn::Held(number) => self.half.line().held(number),
            DownIn::Room(shard) => self.half.line().room(shard.0),
        }
    }

    /// The peer has said hello.
    fn welcomed(&self, ways: &Arc<Inner>, generation: u64, hello: &Hello) -> Result<(), Broken> {
        let (wanted, options) = (self.node, &ways.config.options);
        if hello.from != wanted || hello.to != ways.config.node {
            let found = hello.from;
            return Err(Broken::WrongNode { found, wanted });
        }
        let version = hello
            .common(options.version, options.version_oldest)
            .ok_or(Broken::Version {
                oldest: hello.oldest,
                newest: hello.newest,
                own_oldest: options.version_oldest,
                own_newest: options.version,
            })?;
        let mut link = self.receiving();
        if hello.link != link.number {
            return Err(Malformed("a hello of another link").into());
        }
        if link.established && !hello.resumed {
            drop(link);
            ways.lose(self);
            return Err(Broken::Forgotten);
        }
        let mut line = self.half.line();
        line.open(generation, version, hello.received, hello.forget)?;
        let short = line.take_short();
        drop(line);
        link.established = true;
        drop(link);
        self.away.store(false, Ordering::Relaxed);
        self.half.wake();
        ways.has_room(&short);
        tracing::info!(
            node = self.node,
            version,
            resumed = hello.resumed,
            "link is up"
        );
        Ok(())
    }

    /// The link ends, and another one begins: what the peer may not have, and who waits for
    /// answers.
    pub(super) fn begin_anew(&self, now: Duration) -> (Vec<Arc<Up>>, Vec<(AskId, SinkRef)>) {
        let mut link = self.receiving();
        link.number += 1;
        link.established = false;
        self.giving_back().clear();
        let mut line = self.half.line();
        let left = line.lose(now);
        let generation = line.generation();
        drop(line);
        self.half.changed(generation);
        let asks = std::mem::take(&mut *self.asks());
        let asks = asks.into_iter().map(|((_, ask), sink)| (ask, sink));
        (left, asks.collect())
    }

    /// Ends the connection.
    pub(super) fn hang_up(&self, now: Duration) {
        let generation = self.half.line().generation();
        self.half.disconnect(generation, now);
    }

    /// Whether the node is away for too long.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Notes that the node is away for too long; false if that was known.
    pub(super) fn goes_away(&self) -> bool {
        !self.away.swap(true, Ordering::Relaxed)
    }

    /// Somebody will wait for an answer.
    pub(super) fn asked(&self, up: &Up) {
        if let Some((key, sink)) = ask_of(up) {
            self.asks().insert(key, sink.clone());
        }
    }

    /// There will be no answer to this by this link.
    pub(super) fn answered(&self, up: &Up) {
        if let Some((key, _)) = ask_of(up) {
            self.asks().remove(&key);
        }
    }

    /// Who waits for this answer.
    pub(super) fn take_ask(&self, session: SessionId, ask: AskId) -> Option<SinkRef> {
        self.asks().remove(&(session, ask))
    }

    /// Ends the giving back for a shard, ahead of what is sent to it now.
    pub(super) fn again(&self, shard: ShardId) {
        if self.giving_back().remove(&shard) {
            let body = UpBody::Again;
            self.half.push_always(Up { shard, body });
        }
    }

    fn asks(&self) -> MutexGuard<'_, BTreeMap<(SessionId, AskId), SinkRef>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn giving_back(&self) -> MutexGuard<'_, HashSet<ShardId>> {
        self.giving_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn receiving(&self) -> MutexGuard<'_, Link> {
        self.receiving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_of(up: &Up) -> Option<((SessionId, AskId), &SinkRef)> {
    use rookery_session::carrier::ToShard;
    match &up.body {
        UpBody::Session(ToShard::Ask { from, ask, .. }) => Some(((from.session(), *ask), from)),
        _ => None,
    }
}
