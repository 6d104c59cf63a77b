//! What a user does at a turn, and how often.

/// One thing that a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Says something to the partner, with the typing state that comes before.
    Chat,
    /// Types and says nothing (XEP-0085).
    Typing,
    /// Goes away or comes back.
    Presence,
    /// Fetches the roster.
    Roster,
    /// XEP-0199.
    Ping,
    /// Looks at the partner's vCard (XEP-0054).
    GetVcard,
    /// Changes the own vCard.
    SetVcard,
    /// XEP-0030 on the server.
    Discovery,
    /// Leaves and comes back over a new connection.
    Relogin,
}

impl Action {
    /// The next thing to do.
    pub(super) fn choose(random: &mut Random) -> Self {
        let all: u64 = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut ticket = random.next() % all;
        for (weight, action) in WEIGHTS {
            match ticket.checked_sub(weight) {
                Some(rest) => ticket = rest,
                None => return action,
            }
        }
        Self::Chat
    }

    /// What its latency is called in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Typing => "typing",
            Self::Presence => "presence",
            Self::Roster => "roster get",
            Self::Ping => "ping",
            Self::GetVcard => "vcard get",
            Self::SetVcard => "vcard set",
            Self::Discovery => "disco",
            Self::Relogin => "relogin",
        }
    }

    /// The request's type, address (of the partner, if so) and payload, for those that are IQs.
    pub(super) fn request(self) -> Option<(&'static str, bool, &'static str)> {
        Some(match self {
            Self::Roster => ("get", false, "<query xmlns='jabber:iq:roster'/>"),
            Self::Ping => ("get", false, "<ping xmlns='urn:xmpp:ping'/>"),
            Self::GetVcard => ("get", true, "<vCard xmlns='vcard-temp'/>"),
            Self::SetVcard => (
                "set",
                false,
                "<vCard xmlns='vcard-temp'><FN>Load</FN></vCard>",
            ),
            Self::Discovery => (
                "get",
                false,
                "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            ),
            Self::Chat | Self::Typing | Self::Presence | Self::Relogin => return None,
        })
    }
}

/// Of a thousand things that users do.
const WEIGHTS: [(u64, Action); 9] = [
    (430, Action::Chat),
    (220, Action::Typing),
    (60, Action::Presence),
    (40, Action::Roster),
    (120, Action::Ping),
    (50, Action::GetVcard),
    (10, Action::SetVcard),
    (40, Action::Discovery),
    (30, Action::Relogin),
];

/// SplitMix64: the same seed and account give the same day.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of one account.
    pub(super) fn new(seed: u64, account: u32) -> Self {
        let mut random = Self(seed ^ (u64::from(account) << 32));
        Self(random.next())
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(seed: u64) -> Vec<Action> {
        let mut random = Random::new(seed, 7);
        (0..1000).map(|_| Action::choose(&mut random)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_day_and_another_gives_another() {
        assert_eq!(day(1), day(1));
        assert_ne!(day(1), day(2));
    }

    #[test]
    fn a_day_has_something_of_everything_and_mostly_chats() {
        let day = day(1);
        for (_, action) in WEIGHTS {
            assert!(day.contains(&action), "{action:?}");
        }
        assert!(day.iter().filter(|action| **action == Action::Chat).count() > 300);
    }
}
