//! A session of this node, as a shard of the same process sees it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};

use rookery_session::carrier::{
    Answer, Delivered, Delivery, Full, SessionId, ShardId, Sink, SinkRef, ToSession,
};
use rookery_xmpp::stanza::Batch;

use super::Inner;
use super::seats::Asked;
use crate::wire::Announced;

/// Stands before a session's own sink, so that its node notes what the shard's next owner must know:
/// as it does for one whose shard is elsewhere.
pub(super) struct Seated {
    ways: Weak<Inner>,
    shard: ShardId,
    session: SessionId,
    address: IpAddr,
    /// None for one that is gone, and announced only so that its end is dealt with.
    sink: Option<SinkRef>,
}

impl Seated {
    /// For a session that asks to be bound.
    pub(super) fn asking(
        ways: &Arc<Inner>,
        shard: ShardId,
        address: IpAddr,
        sink: SinkRef,
    ) -> SinkRef {
        Arc::new(Self {
            ways: Arc::downgrade(ways),
            shard,
            session: sink.session(),
            address,
            sink: Some(sink),
        })
    }

    /// For a session that was bound by an earlier owner of its shard.
    pub(super) fn again(
        ways: &Arc<Inner>,
        announced: &Announced,
        sink: Option<SinkRef>,
    ) -> SinkRef {
        Arc::new(Self {
            ways: Arc::downgrade(ways),
            // It sits already.
            shard: ShardId(0),
            session: announced.session,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            sink,
        })
    }
}

impl Sink for Seated {
    fn session(&self) -> SessionId {
        self.session
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let ways = self.ways.upgrade();
        match (&frame, &ways) {
            (ToSession::Remember(state), Some(ways)) => {
                ways.seats.remember(self.session, state);
                return Ok(());
            }
            (
                ToSession::Answer {
                    answer: Answer::Bound(jid),
                    ..
                },
                Some(ways),
            ) => {
                // Before the session hears of it: it may be over at once.
                if let Some(sink) = &self.sink {
                    let asked = Asked {
                        sink: sink.clone(),
                        shard: self.shard,
                        address: self.address,
                    };
                    ways.seats.sit(&asked, jid.clone(), ways.config.node);
                }
            }
            _ => {}
        }
        let binds = matches!(
            &frame,
            ToSession::Answer {
                answer: Answer::Bound(_),
                ..
            }
        );
        let taken = match &self.sink {
            Some(sink) => sink.send(frame),
            None => Err(Full(frame)),
        };
        if let (true, Err(_), Some(ways)) = (binds, &taken, ways) {
            ways.seats.leave(self.session);
        }
        taken
    }

    fn remembers(&self) -> bool {
        true
    }

    fn deliver(&self, batch: Batch) -> Delivery {
        match &self.sink {
            Some(sink) => sink.deliver(batch),
            None => match self.send(ToSession::Deliver(Delivered::from(batch))) {
                Ok(()) => Delivery::Taken,
                Err(_) => Delivery::NotTaken,
            },
        }
    }
}
