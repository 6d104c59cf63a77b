//! Streams that are over, and how much of what their clients had sent was dealt with (XEP-0198 5).
//!
//! ```text
//! a stream ends without its client ─► its name and the count stay here, for as long as the account is in memory
//! C: <resume previd h/> ────────────► S: <failed h='7'><item-not-found/></failed>
//! ```
//!
//! So a client that comes too late knows what it has to say again in its next session, and what not.

use rookery_session::carrier::SessionId;

use super::Account;

/// They, the last one last.
#[derive(Default)]
pub(super) struct Over(Vec<One>);

struct One {
    /// The name of the stream.
    id: String,
    /// Modulo 2^32.
    h: u32,
}

impl Over {
    /// A stream is over, of whose client's stanzas so many have been dealt with.
    fn push(&mut self, id: String, h: u32) {
        if self.0.len() >= OVER_MAX {
            self.0.remove(0);
        }
        self.0.push(One { id, h });
    }

    fn h(&self, id: &str) -> Option<u32> {
        let named = self.0.iter().find(|one| one.id == id);
        named.map(|one| one.h)
    }
}

impl Account {
    /// The stream of this session, if it has one, is over, and its node says no more.
    pub(super) fn remembers_over(&mut self, session: SessionId) {
        if let Some(session) = self.sessions.get(session)
            && let Some(stream) = &session.stream
            && let Some(h) = stream.dealt_with(session.next_stanza)
        {
            self.over.push(stream.id.clone(), h);
        }
    }

    /// How many stanzas of its client have been dealt with, of a stream that is over or about to be.
    pub(super) fn handled_of(&self, id: &str) -> Option<u32> {
        let ending = || {
            self.sessions.iter().find_map(|session| {
                let stream = session.stream.as_ref()?;
                let is_meant = stream.is_ending && stream.id == id;
                is_meant.then(|| stream.dealt_with(session.next_stanza))?
            })
        };
        self.over.h(id).or_else(ending)
    }
}

/// How many are known: as many as an account usually has clients.
const OVER_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_streams_are_known() {
        let mut over = Over::default();
        for h in 0..=OVER_MAX as u32 {
            over.push(h.to_string(), h);
        }
        assert_eq!((over.h("0"), over.h("1")), (None, Some(1)));
        assert_eq!(over.h(&OVER_MAX.to_string()), Some(OVER_MAX as u32));
    }
}
