//! A session of this node, as a shard of the same process sees it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};

use rookery_session::carrier::{
    Answer, Delivered, Delivery, Full, SessionId, ShardId, Sink, SinkRef, ToSession,
};
use rookery_xmpp::jid::Jid;

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

impl Seated {
    /// Gives a frame to the session.
    fn pass(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        match &self.sink {
            Some(sink) => sink.send(frame),
            None => Err(Full(frame)),
        }
    }

    /// The session sits before it hears that it is bound, for it may be over at once.
    fn bind(
        &self,
        ways: &Inner,
        bound: (Arc<Jid>, bool),
        answer: ToSession,
    ) -> Result<(), Full<ToSession>> {
        if let Some(sink) = &self.sink {
            let asked = Asked {
                sink: sink.clone(),
                shard: self.shard,
                address: self.address,
            };
            ways.seats.sit(&asked, bound, ways.config.node);
        }
        let taken = self.pass(answer);
        if taken.is_err() {
            ways.seats.leave(self.session);
        }
        taken
    }
}

impl Sink for Seated {
    fn session(&self) -> SessionId {
        self.session
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let Some(ways) = self.ways.upgrade() else {
            return self.pass(frame);
        };
        match &frame {
            ToSession::Remember(state) => {
                ways.seats.remember(self.session, state);
                Ok(())
            }
            ToSession::Answer { answer, .. } => match answer.binds().cloned() {
                Some(jid) => {
                    let resumes = matches!(answer, Answer::Resumed(_));
                    self.bind(&ways, (jid, resumes), frame)
                }
                None => self.pass(frame),
            },
            _ => self.pass(frame),
        }
    }

    /// One that is gone has nothing here that outlives this process either.
    fn is_alone(&self) -> bool {
        self.sink.as_ref().is_none_or(|sink| sink.is_alone())
    }

    fn remembers(&self) -> bool {
        true
    }

    fn may_be_resumed(&self) -> bool {
        self.sink.as_ref().is_some_and(|sink| sink.may_be_resumed())
    }

    fn deliver(&self, delivered: Delivered) -> Delivery {
        match &self.sink {
            Some(sink) => sink.deliver(delivered),
            None => match self.send(ToSession::Deliver(delivered)) {
                Ok(()) => Delivery::Taken,
                Err(_) => Delivery::NotTaken,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROMEO: SessionId = SessionId { node: 3, serial: 1 };

    /// A session's queue.
    struct Queue;

    impl Sink for Queue {
        fn session(&self) -> SessionId {
            ROMEO
        }

        fn send(&self, _: ToSession) -> Result<(), Full<ToSession>> {
            Ok(())
        }

        fn is_alone(&self) -> bool {
            true
        }
    }

    #[test]
    fn what_a_session_is_given_by_a_shard_of_its_own_process_would_be_gone_with_it() {
        for sink in [Some(Arc::new(Queue) as SinkRef), None] {
            let seated = Seated {
                ways: Weak::new(),
                shard: ShardId(0),
                session: ROMEO,
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                sink,
            };
            assert!(seated.is_alone());
        }
    }
}
