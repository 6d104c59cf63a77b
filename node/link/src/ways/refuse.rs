//! What becomes of frames that nobody takes: whoever sent them is told.

use std::sync::Arc;

use metrics::counter;
use rookery_session::carrier::{Answer, SessionId, ShardInput, ToSession, ToShard};
use rookery_xmpp::stanza::{Batch, Kind, StanzaType, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use super::{Dialled, Inner};
use crate::wire::{Up, UpBody};

impl Inner {
    /// A node is gone for good, or has forgotten the link: the sessions that are bound there end,
    /// whoever waits for an answer gets none, and stanzas of shards come back to them.
    pub(super) fn lose(self: &Arc<Self>, link: &Dialled) {
        let (left, asks) = link.begin_anew(self.clock.now());
        let sinks = self.seats.take_all_at(link.node);
        tracing::warn!(
            node = link.node,
            frames = left.len(),
            sessions = sinks.len(),
            "link is lost"
        );
        for (ask, sink) in asks {
            let answer = Answer::Unavailable;
            // One that is gone needs no answer.
            let _ = sink.send(ToSession::Answer { ask, answer });
        }
        let error = StreamError::new(StreamCondition::InternalServerError)
            .with_text("the node that served this session is gone");
        for sink in sinks {
            let _ = sink.send(ToSession::Close(error.clone()));
        }
        for up in left {
            // Sessions have been told.
            if matches!(up.body, UpBody::Peer(_)) {
                self.refuse(Arc::unwrap_or_clone(up));
            }
        }
        let everywhere: Vec<u16> = (0..self.places.len() as u16).collect();
        self.has_room(&everywhere);
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
            UpBody::Session(ToShard::Stanzas { session, batch, .. }) => {
                self.bounce(session, &batch);
            }
            // Who has no owner has no session there either.
            UpBody::Session(ToShard::Closed { .. }) => {}
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
            UpBody::NotTaken(_) | UpBody::Again => {}
        }
    }

    /// Answers a session's stanzas with an error, those that may be answered (RFC 6120 8.3.1).
    fn bounce(&self, session: SessionId, batch: &Batch) {
        let Some(sink) = self.seats.sink(session) else {
            return;
        };
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
            let _ = sink.send(ToSession::Deliver(Batch { buf, recs }));
        }
    }
}
