//! The memory to work in, one set a thread: sessions borrow it for a turn, so that an idle one
//! holds none.

use std::cell::Cell;

use metrics::{Counter, counter};
use rookery_session::RestBy;
use rookery_session::carrier::ToSession;
use rookery_session::effect::Effect;
use rookery_xmpp::stanza::Rec;

use crate::wire::TLS_PENDING_BYTES_MAX;

/// Bytes read from a socket in one turn: more would keep the thread's other sessions waiting.
pub(crate) const READ_BYTES_MAX: usize = 16 * 1024;

/// Buffers of one turn. All are empty between two turns, but keep their memory.
pub(crate) struct Scratch {
    /// What the socket gave, behind what was left of the turn before.
    pub(crate) raw: Vec<u8>,
    /// What it says, decrypted.
    pub(crate) plain: Vec<u8>,
    /// What the reader made of it.
    pub(crate) canonical: Vec<u8>,
    /// The stanzas among it.
    pub(crate) recs: Vec<Rec>,
    /// How many elements of the stream one read has completed.
    pub(crate) elements: usize,
    /// What is to be sent, in clear.
    pub(crate) outgoing: Vec<u8>,
    /// What is to be sent, as it goes over the wire.
    pub(crate) sealed: Vec<u8>,
    /// What came from shards.
    pub(crate) frames: Vec<ToSession>,
    /// The numbers of what has been dealt with.
    pub(crate) settled: Vec<u64>,
    /// What the machine wants done.
    pub(crate) effects: Vec<Effect>,
    /// The counters, looked up once.
    pub(crate) meters: Meters,
}

/// Counters of a thread's sessions.
pub(crate) struct Meters {
    pub(crate) bytes_read: Counter,
    pub(crate) bytes_written: Counter,
    pub(crate) batches: Counter,
    pub(crate) stanzas: Counter,
    rests_by_bytes: Counter,
    rests_by_stanzas: Counter,
    pub(crate) bound: Counter,
    pub(crate) messages: Counter,
}

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// The thread's set, for one turn.
    pub(crate) fn take() -> Box<Self> {
        SCRATCH.take().unwrap_or_else(|| Box::new(Self::new()))
    }

    /// Ends the turn. What a rare large stanza made large goes back to the system.
    pub(crate) fn give_back(mut self: Box<Self>) {
        for buffer in [
            &mut self.plain,
            &mut self.canonical,
            &mut self.outgoing,
            &mut self.sealed,
        ] {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES_MAX);
        }
        self.recs.clear();
        self.frames.clear();
        self.effects.clear();
        SCRATCH.set(Some(self));
    }

    fn new() -> Self {
        Self {
            raw: vec![0; TLS_PENDING_BYTES_MAX + READ_BYTES_MAX],
            plain: Vec::new(),
            canonical: Vec::new(),
            recs: Vec::new(),
            elements: 0,
            outgoing: Vec::new(),
            sealed: Vec::new(),
            frames: Vec::new(),
            settled: Vec::new(),
            effects: Vec::new(),
            meters: Meters {
                bytes_read: counter!("rookery_client_bytes_read_total"),
                bytes_written: counter!("rookery_client_bytes_written_total"),
                batches: counter!("rookery_client_batches_total"),
                stanzas: counter!("rookery_client_stanzas_total"),
                rests_by_bytes: rests(RestBy::Bytes),
                rests_by_stanzas: rests(RestBy::Stanzas),
                bound: counter!("rookery_client_sessions_bound_total"),
                messages: counter!("rookery_client_messages_delivered_total"),
            },
        }
    }
}

impl Meters {
    /// Streams that were not read for a while, by this limit.
    pub(crate) fn rests(&self, by: RestBy) -> &Counter {
        match by {
            RestBy::Bytes => &self.rests_by_bytes,
            RestBy::Stanzas => &self.rests_by_stanzas,
        }
    }
}

fn rests(by: RestBy) -> Counter {
    counter!("rookery_client_rests_total", "by" => by.as_str())
}

/// Memory that each buffer keeps between turns.
const KEPT_BYTES_MAX: usize = 256 * 1024;
