//! The throttle against its definition.

use proptest::prelude::*;

use super::*;
use crate::window::WindowSetting;

fn policy() -> RegistrationPolicy {
    RegistrationPolicy {
        mode: RegistrationMode::On,
        per_address: WindowSetting::fixed(2, 10),
        per_prefix_24: WindowSetting::fixed(3, 15),
        per_prefix_64: WindowSetting::fixed(3, 12),
        per_prefix_48: WindowSetting::fixed(4, 20),
        per_host: WindowSetting::fixed(5, 25),
        in_all: WindowSetting::fixed(6, 30),
        reservation_ms: 8_000,
        ..RegistrationPolicy::default()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A throttle with its clock and log index.
#[derive(Clone, Default)]
struct Throttle {
    registrations: Registrations,
    now: u64,
    index: u64,
}

impl Throttle {
    fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.registrations.advance(Timestamp(self.now), &policy());
    }

    fn reserve(&mut self, host: &str, address: IpAddr) -> Outcome {
        self.reserve_as(host, address, false)
    }

    fn reserve_as(&mut self, host: &str, address: IpAddr, is_listed: bool) -> Outcome {
        self.index += 1;
        let now = Timestamp(self.now);
        self.registrations
            .reserve(self.index, now, host, address, &policy(), is_listed)
    }

    fn granted(&mut self, host: &str, address: &str) -> ReservationId {
        match self.reserve(host, ip(address)) {
            Outcome::Reserved(id) => id,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_refusal_names_the_window_that_stays_full_longest() {
    let mut throttle = Throttle::default();
    throttle.granted("a", "192.0.2.1");
    throttle.wait(1_000);
    throttle.granted("a", "192.0.2.1");
    throttle.granted("a", "192.0.2.2");
    let refused = |window, retry_after_ms| Outcome::Throttled {
        window,
        retry_after_ms,
    };
    assert_eq!(
        throttle.reserve("a", ip("192.0.2.1")),
        refused(WindowKind::Prefix24, 14_000),
        "the address is free in 9 s, its /24 in 14 s"
    );
    assert_eq!(
        throttle.reserve("a", ip("192.0.2.9")),
        refused(WindowKind::Prefix24, 14_000)
    );
    throttle.granted("a", "198.51.100.1");
    throttle.granted("a", "203.0.113.1");
    assert_eq!(
        throttle.reserve("a", ip("10.0.0.1")),
        refused(WindowKind::Host, 24_000)
    );
    throttle.granted("b", "10.0.0.1");
    assert_eq!(
        throttle.reserve("b", ip("10.1.0.1")),
        refused(WindowKind::All, 29_000)
    );
}

#[test]
fn a_mapped_address_shares_the_windows_of_its_ipv4_address() {
    let mut throttle = Throttle::default();
    throttle.granted("a", "192.0.2.1");
    throttle.granted("a", "::ffff:192.0.2.1");
    let refused = throttle.reserve("a", ip("192.0.2.1"));
    assert!(matches!(
        refused,
        Outcome::Throttled {
            window: WindowKind::Address,
            ..
        }
    ));
}

#[test]
fn a_released_reservation_gives_its_place_back_at_once() {
    let mut throttle = Throttle::default();
    throttle.granted("a", "192.0.2.1");
    let id = throttle.granted("a", "192.0.2.1");
    assert_eq!(throttle.registrations.release(id), Outcome::Settled);
    assert_eq!(throttle.registrations.release(id), Outcome::NotReserved);
    assert_eq!(throttle.registrations.commit(id), Outcome::NotReserved);
    throttle.granted("a", "192.0.2.1");
}

#[test]
fn a_commit_holds_against_release_and_repetition() {
    let mut throttle = Throttle::default();
    let id = throttle.granted("a", "192.0.2.1");
    assert_eq!(throttle.registrations.commit(id), Outcome::Settled);
    assert_eq!(throttle.registrations.commit(id), Outcome::Settled);
    assert_eq!(throttle.registrations.release(id), Outcome::NotReserved);
}

#[test]
fn an_unsettled_reservation_expires_and_a_late_commit_is_told() {
    let mut throttle = Throttle::default();
    throttle.granted("a", "192.0.2.1");
    let id = throttle.granted("a", "192.0.2.1");
    throttle.wait(7_999);
    let refused = throttle.reserve("a", ip("192.0.2.1"));
    assert!(
        matches!(
            refused,
            Outcome::Throttled {
                retry_after_ms: 2_001,
                ..
            }
        ),
        "{refused:?}"
    );
    throttle.wait(1);
    assert_eq!(throttle.registrations.commit(id), Outcome::NotReserved);
    throttle.granted("a", "192.0.2.1");
}

#[test]
fn what_no_window_counts_any_more_is_forgotten() {
    let mut throttle = Throttle::default();
    for address in ["192.0.2.1", "2001:db8::1"] {
        let id = throttle.granted("a", address);
        throttle.registrations.commit(id);
    }
    assert_eq!(throttle.registrations.ledger.len(), 2 + 3 + 1 + 1);
    throttle.wait(29_999);
    assert_eq!(throttle.registrations.len(), 2);
    throttle.wait(1);
    assert_eq!(throttle.registrations, Registrations::default());
}

#[test]
fn the_throttle_refuses_rather_than_forget_when_it_remembers_too_many() {
    let policy = RegistrationPolicy {
        mode: RegistrationMode::On,
        per_host: WindowSetting::fixed(1, 3_600),
        reservation_ms: 60_000,
        ..RegistrationPolicy::default()
    };
    let mut registrations = Registrations::default();
    let mut reserve = |index: u64, host: &str| {
        let now = Timestamp(1_000 + index);
        registrations.advance(now, &policy);
        registrations.reserve(index, now, host, ip("192.0.2.1"), &policy, false)
    };
    for index in 1..=GRANTS_MAX as u64 {
        let outcome = reserve(index, &index.to_string());
        assert_eq!(outcome, Outcome::Reserved(ReservationId(index)));
    }
    let next = GRANTS_MAX as u64 + 1;
    let retry_after_ms = 60_000 + 1 - next;
    let window = WindowKind::Overload;
    assert_eq!(
        reserve(next, "one more"),
        Outcome::Throttled {
            window,
            retry_after_ms
        }
    );
    assert!(matches!(reserve(60_001, "later"), Outcome::Reserved(_)));
}

#[test]
fn lowering_a_limit_makes_the_wait_as_long_as_the_new_limit_asks() {
    let mut throttle = Throttle::default();
    throttle.granted("a", "192.0.2.1");
    throttle.wait(3_000);
    throttle.granted("a", "192.0.2.1");
    let lowered = RegistrationPolicy {
        per_address: WindowSetting::fixed(1, 10),
        ..policy()
    };
    let now = Timestamp(throttle.now);
    let outcome = throttle
        .registrations
        .reserve(9, now, "a", ip("192.0.2.1"), &lowered, false);
    let window = WindowKind::Address;
    assert_eq!(
        outcome,
        Outcome::Throttled {
            window,
            retry_after_ms: 10_000
        }
    );
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Reserve { host: u8, address: u8, listed: bool },
    Commit(prop::sample::Index),
    Release(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..6_000_u64).prop_map(Step::Wait),
        5 => (0..2_u8, 0..8_u8, prop::bool::weighted(0.2))
            .prop_map(|(host, address, listed)| Step::Reserve { host, address, listed }),
        3 => any::<prop::sample::Index>().prop_map(Step::Commit),
        1 => any::<prop::sample::Index>().prop_map(Step::Release),
    ]
}

/// Eight addresses in three /24, two /64 and one /48.
fn address(number: u8) -> IpAddr {
    ip([
        "192.0.2.1",
        "192.0.2.2",
        "::ffff:192.0.2.2",
        "198.51.100.7",
        "203.0.113.7",
        "2001:db8:0:1::1",
        "2001:db8:0:1::2",
        "2001:db8:0:2::1",
    ][usize::from(number)])
}

/// What the definition needs to know of a grant.
struct Granted {
    id: ReservationId,
    at: u64,
    host: String,
    address: IpAddr,
    /// No window counts it.
    listed: bool,
    committed: bool,
    gone: bool,
}

/// No stretch of any window's length holds more than its limit of these grants, for any key.
fn check_definition(grants: &[Granted]) {
    let mut by_key: BTreeMap<Key, (Window, Vec<u64>)> = BTreeMap::new();
    for grant in grants.iter().filter(|grant| !grant.gone && !grant.listed) {
        for (kind, key) in keys(&grant.host, grant.address) {
            let window = policy().window(kind).unwrap();
            by_key
                .entry(key)
                .or_insert((window, Vec::new()))
                .1
                .push(grant.at);
        }
    }
    for (key, (window, moments)) in by_key {
        for pair in moments.windows(window.limit() as usize + 1) {
            let stretch = pair[pair.len() - 1] - pair[0];
            assert!(
                stretch >= window.per_ms(),
                "{key:?}: {pair:?} within {window}"
            );
        }
    }
}

proptest! {
    #[test]
    fn no_stretch_of_time_ever_holds_more_than_a_limit(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut throttle = Throttle::default();
        let mut grants: Vec<Granted> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => {
                    throttle.wait(ms);
                    for grant in &mut grants {
                        grant.gone |= !grant.committed && grant.at + 8_000 <= throttle.now;
                    }
                }
                Step::Reserve { host, address: number, listed } => {
                    let (host, from) = (host.to_string(), address(number));
                    match throttle.reserve_as(&host, from, listed) {
                        Outcome::Reserved(id) => grants.push(Granted {
                            id, at: throttle.now, host, address: from, listed,
                            committed: false, gone: false,
                        }),
                        other if listed => panic!("{other:?}: no window is asked"),
                        Outcome::Throttled { retry_after_ms, .. } => {
                            check_wait(&throttle, &host, from, retry_after_ms)?;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Step::Commit(which) if !grants.is_empty() => {
                    let grant = which.get_mut(&mut grants);
                    // Committed long ago and forgotten is the same answer as gone.
                    let held = throttle.registrations.grants.contains_key(&grant.id);
                    let outcome = throttle.registrations.commit(grant.id);
                    prop_assert_eq!(outcome == Outcome::Settled, held);
                    prop_assert!(grant.committed || held != grant.gone);
                    grant.committed |= held;
                }
                Step::Release(which) if !grants.is_empty() => {
                    let grant = which.get_mut(&mut grants);
                    let settled = throttle.registrations.release(grant.id) == Outcome::Settled;
                    prop_assert_eq!(settled, !grant.gone && !grant.committed);
                    grant.gone |= settled;
                }
                Step::Commit(_) | Step::Release(_) => {}
            }
        }
        check_definition(&grants);
        let saved = Vec::from(throttle.registrations.clone());
        prop_assert_eq!(Registrations::from(saved), throttle.registrations);
    }
}

/// The wait that a refusal names is neither too short nor, if nothing expires meanwhile, too long.
fn check_wait(
    throttle: &Throttle,
    host: &str,
    from: IpAddr,
    wait_ms: u64,
) -> Result<(), TestCaseError> {
    let mut later = throttle.clone();
    later.wait(wait_ms);
    let free = matches!(later.reserve(host, from), Outcome::Reserved(_));
    prop_assert!(free, "not free after {} ms", wait_ms);
    let mut sooner = throttle.clone();
    for grant in sooner.registrations.grants.values_mut() {
        grant.expires = None;
    }
    sooner.registrations.unsettled.clear();
    sooner.wait(wait_ms - 1);
    let full = matches!(sooner.reserve(host, from), Outcome::Throttled { .. });
    prop_assert!(full, "free before {} ms", wait_ms);
    Ok(())
}

#[test]
fn an_administrator_sees_what_is_spent_where_and_empties_one_window() {
    let mut throttle = Throttle::default();
    throttle.granted("a", "192.0.2.1");
    throttle.granted("a", "192.0.2.1");
    let key = |text: &str| text.parse::<ThrottleKey>().unwrap();
    let report = |throttle: &Throttle, of: Option<&str>| {
        let of = of.map(key);
        let now = Timestamp(throttle.now);
        throttle.registrations.report(of.as_ref(), now, &policy())
    };
    let shown = report(&throttle, None);
    assert_eq!((shown.keys, shown.uses.len()), (4, 4));
    let fullest = ThrottleUse {
        key: key("address:192.0.2.1"),
        used: 2,
        limit: Some(2),
        free_in_ms: 10_000,
    };
    assert_eq!(shown.uses[0], fullest);
    assert_eq!(report(&throttle, Some("host:a")).uses[0].used, 2);
    assert_eq!(report(&throttle, Some("host:b")).keys, 0);

    let forgiven = throttle.registrations.reset(&key("address:192.0.2.1"));
    assert_eq!(forgiven, Outcome::ThrottleReset { forgiven: 2 });
    let bytes = crate::state::encode(&throttle.registrations);
    throttle.registrations = crate::state::decode(&bytes).unwrap();
    assert_eq!(report(&throttle, Some("address:192.0.2.1")).keys, 0);
    throttle.granted("a", "192.0.2.1");
    assert_eq!(
        report(&throttle, Some("prefix_24:192.0.2.9")).uses[0].used,
        3
    );
    throttle.wait(60_000);
    assert_eq!(report(&throttle, None).keys, 0);
}

/// A full throttle: every registration from another address, so many of them from one /24.
fn filled(of_one_prefix: usize) -> Registrations {
    let policy = overload_policy(OverloadRule::Refuse);
    let mut registrations = Registrations::default();
    for index in 0..GRANTS_MAX as u64 {
        let address = match (index as usize) < of_one_prefix {
            true => ip("203.0.113.7"),
            false => IpAddr::from((10 << 24 | (index as u32) << 8).to_be_bytes()),
        };
        let outcome = registrations.reserve(index + 1, Timestamp(0), "a", address, &policy, false);
        assert!(matches!(outcome, Outcome::Reserved(_)));
    }
    registrations
}

fn overload_policy(overload: OverloadRule) -> RegistrationPolicy {
    RegistrationPolicy {
        mode: RegistrationMode::On,
        overload,
        ..RegistrationPolicy::default()
    }
}

#[test]
fn while_the_throttle_is_full_the_rule_decides_whether_listed_ones_are_let_in() {
    let mut registrations = filled(0);
    let at = GRANTS_MAX as u64 + 1;
    let mut reserve = |rule, is_listed| {
        let (now, policy) = (Timestamp(0), overload_policy(rule));
        registrations.reserve(at, now, "a", ip("192.0.2.1"), &policy, is_listed)
    };
    let window = WindowKind::Overload;
    for (rule, is_listed) in [
        (OverloadRule::Refuse, false),
        (OverloadRule::Refuse, true),
        (OverloadRule::AllowListed, false),
    ] {
        let outcome = reserve(rule, is_listed);
        assert!(matches!(outcome, Outcome::Throttled { window: of, .. } if of == window));
    }
    let outcome = reserve(OverloadRule::AllowListed, true);
    assert!(matches!(outcome, Outcome::Reserved(_)), "{outcome:?}");
}

#[test]
fn listed_ones_that_settle_nothing_are_bounded_as_well() {
    let policy = overload_policy(OverloadRule::AllowListed);
    let mut registrations = Registrations::default();
    let mut reserve =
        |index| registrations.reserve(index, Timestamp(0), "a", ip("192.0.2.1"), &policy, true);
    for index in 1..=EXEMPT_MAX as u64 {
        assert!(matches!(reserve(index), Outcome::Reserved(_)));
    }
    let refused = reserve(EXEMPT_MAX as u64 + 1);
    assert!(matches!(refused, Outcome::Throttled { .. }), "{refused:?}");
    assert_eq!(registrations.commit(ReservationId(1)), Outcome::Settled);
    assert_eq!(registrations.exempt, EXEMPT_MAX - 1);
    let saved = Vec::from(registrations.clone());
    assert_eq!(Registrations::from(saved), registrations);
    registrations.advance(Timestamp(60_000), &policy);
    assert_eq!(registrations, Registrations::default());
}

#[test]
fn only_a_prefix_that_holds_a_hundredth_of_a_full_throttle_is_its_filler() {
    let policy = RegistrationPolicy::default();
    let filler = filled(FILLING_MIN).fullest_prefix(&policy);
    assert_eq!(filler, "203.0.113.0/24".parse().ok());
    assert_eq!(filled(FILLING_MIN - 1).fullest_prefix(&policy), None);
}

#[test]
fn all_windows_are_emptied_at_once_and_those_under_way_can_still_be_settled() {
    let mut throttle = Throttle::default();
    let done = throttle.granted("a", "192.0.2.1");
    throttle.registrations.commit(done);
    let under_way = throttle.granted("a", "192.0.2.1");
    assert_eq!(
        throttle.registrations.reset_all(),
        Outcome::ThrottleReset { forgiven: 2 }
    );
    assert_eq!(throttle.registrations.ledger.len(), 0);
    let bytes = crate::state::encode(&throttle.registrations);
    throttle.registrations = crate::state::decode(&bytes).unwrap();
    assert_eq!(throttle.registrations.ledger.len(), 0);
    assert_eq!(throttle.registrations.commit(under_way), Outcome::Settled);
    throttle.granted("a", "192.0.2.1");
    throttle.granted("a", "192.0.2.1");
}

#[test]
fn a_throttle_that_shall_remember_less_is_full_sooner() {
    let policy = RegistrationPolicy {
        remembered_max: 2,
        ..overload_policy(OverloadRule::Refuse)
    };
    let mut registrations = Registrations::default();
    let mut reserve = |index, address| {
        registrations.reserve(index, Timestamp(0), "a", ip(address), &policy, false)
    };
    for (index, address) in [(1, "203.0.113.7"), (2, "203.0.113.8")] {
        assert!(matches!(reserve(index, address), Outcome::Reserved(_)));
    }
    let refused = reserve(3, "192.0.2.1");
    let window = WindowKind::Overload;
    assert!(matches!(refused, Outcome::Throttled { window: of, .. } if of == window));
    let filler = registrations.fullest_prefix(&policy);
    assert_eq!(filler, "203.0.113.0/24".parse().ok());
}

/// What is remembered at most.
const GRANTS_MAX: usize = Window::LIMIT_MAX as usize;

/// What one prefix fills of it before it is out.
const FILLING_MIN: usize = GRANTS_MAX / FILLING_PARTS;
