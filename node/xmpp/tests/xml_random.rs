//! Both lanes over generated elements and streams, for some seconds or as long as
//! `ROOKERY_FUZZ_SECONDS` says.

use std::time::{Duration, Instant};

use rookery_xmpp::entropy::{Entropy, Seeded};
use rookery_xmpp::xml::Content;
use rookery_xmpp::xml::testing::{
    Fault, Generator, STANZAS, Setup, check, check_stream_header, plant,
};

/// How long a test may look for something.
fn duration() -> Duration {
    let seconds = std::env::var("ROOKERY_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// The first case of this run; another one makes others.
fn seed() -> u64 {
    let seed = std::env::var("ROOKERY_FUZZ_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    seed.unwrap_or(1)
}

/// Makes and checks one case. Every case has a seed of its own, so that it alone can be repeated.
fn run_case(seed: u64, streams: bool) -> Result<(), String> {
    let mut entropy = Seeded::new(seed);
    let setups = Setup::all();
    let setup = &setups[entropy.below(setups.len() as u64) as usize];
    let mut generator = Generator::new(&mut entropy);
    let bytes = if streams {
        generator.stream()
    } else {
        generator.element()
    };
    check(&bytes, setup, |bound| entropy.below(bound as u64) as usize)
        .map_err(|error| format!("{error}\n  source {:?}", String::from_utf8_lossy(&bytes)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bound on the test's own run time"
)]
fn run_cases(streams: bool, seed: u64) -> u64 {
    let start = Instant::now();
    let mut cases = 0;
    while start.elapsed() < duration() {
        for _ in 0..100 {
            let case = seed.wrapping_mul(1_000_003).wrapping_add(cases);
            if let Err(error) = run_case(case, streams) {
                panic!("case {case}: {error}");
            }
            cases += 1;
        }
    }
    cases
}

#[test]
fn generated_elements_are_read_alike_by_both_lanes() {
    println!("{} elements", run_cases(false, seed()));
}

#[test]
fn generated_streams_are_read_alike_by_both_lanes() {
    println!("{} streams", run_cases(true, seed()));
}

/// Some starts of streams, most of them acceptable before they are spoiled.
const HEADERS: &[&str] = &[
    "<?xml version='1.0'?><stream:stream to='a.example' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
    "<?xml version=\"1.0\" encoding='UTF-8' standalone='yes' ?>\r\n<s:stream xmlns:s=\"http://etherx.jabber.org/streams\" xmlns=\"jabber:server\" xmlns:db='jabber:server:dialback' from='b.example' to='a&amp;b' xml:lang='de' version='1.1' id='x&#13;'>",
    "\n<stream xmlns='http://etherx.jabber.org/streams' xmlns:c='jabber:client'><c:message/></stream>",
];

#[test]
fn starts_of_streams_are_read_alike_in_chunks() {
    let mut opened = 0;
    for case in 0..2_000 {
        let mut entropy = Seeded::new(case);
        let mut bytes = HEADERS[entropy.below(3) as usize].as_bytes().to_vec();
        for _ in 0..entropy.below(3) {
            Generator::new(&mut entropy).mutate(&mut bytes);
        }
        let content = [Content::Client, Content::Server][entropy.below(2) as usize];
        let cuts = |bound: usize| entropy.below(bound as u64) as usize;
        match check_stream_header(&bytes, content, cuts) {
            Ok(reading) => opened += reading.items.len(),
            Err(error) => panic!("{error}\n  source {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    assert!(opened > 300, "{opened}");
}

#[test]
fn what_once_told_the_lanes_apart_does_so_no_more() {
    for source in [
        "<a xmlns='urn:a&#9;'/>",
        "<a xmlns=\"urn:a&#13;\"/>",
        "<a xmlns='a&amp;b'><b xmlns='a&#38;b'/></a>",
        "<message b='&\u{fffd}&'/>",
        "</a>",
        "<a b='x\ry\r'/>",
    ] {
        for setup in Setup::all() {
            if let Err(error) = check(source.as_bytes(), &setup, |bound| bound / 2) {
                panic!("{source}: {error}");
            }
        }
    }
}

#[test]
fn realistic_stanzas_are_accepted_and_nearly_all_of_them_by_the_fast_lane() {
    let mut left = Vec::new();
    for stanza in STANZAS {
        let setup = &Setup::all()[0];
        if let Err(error) = check(stanza.as_bytes(), setup, |bound| bound / 2) {
            panic!("{error}");
        }
        let mut reader = setup.reader(true);
        let read = reader.next(&mut stanza.as_bytes(), &mut Vec::new());
        assert!(matches!(read, Ok(Some(_))), "{stanza}: {read:?}");
        if reader.counts().fast == 0 {
            left.push(*stanza);
        }
    }
    assert!(left.len() <= 3, "left to the reference lane: {left:#?}");
}

#[test]
fn every_planted_fault_is_found_within_ten_thousand_elements() {
    let found_at = |fault| {
        plant(Some(fault));
        let found = (0..10_000).find(|case| {
            std::panic::catch_unwind(|| run_case(*case, false)).is_ok_and(|r| r.is_err())
        });
        plant(None);
        found
    };
    let hidden: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| found_at(*fault).is_none())
        .collect();
    assert!(hidden.is_empty(), "no check finds {hidden:?}");
}
