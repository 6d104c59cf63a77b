//! What becomes of frames that nobody takes: whoever sent them is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use metrics::counter;
use rookery_session::carrier::{
    Answer, PeerFrame, SessionId, ShardId, ShardInput, Stands, ToSession, ToShard,
};
use rookery_xmpp::stanza::{Batch, Kind, StanzaType, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::{Dialled, Inner};
use crate::wire::{Up, UpBody};

/// Why a link is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The node's process is another one: what it served will be served under another epoch.
    Restarted,
    /// The node was away for too long, or has given this one up.
    Away,
}

impl Inner {
    /// A node has forgotten the link, or is given up. Whoever waits for an answer gets none. Where the
    /// node is away but still owns shards, the sessions that are bound there end, and stanzas of shards
    /// come back to them; everything else, and what was said by sessions that are over, waits for it or
    /// for the shards' next owners.
    pub(super) fn lose(self: &Arc<Self>, link: &Dialled, loss: Loss) {
        let asks = link.begin_anew(self.clock.now());
        tracing::warn!(node = link.node, ?loss, asks = asks.len(), "link is lost");
        for (ask, sink) in asks {
            let answer = Answer::Unavailable;
            // One that is gone needs no answer.
            let _ = sink.send(ToSession::Answer { ask, answer });
        }
        let now = self.clock.now();
        let map = self.config.map.load_full();
        let told = match loss {
            Loss::Away => self.close_all_at(link.node, |shard| {
                map.owner(shard)
                    .is_some_and(|owner| owner.node == link.node)
            }),
            Loss::Restarted => BTreeSet::new(),
        };
        let mut left = Vec::new();
        for number in 0..self.places.len() as u16 {
            let (Some(place), owner) = (self.place(ShardId(number)), map.owner(ShardId(number)))
            else {
                continue;
            };
            let mut way = place.way();
            let Some(route) = way.route().filter(|route| route.node == link.node) else {
                continue;
            };
            if loss == Loss::Away && owner == Some(route) {
                left.extend(way.give_up_those(|up| match &up.body {
                    // What was said by one that is over waits for the node.
                    UpBody::Session(ToShard::Stanzas { session, .. }) => told.contains(session),
                    _ => !up.must_arrive(),
                }));
            }
            way.forgotten(now);
        }
        for kept in left {
            match kept.up().body {
                // Sessions have been told.
                UpBody::Session(_) => {}
                _ => self.refuse(kept.into_up()),
            }
        }
        let everywhere: Vec<u16> = (0..self.places.len() as u16).collect();
        self.has_room(&everywhere);
    }

    /// Ends the sessions that are bound at a node; those that were not over.
    fn close_all_at(&self, node: u32, served: impl Fn(ShardId) -> bool) -> BTreeSet<SessionId> {
        let error = StreamError::new(StreamCondition::InternalServerError)
            .with_text("the node that served this session is gone");
        let sinks = self.seats.take_all_at(node, served);
        tracing::warn!(
            node,
            sessions = sinks.len(),
            "sessions of the node are closed"
        );
        let told = sinks
            .into_iter()
            .filter(|sink| sink.send(ToSession::Close(error.clone())).is_ok());
        told.map(|sink| sink.session()).collect()
    }

    /// Gives a frame back to whoever sent it.
    pub(super) fn refuse(&self, up: Up) {
        counter!("rookery_link_frames_refused_total").increment(1);
        match up.body {
            UpBody::Session(ToShard::Ask { from, ask, .. }) => {
                let answer = Answer::Unavailable;
                // One that is gone needs no answer.
                let _ = from.send(ToSession::Answer { ask, answer });
            }
            UpBody::Session(ToShard::Stanzas {
                session,
                batch,
                receipt,
                ..
            }) => {
                if self.bounce(session, &batch)
                    && let Some(receipt) = receipt
                {
                    receipt.is_done();
                }
            }
            // Nothing else remembers it, so it is never given up: it waits for an owner.
            UpBody::Session(ToShard::Left { .. }) => {}
            // Who has no owner has no session there either.
            UpBody::Session(
                ToShard::Closed { session, .. } | ToShard::Detached { session, .. },
            ) => self.seats.leave(session),
            // Whoever sent what it follows from sends that to the next owner of the shard.
            UpBody::Peer(PeerFrame {
                receipt: Some(receipt),
                ..
            }) if receipt.stands() == Stands::NoMore => {}
            UpBody::Peer(frame) => {
                let Some(local) = &self.config.local else {
                    return;
                };
                let shard = self.shard_of(&frame.from);
                let refused = local.offer(shard, ShardInput::Refused(frame));
                if let Err(full) = refused {
                    // Bounded by what may wait for a node.
                    self.config
                        .runtime
                        .spawn(local.offer_when_room(shard, full.0));
                }
            }
            UpBody::Session(ToShard::Announce { .. } | ToShard::Acked { .. })
            | UpBody::Announce(_)
            | UpBody::AllAnnounced
            | UpBody::NotTaken(_)
            | UpBody::Again(_)
            | UpBody::Fence => {}
        }
    }

    /// Answers a session's stanzas with an error, those that may be answered (RFC 6120 8.3.1). False where that cannot
    /// be said: of a stream that can be resumed only the shard knows what its client was sent, so it is cut, and its
    /// client asks the shard how much has come.
    fn bounce(&self, session: SessionId, batch: &Batch) -> bool {
        let Some(sink) = self.seats.sink(session) else {
            return true;
        };
        if sink.kept().is_some() {
            // One that is gone is cut already.
            let _ = sink.send(ToSession::Close(StreamError::new(
                StreamCondition::InternalServerError,
            )));
            return false;
        }
        let error = StanzaError::new(Condition::ResourceConstraint)
            .with_type(ErrorType::Wait)
            .with_text("the part of the server that serves this account is out of reach");
        for rec in &batch.recs {
            let silent = rec.kind == Kind::Presence && rec.stanza_type != StanzaType::Subscribe;
            let bytes = rec.bytes(&batch.buf);
            let reply = error.reply_to(bytes, &rec.moved_to(0), None, None);
            let Some(buf) = reply.filter(|_| !silent) else {
                continue;
            };
            let Some(rec) = parse_rec(&buf) else {
                continue;
            };
            let recs = vec![rec];
            // One that reads too slowly for errors misses them.
            let _ = sink.send(ToSession::Deliver(Batch { buf, recs }.into()));
        }
        true
    }
}
