//! The sessions that a stream was before: what their nodes still say is void.

use rookery_session::carrier::SessionId;

/// They, the last one last.
#[derive(Default)]
pub(super) struct Former(Vec<One>);

struct One {
    session: SessionId,
    /// Its node has said its last word of it, or is gone.
    is_over: bool,
}

impl Former {
    /// Those that a former owner of the shard knew of.
    pub(super) fn known(sessions: impl Iterator<Item = SessionId>) -> Self {
        let one = |session| One {
            session,
            is_over: true,
        };
        Self(sessions.map(one).collect())
    }

    /// The stream was this one until now. The oldest of those that have nothing to say is forgotten for it.
    pub(super) fn push(&mut self, session: SessionId) {
        if self.0.len() >= FORMER_MAX {
            let over = self.0.iter().position(|one| one.is_over);
            self.0.remove(over.unwrap_or(0));
        }
        self.0.push(One {
            session,
            is_over: false,
        });
    }

    /// The stream is the last one again.
    pub(super) fn pop(&mut self) -> Option<SessionId> {
        self.0.pop().map(|one| one.session)
    }

    /// Whether it was this one.
    pub(super) fn contains(&self, session: SessionId) -> bool {
        self.0.iter().any(|one| one.session == session)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = SessionId> {
        self.0.iter().map(|one| one.session)
    }

    /// A node has said its last word of one.
    pub(super) fn is_over(&mut self, session: SessionId) {
        let ones = self.0.iter_mut().filter(|one| one.session == session);
        ones.for_each(|one| one.is_over = true);
    }

    /// Whether so many may still say something that another one would be forgotten too early.
    pub(super) fn is_full(&self) -> bool {
        self.0.iter().filter(|one| !one.is_over).count() >= FORMER_MAX
    }
}

/// How many are known: a client that comes back more often within the time in which a node says its last words is no
/// client.
const FORMER_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(serial: u64) -> SessionId {
        SessionId { node: 1, serial }
    }

    #[test]
    fn those_that_may_say_something_are_known_and_are_not_too_many() {
        let mut former = Former::known([id(100)].into_iter());
        for serial in 0..FORMER_MAX as u64 {
            assert!(!former.is_full());
            former.push(id(serial));
        }
        assert!(former.is_full());
        assert!(former.contains(id(0)) && !former.contains(id(100)));
        former.is_over(id(3));
        assert!(!former.is_full() && former.contains(id(3)));
        former.push(id(200));
        assert!(former.contains(id(0)) && !former.contains(id(3)));
        assert_eq!(former.pop(), Some(id(200)));
        assert_eq!(former.iter().count(), FORMER_MAX - 1);
    }
}
