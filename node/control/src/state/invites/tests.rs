//! Invitations against their definition, as part of the whole state.

use proptest::prelude::*;

use super::*;
use crate::state::{
    Command, ControlState, NodeId, Proposal, RegistrationMode, RegistrationPolicy, RequestId,
};
use crate::window::WindowSetting;

const HOST: &str = "a.example";
const DAY: u64 = 86_400_000;

/// A state with its clock, its log index and request numbers.
#[derive(Default)]
struct Group {
    state: ControlState,
    now: u64,
    index: u64,
}

impl Group {
    fn new(mode: RegistrationMode) -> Self {
        let mut group = Self::default();
        let policy = RegistrationPolicy {
            mode,
            per_address: WindowSetting::fixed(1, 3_600),
            reservation_ms: 8_000,
            ..RegistrationPolicy::default()
        };
        group.ask(Command::ConfigureRegistration { policy });
        group
    }

    fn ask(&mut self, command: Command) -> Outcome {
        self.index += 1;
        let proposal = Proposal {
            request: RequestId {
                node: NodeId::FIRST,
                incarnation: 1,
                sequence: self.index,
            },
            acknowledged: self.index,
            now: Timestamp(self.now),
            command,
        };
        self.state.apply(self.index, &proposal)
    }

    fn create(&mut self, invites: NewInvites) -> Outcome {
        self.ask(Command::CreateInvites { invites })
    }

    fn register(&mut self, name: &str, token: Option<&str>) -> Outcome {
        self.register_at(HOST, name, token.map(|token| (token, self.now)))
    }

    fn register_at(&mut self, host: &str, name: &str, shown: Option<(&str, u64)>) -> Outcome {
        self.ask(Command::Reserve {
            host: host.into(),
            address: [192, 0, 2, 1].into(),
            name: name.into(),
            forms: None,
            invite: shown.map(|(token, at)| ShownInvite {
                id: InviteId::of(token),
                shown: Timestamp(at),
            }),
        })
    }

    fn invite(&self, token: &str) -> &Invite {
        &self.state.invites.invites[&InviteId::of(token)]
    }
}

fn invites(token: &str, uses: u32) -> NewInvites {
    NewInvites {
        ids: vec![InviteId::of(token)],
        kind: InviteKind::Account,
        host: HOST.into(),
        by: None,
        name: None,
        uses,
        expires: Timestamp(7 * DAY),
        user_max: 3,
    }
}

fn of_user(token: &str) -> NewInvites {
    NewInvites {
        by: Some("romeo@a.example".into()),
        ..invites(token, 1)
    }
}

fn place(outcome: &Outcome) -> ReservationId {
    outcome
        .reservation()
        .unwrap_or_else(|| panic!("{outcome:?}"))
}

fn refused(outcome: &Outcome) -> InviteRefused {
    match outcome {
        Outcome::InviteRefused(refused) => *refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_a_token_nobody_registers_where_it_is_for_the_invited() {
    let mut group = Group::new(RegistrationMode::Invite);
    group.create(invites("t", 1));
    assert_eq!(group.register("olga", None), Outcome::InviteNeeded);
    let wrong = group.register("olga", Some("guess"));
    assert_eq!(refused(&wrong), InviteRefused::Unknown);
    let elsewhere = group.register_at("b.example", "olga", Some(("t", 0)));
    assert_eq!(refused(&elsewhere), InviteRefused::Unknown);
    place(&group.register("olga", Some("t")));
    let mut closed = Group::new(RegistrationMode::Closed);
    closed.create(invites("t", 1));
    assert_eq!(closed.register("olga", Some("t")), Outcome::Closed);
}

#[test]
fn a_use_comes_back_with_its_place_and_is_gone_with_the_account() {
    let mut group = Group::new(RegistrationMode::Invite);
    group.create(invites("t", 1));
    let first = place(&group.register("olga", Some("t")));
    let second = group.register("igor", Some("t"));
    assert_eq!(refused(&second), InviteRefused::Used);
    group.ask(Command::Release { reservation: first });
    let second = place(&group.register("igor", Some("t")));
    group.now += 8_000;
    let third = place(&group.register("ivan", Some("t")));
    let late = group.ask(Command::Commit {
        reservation: second,
    });
    assert_eq!(late, Outcome::NotReserved, "it was given back before");
    let reservation = third;
    for _ in 0..2 {
        group.ask(Command::Commit { reservation });
    }
    group.ask(Command::Release { reservation });
    let fourth = group.register("anna", Some("t"));
    assert_eq!(refused(&fourth), InviteRefused::Used);
    assert_eq!((group.invite("t").used, group.invite("t").taken), (1, 0));
}

#[test]
fn the_operators_guests_pass_the_windows_and_users_guests_do_not() {
    for mode in [RegistrationMode::On, RegistrationMode::Invite] {
        let mut group = Group::new(mode);
        group.create(invites("t", 3));
        group.create(NewInvites {
            uses: 3,
            ..of_user("u")
        });
        for name in ["a", "b"] {
            place(&group.register(name, Some("t")));
        }
        let first = place(&group.register("c", Some("u")));
        group.ask(Command::Commit { reservation: first });
        let second = group.register("d", Some("u"));
        assert!(matches!(second, Outcome::Throttled { .. }), "{second:?}");
        assert_eq!(group.invite("u").taken, 0, "a refusal takes nothing");
        place(&group.register("e", Some("t")));
    }
    let mut open = Group::new(RegistrationMode::Off);
    open.create(of_user("u"));
    let reservation = place(&open.register("a", Some("u")));
    assert!(reservation.is_counted(), "there is a use to settle");
    open.ask(Command::Commit { reservation });
    let again = open.register("b", Some("u"));
    assert_eq!(refused(&again), InviteRefused::Used);
    place(&open.register("b", None));
}

#[test]
fn a_token_ends_but_not_for_who_has_shown_it_in_time() {
    let mut group = Group::new(RegistrationMode::Invite);
    group.create(invites("t", 5));
    let end = 7 * DAY;
    group.now = end - 1;
    assert!(matches!(
        group.ask(Command::CheckInvite {
            host: Some(HOST.into()),
            id: InviteId::of("t")
        }),
        Outcome::InviteChecked(Ok(_))
    ));
    group.now = end;
    assert_eq!(
        refused(&group.register("a", Some("t"))),
        InviteRefused::Expired
    );
    place(&group.register_at(HOST, "a", Some(("t", end - 1))));
    group.now = end + Invites::SHOWN_MS_MAX - 1;
    place(&group.register_at(HOST, "b", Some(("t", end - 1))));
    let long_ago = group.register_at(HOST, "c", Some(("t", 0)));
    assert!(long_ago.reservation().is_some(), "an hour at most counts");
    group.now += 1;
    let late = group.register_at(HOST, "c", Some(("t", end - 1)));
    assert_eq!(refused(&late), InviteRefused::Unknown, "it is forgotten");
    assert!(group.state.invites.is_empty());
}

#[test]
fn a_name_is_kept_for_its_guest_as_long_as_the_invitation_can_be_used() {
    let mut group = Group::new(RegistrationMode::Off);
    let named = |token: &str| NewInvites {
        name: Some("juliet".into()),
        ..invites(token, 9)
    };
    assert_eq!(group.create(named("t")), Outcome::InvitesMade);
    assert_eq!(group.create(named("u")), Outcome::InviteHeld);
    assert_eq!(group.invite("t").uses, 1, "one name, one account");
    let stranger = group.register("juliet", None);
    assert!(matches!(stranger, Outcome::NameWithheld { .. }));
    group.create(invites("other", 1));
    let guest = group.register("juliet", Some("other"));
    assert!(matches!(guest, Outcome::NameWithheld { .. }));
    let other = group.register("romeo", Some("t"));
    assert_eq!(refused(&other), InviteRefused::OtherName);
    place(&group.register_at("b.example", "juliet", None));
    let reservation = place(&group.register("juliet", Some("t")));
    let stranger = group.register("juliet", None);
    assert!(
        matches!(stranger, Outcome::NameWithheld { .. }),
        "it may come back"
    );
    group.ask(Command::Commit { reservation });
    place(&group.register("juliet", None));
    assert_eq!(group.create(named("u")), Outcome::InvitesMade);
    group.ask(Command::RevokeInvites {
        ids: vec![InviteId::of("t"), InviteId::of("u")],
    });
    place(&group.register("juliet", None));
}

#[test]
fn a_user_has_so_many_and_the_operator_always_finds_room() {
    let mut group = Group::new(RegistrationMode::Invite);
    for token in ["a", "b", "c"] {
        assert_eq!(group.create(of_user(token)), Outcome::InvitesMade);
    }
    let reservation = place(&group.register("olga", Some("a")));
    group.ask(Command::Commit { reservation });
    let used = group.create(of_user("d"));
    assert_eq!(used, Outcome::InvitesOfUserFull, "used or not");
    group.now = 7 * DAY + Invites::SHOWN_MS_MAX;
    let later = NewInvites {
        expires: Timestamp(20 * DAY),
        ..of_user("d")
    };
    assert_eq!(group.create(later), Outcome::InvitesMade);

    let mut full = Group::new(RegistrationMode::Invite);
    let many = |from: usize, by: Option<String>| NewInvites {
        ids: (from..from + Invites::AT_ONCE_MAX)
            .map(|number| InviteId::of(&number.to_string()))
            .collect(),
        by,
        user_max: 1_000,
        ..invites("", 1)
    };
    for at in (0..Invites::OF_USERS_MAX).step_by(Invites::AT_ONCE_MAX) {
        let by = format!("u{}@a.example", at / 1_000);
        assert_eq!(full.create(many(at, Some(by))), Outcome::InvitesMade);
    }
    let more = many(Invites::OF_USERS_MAX, Some("x@a.example".into()));
    assert_eq!(full.create(more), Outcome::InvitesFull);
    for at in (Invites::OF_USERS_MAX..Invites::INVITES_MAX).step_by(Invites::AT_ONCE_MAX) {
        assert_eq!(full.create(many(at, None)), Outcome::InvitesMade);
    }
    assert_eq!(full.create(invites("one more", 1)), Outcome::InvitesFull);
    assert_eq!(full.state.invites.len(), Invites::INVITES_MAX);
}

#[test]
fn pages_follow_one_another_and_bounds_hold() {
    let mut group = Group::new(RegistrationMode::Invite);
    let ids: Vec<_> = (0..90).map(|it| InviteId::of(&it.to_string())).collect();
    group.create(NewInvites {
        ids,
        uses: 0,
        expires: Timestamp(u64::MAX),
        ..invites("", 1)
    });
    group.create(NewInvites {
        uses: u32::MAX,
        ..invites("x", 1)
    });
    assert_eq!(group.invite("x").uses, Invites::USES_MAX);
    assert_eq!(group.invite("1").uses, 1);
    assert_eq!(group.invite("1").expires, Timestamp(Invites::LIFE_MS_MAX));
    let ids = (100..120).map(|it| InviteId::of(&it.to_string())).collect();
    group.create(NewInvites { ids, ..of_user("") });
    let ids = (100..103).map(|it| InviteId::of(&it.to_string())).collect();
    group.create(NewInvites { ids, ..of_user("") });
    let first = group.state.invites.page(None, None);
    assert!(!first.more, "94 fit");
    assert_eq!((first.invites.len(), first.in_all), (94, 94));
    let behind = group.state.invites.page(Some(first.invites[89].id), None);
    assert_eq!(behind.invites, first.invites[90..]);
    let own = group.state.invites.page(None, Some("romeo@a.example"));
    assert_eq!(own.invites.len(), 3);
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Create { token: u8, uses: u32 },
    Register { token: u8 },
    Commit(prop::sample::Index),
    Release(prop::sample::Index),
    Revoke { token: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let token = 0..3_u8;
    prop_oneof![
        2 => (0..6_000_u64).prop_map(Step::Wait),
        1 => (Just(7 * DAY / 2)).prop_map(Step::Wait),
        2 => (token.clone(), 1..4_u32).prop_map(|(token, uses)| Step::Create { token, uses }),
        8 => token.clone().prop_map(|token| Step::Register { token }),
        4 => any::<prop::sample::Index>().prop_map(Step::Commit),
        2 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => token.prop_map(|token| Step::Revoke { token }),
    ]
}

/// What the definition needs to know of an attempt.
struct Attempt {
    reservation: ReservationId,
    token: u8,
    /// Which invitation of this token: the last one that was made.
    made: u64,
    at: u64,
    committed: bool,
    gone: bool,
}

/// What the definition needs to know of an invitation.
#[derive(Clone, Copy)]
struct Made {
    at: u64,
    uses: u32,
    expires: u64,
}

proptest! {
    /// An attempt is let through if and only if fewer than `uses` were let through before it that have led to an
    /// account or still may.
    #[test]
    fn a_use_is_one_account_whatever_fails(steps in prop::collection::vec(step(), 1..120)) {
        let mut group = Group::new(RegistrationMode::Invite);
        let mut made: BTreeMap<u8, Made> = BTreeMap::new();
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut serial = 0;
        for step in steps {
            match step {
                Step::Wait(ms) => {
                    group.now += ms;
                    let now = group.now;
                    for it in &mut attempts {
                        it.gone |= !it.committed && it.at + 8_000 <= now;
                    }
                }
                Step::Create { token, uses } => {
                    serial += 1;
                    let expires = group.now + 7 * DAY;
                    let new = NewInvites { expires: Timestamp(expires), ..invites(&token.to_string(), uses) };
                    let outcome = group.create(new);
                    let is_known = made.get(&token).is_some_and(|it| {
                        group.now < it.expires + Invites::SHOWN_MS_MAX
                    });
                    prop_assert_eq!(outcome == Outcome::InviteHeld, is_known);
                    if !is_known {
                        made.insert(token, Made { at: serial, uses, expires });
                    }
                }
                Step::Register { token } => {
                    serial += 1;
                    let outcome = group.register(&format!("n{serial}"), Some(&token.to_string()));
                    let expected = made.get(&token).is_some_and(|it| {
                        let of_it = |a: &&Attempt| a.token == token && a.made == it.at && !a.gone;
                        let open = attempts.iter().filter(of_it).count() < it.uses as usize;
                        open && group.now < it.expires
                    });
                    prop_assert_eq!(outcome.reservation().is_some(), expected, "{:?}", outcome);
                    if let Some(reservation) = outcome.reservation() {
                        let (made, at) = (made[&token].at, group.now);
                        attempts.push(Attempt { reservation, token, made, at, committed: false, gone: false });
                    }
                }
                Step::Commit(which) if !attempts.is_empty() => {
                    let it = which.get_mut(&mut attempts);
                    let outcome = group.ask(Command::Commit { reservation: it.reservation });
                    prop_assert!(it.committed || (outcome == Outcome::Settled) != it.gone);
                    it.committed |= outcome == Outcome::Settled;
                }
                Step::Release(which) if !attempts.is_empty() => {
                    let it = which.get_mut(&mut attempts);
                    let outcome = group.ask(Command::Release { reservation: it.reservation });
                    prop_assert_eq!(outcome == Outcome::Settled, !it.gone && !it.committed);
                    it.gone |= outcome == Outcome::Settled;
                }
                Step::Revoke { token } => {
                    group.ask(Command::RevokeInvites { ids: vec![InviteId::of(&token.to_string())] });
                    made.remove(&token);
                }
                Step::Commit(_) | Step::Release(_) => {}
            }
            for invite in group.state.invites.invites.values() {
                prop_assert!(invite.used + invite.taken <= invite.uses);
            }
        }
        let restored = ControlState::restore(&group.state.snapshot()).unwrap();
        prop_assert_eq!(restored, group.state);
    }
}
