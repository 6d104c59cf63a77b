//! One link to a node that this one has dialled.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use rookery_session::carrier::{
    Answer, AskId, Question, SessionId, ShardId, SinkRef, ToSession, ToShard,
};

use super::Inner;
use super::refuse::Loss;
use super::seats::Asked;
use crate::LinkOptions;
use crate::broken::Broken;
use crate::half::Half;
use crate::wire::{DownIn, Hello, Incoming, Malformed, Up, UpBody, read_parcel};

/// A link as its dialling side knows it.
pub(crate) struct Dialled {
    pub(crate) node: u32,
    pub(crate) half: Arc<Half<Arc<Up>>>,
    /// Who waits for an answer.
    asks: Mutex<BTreeMap<(SessionId, AskId), Asked>>,
    /// Held while a parcel is handled.
    receiving: Mutex<Link>,
    /// Away for too long: nothing is queued until it is back.
    away: AtomicBool,
    /// The node was removed from the cluster: it is never dialled again, and stays away.
    removed: AtomicBool,
}

/// Which link it is.
#[derive(Default)]
struct Link {
    number: u64,
    /// The peer knows it.
    established: bool,
    /// The life of the peer that knew the last one.
    life: u64,
}

impl Dialled {
    pub(super) fn new(node: u32, options: &LinkOptions, now: Duration) -> Self {
        Self {
            node,
            half: Arc::new(Half::new(options.up_limits(), now)),
            asks: Mutex::default(),
            receiving: Mutex::default(),
            away: AtomicBool::new(false),
            removed: AtomicBool::new(false),
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
                    line.push_always(Arc::new(up));
                }
                line.handled(count, size);
                line.forget(header.forget)?;
                let (short, wake) = (line.take_short(), line.has_to_send());
                let unheard = line.is_unheard();
                drop(line);
                drop(receiving);
                if unheard {
                    ways.lose(self, Loss::Away);
                    return Err(Broken::Unheard);
                }
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
                let shard_of = |jid: &_| ways.shard_of(jid);
                let refused = ways.seats.give(self, session, round, frame, shard_of);
                if let Some(word) = refused {
                    words.push(word.into_up(number, session));
                }
            }
            DownIn::NotMine(shard, version) => self.not_mine(ways, shard, version),
            DownIn::Held(number) => self.half.line().held(number),
            DownIn::Room(shard) => self.half.line().room(shard.0),
            DownIn::Settled(frames) => ways.settle(frames),
            DownIn::Fenced(shard) => {
                if let Some(place) = ways.place(shard) {
                    place.way().fenced();
                    ways.look_after(shard, ways.config.map.load().owner(shard));
                }
            }
        }
    }

    /// The node drops what is for a shard until it is told to begin anew.
    fn not_mine(&self, ways: &Arc<Inner>, shard: ShardId, version: u64) {
        tracing::debug!(
            node = self.node,
            shard = shard.0,
            version,
            "node does not own a shard"
        );
        let Some(place) = ways.place(shard) else {
            return;
        };
        let mut way = place.way();
        if way.route().is_some_and(|route| route.node == self.node) {
            way.forgotten(ways.clock.now() + ASK_AGAIN);
        }
        drop(way);
        for (ask, sink) in self.take_asks(|asked| asked.shard == shard) {
            let answer = Answer::Unavailable;
            // One that is gone needs no answer.
            let _ = sink.send(ToSession::Answer { ask, answer });
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
            let loss = match hello.life == link.life {
                true => Loss::Away,
                false => Loss::Restarted,
            };
            drop(link);
            ways.lose(self, loss);
            return Err(Broken::Forgotten);
        }
        let mut line = self.half.line();
        line.open(generation, version, hello.received, hello.forget)?;
        let short = line.take_short();
        drop(line);
        link.established = true;
        link.life = hello.life;
        drop(link);
        self.away.store(self.is_removed(), Ordering::Relaxed);
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

    /// The link ends, and another one begins: who waits for answers.
    pub(super) fn begin_anew(&self, now: Duration) -> Vec<(AskId, SinkRef)> {
        let mut link = self.receiving();
        link.number += 1;
        link.established = false;
        let mut line = self.half.line();
        // What the peer may not have is kept by its ways.
        let left = line.lose(now);
        let generation = line.generation();
        drop(line);
        drop(left);
        self.half.changed(generation);
        self.take_asks(|_| true)
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

    /// Notes that the node was removed; false if that was known.
    pub(super) fn is_now_removed(&self) -> bool {
        let news = !self.removed.swap(true, Ordering::Relaxed);
        self.away.store(true, Ordering::Relaxed);
        news
    }

    /// Whether the node was removed from the cluster.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Relaxed)
    }

    /// Somebody will wait for an answer.
    pub(super) fn asked(&self, up: &Up) {
        if let UpBody::Session(ToShard::Ask {
            from,
            ask,
            question,
        }) = &up.body
        {
            let address = match question {
                Question::Bind { address, .. } | Question::Resume { address, .. } => *address,
                _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            };
            let asked = Asked {
                sink: from.clone(),
                shard: up.shard,
                address,
            };
            self.asks().insert((from.session(), *ask), asked);
        }
    }

    /// There will be no answer to this by this link.
    pub(super) fn answered(&self, up: &Up) {
        if let UpBody::Session(ToShard::Ask { from, ask, .. }) = &up.body {
            self.asks().remove(&(from.session(), *ask));
        }
    }

    /// Who waits for this answer.
    pub(super) fn take_ask(&self, session: SessionId, ask: AskId) -> Option<Asked> {
        self.asks().remove(&(session, ask))
    }

    fn take_asks(&self, wanted: impl Fn(&Asked) -> bool) -> Vec<(AskId, SinkRef)> {
        let mut asks = self.asks();
        let (taken, left): (BTreeMap<_, _>, _) = std::mem::take(&mut *asks)
            .into_iter()
            .partition(|(_, asked)| wanted(asked));
        *asks = left;
        let taken = taken.into_iter();
        taken.map(|((_, ask), asked)| (ask, asked.sink)).collect()
    }

    fn asks(&self) -> MutexGuard<'_, BTreeMap<(SessionId, AskId), Asked>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receiving(&self) -> MutexGuard<'_, Link> {
        self.receiving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Before a node that did not own a shard is asked again: its map may lag behind.
const ASK_AGAIN: Duration = Duration::from_millis(50);
