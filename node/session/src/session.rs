//! The session machine: one client's connection, from the accepted socket to its end.

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stream_error::{StreamCondition, StreamError};

use crate::carrier::Delivered;
use crate::config::{ConnectionFacts, SessionConfig};
use crate::context::{Context, Stream};
use crate::effect::Effect;
use crate::event::{Event, Timer};
use crate::outbound::Afterwards;
use crate::phase::{Handshaking, Opening, Phase, Standing};
use crate::stream_management::StreamManagement;
use crate::under_way::UnderWay;

/// A client's session (RFC 6120). It holds no socket: a mover tells it what happened and does what it wants done, in
/// order.
#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    facts: ConnectionFacts,
    stream: Stream,
    phase: Phase,
    under_way: UnderWay,
}

impl Session {
    /// A session for an accepted connection. Its first event is [`Event::Connected`].
    ///
    /// # Panics
    ///
    /// When the configuration has no host.
    pub fn new(config: Arc<SessionConfig>, facts: ConnectionFacts) -> Self {
        assert!(!config.hosts.is_empty(), "a server has a host");
        let phase = if facts.direct_tls {
            Phase::Handshaking(Handshaking)
        } else {
            Phase::Opening(Opening::new(Standing::Stranger))
        };
        Self {
            config,
            facts,
            stream: Stream::default(),
            phase,
            under_way: UnderWay::default(),
        }
    }

    /// Handles one event and appends what is to be done. An event takes bounded time and gives a handful of effects.
    pub fn handle(
        &mut self,
        event: Event<'_>,
        now: Timestamp,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect>,
    ) {
        if let Event::TimedOut(timer) = event
            && !self.stream.take_timer(timer)
        {
            return;
        }
        if let Event::Settled(firsts) = event {
            self.under_way.settles(firsts);
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let mut cx = Context {
            config: &self.config,
            facts: &self.facts,
            stream: &mut self.stream,
            now,
            entropy,
            effects,
        };
        self.phase = match phase {
            Phase::Ended => Phase::Ended,
            Phase::Closing => closing(&event, &mut cx),
            open => step(open, event, &mut cx),
        };
    }

    /// Notes that the client was heard of. For every read, also of stanzas that go past this machine.
    pub fn heard(&mut self, now: Timestamp) {
        self.stream.heard = now;
    }

    /// Whether the client has enabled stream management (XEP-0198), so that the mover tells what is sent.
    pub fn is_managed(&self) -> bool {
        self.stream.management.is_some()
    }

    /// So many stanzas of the client, of so many bytes together, went to its shard, the first under this number. The
    /// mover says [`Event::Settled`] when they have been dealt with: at once where that is waited for.
    pub fn submitted(&mut self, first: u64, stanzas: usize, bytes: usize) {
        self.under_way.begins(first, stanzas, bytes);
        if let Some(management) = &mut self.stream.management {
            management.submitted(first, stanzas);
        }
    }

    /// Whether the client may be read: of what it has sent not too much is still to be dealt with.
    pub fn may_read(&self) -> bool {
        !self.under_way.is_full(&self.config.options)
    }

    /// Whether something that the client has sent is still to be dealt with.
    pub fn has_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether somebody waits for what the client has sent to be dealt with.
    pub fn awaits_settled(&self) -> bool {
        self.is_managed() || !self.may_read()
    }

    /// Stanzas go to the client; [`Event::Sent`] follows when all of the turn do.
    pub fn sent(&mut self, delivered: &Delivered) {
        if let Some(management) = &mut self.stream.management {
            management.sent(delivered);
        }
    }

    /// Whether stanzas may be sent before the client acknowledges what it has.
    pub fn may_send(&self) -> bool {
        let management = self.stream.management.as_ref();
        management.is_none_or(|it| it.has_room(&self.config.options))
    }

    /// What becomes of the session when its stream is over (XEP-0198 5). Of one that was ended on purpose, by its
    /// client or by us, nothing is left; but who was sent away may go on elsewhere, for the shard keeps it.
    pub fn afterwards(&self) -> Afterwards {
        let management = self.stream.management.as_ref();
        match management.and_then(StreamManagement::window_s) {
            Some(window_s) if self.stream.is_interrupted => Afterwards::Waits(window_s),
            Some(_) if self.stream.is_sent_away => Afterwards::StaysAtShard,
            _ => Afterwards::Ends,
        }
    }

    /// Whether the shard numbers what it delivers, or was asked to: then every stanza of the client is for the shard,
    /// which counts them.
    pub fn is_numbered(&self) -> bool {
        let management = self.stream.management.as_ref();
        management.is_some_and(StreamManagement::is_numbered)
    }

    /// What the client of a stream that is over was sent and has not acknowledged, and what was held back from it, as
    /// far as nobody else keeps it.
    pub fn take_written(&mut self) -> Vec<Delivered> {
        let management = self.stream.management.take();
        let mut written = management.map_or_else(Vec::new, StreamManagement::into_unacked);
        written.extend(self.stream.client_state.take());
        written
    }

    /// Whether the client looks at what it is sent. Of one that does not, each delivery is to go through
    /// [`deliver`](Self::deliver).
    pub fn is_watched(&self) -> bool {
        self.stream.client_state.is_active()
    }

    /// Decides what of a delivery is written now, and appends it with what must come before it.
    pub fn deliver(&mut self, delivered: Delivered, due: &mut Vec<Delivered>) {
        let options = &self.config.options;
        self.stream.client_state.deliver(delivered, options, due);
    }

    /// The domain of the host that the client chose; `None` before its first valid stream header.
    pub fn host(&self) -> Option<&str> {
        self.stream
            .host
            .map(|index| self.config.hosts[index].domain.as_str())
    }

    /// The full JID of a bound session.
    pub fn jid(&self) -> Option<&Arc<Jid>> {
        match &self.phase {
            Phase::Bound(bound) => Some(bound.jid()),
            _ => None,
        }
    }

    /// Whether stanzas are exchanged.
    pub fn is_bound(&self) -> bool {
        matches!(self.phase, Phase::Bound(_))
    }

    /// Whether the stream has ended, so that nothing more is read but its end.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Ended)
    }

    /// Whether nothing more will happen.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
}

/// One event of an open stream: what may end any phase first, then what only this phase knows.
fn step(phase: Phase, event: Event<'_>, cx: &mut Context<'_>) -> Phase {
    if !ends_any_phase(&event) {
        return phase.handle(event, cx);
    }
    phase.abandon(cx);
    if matches!(phase, Phase::Handshaking(_)) {
        // A word in clear would break TLS, and nobody could read it.
        return cx.hang_up();
    }
    match event {
        Event::Closed => cx.end_now(None),
        Event::Malformed(error) => cx.end_now(Some(
            &StreamError::new(error.condition).with_text(error.reason),
        )),
        Event::Kicked(error) => {
            cx.stream.is_sent_away = error.condition == StreamCondition::SystemShutdown;
            cx.end_with(&error)
        }
        Event::TimedOut(_) => cx.end(
            StreamCondition::ConnectionTimeout,
            "the login took too long",
        ),
        _ => {
            cx.stream.is_interrupted = true;
            cx.hang_up()
        }
    }
}

fn ends_any_phase(event: &Event<'_>) -> bool {
    matches!(
        event,
        Event::Closed
            | Event::Malformed(_)
            | Event::Kicked(_)
            | Event::Lost
            | Event::TimedOut(Timer::Login)
    )
}

/// Our stream has ended; the client's end, whatever it looks like, or the timer ends the connection (RFC 6120 4.4).
fn closing(event: &Event<'_>, cx: &mut Context<'_>) -> Phase {
    match event {
        Event::Closed | Event::Lost | Event::Malformed(_) | Event::TimedOut(Timer::Close) => {
            cx.hang_up()
        }
        _ => Phase::Closing,
    }
}
