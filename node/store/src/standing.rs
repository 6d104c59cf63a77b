//! How an account stands: in use, waiting for a moderator's approval, or about to be deleted.
//!
//! ```text
//! registered, mode `approval` ─► Awaiting ── approved ─► Member ── removed ─► Leaving ── its time is over ─► deleted
//!                                   │  denied, or nobody looked in time        │  ▲         (tombstone: `[names]`)
//!                                   └─► deleted                    restored ◄──┘  │
//!                                                                     └─ Member ──┘
//! ```
//!
//! It is kept beside whether an operator has disabled the account, so an account that was disabled before it left is
//! disabled when it is restored. Nobody logs in to an account that is not a [`Member`](Standing::Member). Whatever it
//! owns stays until it is deleted.

use rookery_xmpp::clock::Timestamp;

/// How an account stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It is in use.
    #[default]
    Member,
    /// It was registered, and a moderator has yet to approve it.
    Awaiting {
        /// Since when.
        since: Timestamp,
    },
    /// It was removed, and is deleted at the end of a period of grace unless an operator restores it.
    Leaving {
        /// When it was removed.
        since: Timestamp,
        /// When it is deleted.
        until: Timestamp,
        /// Who removed it.
        by: Remover,
    },
}

/// Who removed an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remover {
    /// Its owner (XEP-0077 3.2).
    Owner,
    /// An operator.
    Operator,
}

impl Standing {
    /// Whether the account is in use.
    pub fn is_member(self) -> bool {
        self == Self::Member
    }

    /// Whether it waits for a moderator.
    pub fn is_awaiting(self) -> bool {
        matches!(self, Self::Awaiting { .. })
    }

    /// Whether it is about to be deleted.
    pub fn is_leaving(self) -> bool {
        matches!(self, Self::Leaving { .. })
    }

    /// Whether its period of grace is over.
    pub fn has_left(self, now: Timestamp) -> bool {
        matches!(self, Self::Leaving { until, .. } if until <= now)
    }

    /// Since when it stands so, where that is kept.
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::Member => None,
            Self::Awaiting { since } | Self::Leaving { since, .. } => Some(since),
        }
    }

    /// When it is deleted, if it is leaving.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Leaving { until, .. } => Some(until),
            Self::Member | Self::Awaiting { .. } => None,
        }
    }

    /// Who removed it, if it is leaving.
    pub fn by(self) -> Option<Remover> {
        match self {
            Self::Leaving { by, .. } => Some(by),
            Self::Member | Self::Awaiting { .. } => None,
        }
    }

    /// The standing of these parts; a member where there is none. Whoever left without a known remover was removed
    /// by an operator.
    pub fn from_parts(
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        by: Option<Remover>,
    ) -> Self {
        match (since, until) {
            (None, None) => Self::Member,
            (Some(since), None) => Self::Awaiting { since },
            (since, Some(until)) => Self::Leaving {
                since: since.unwrap_or(until),
                until,
                by: by.unwrap_or(Remover::Operator),
            },
        }
    }

    /// A short stable word, for operators and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Awaiting { .. } => "awaiting",
            Self::Leaving { .. } => "leaving",
        }
    }
}

impl Remover {
    /// A short stable word, for operators and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
        }
    }

    /// The number that stores keep.
    pub fn code(self) -> u8 {
        match self {
            Self::Owner => 1,
            Self::Operator => 2,
        }
    }

    /// The remover of a number; none for a number of no other.
    pub fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Owner),
            2 => Some(Self::Operator),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_is_made_of_its_parts_again() {
        let (since, until) = (Timestamp(5), Timestamp(9));
        for by in [Remover::Owner, Remover::Operator] {
            assert_eq!(Remover::of_code(by.code()), Some(by));
            let all = [
                Standing::Member,
                Standing::Awaiting { since },
                Standing::Leaving { since, until, by },
            ];
            for standing in all {
                let (since, until, by) = (standing.since(), standing.until(), standing.by());
                assert_eq!(Standing::from_parts(since, until, by), standing);
            }
        }
    }

    #[test]
    fn an_account_has_left_from_the_end_of_its_grace_on() {
        let (since, until, by) = (Timestamp(5), Timestamp(9), Remover::Owner);
        let leaving = Standing::Leaving { since, until, by };
        let left = [8, 9, 10].map(|now| leaving.has_left(Timestamp(now)));
        assert_eq!(left, [false, true, true]);
        assert!(!Standing::Awaiting { since }.has_left(Timestamp(u64::MAX)));
    }
}
