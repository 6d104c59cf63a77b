use proptest::prelude::*;

use super::*;

fn options(rate: u32, burst_ms: u32, stanzas: u32, stanzas_burst: u32) -> BandwidthOptions {
    BandwidthOptions {
        client_rate: Rate::new(rate),
        client_burst: Span::from_ms(burst_ms),
        client_stanzas_per_second: stanzas,
        client_stanzas_burst: stanzas_burst,
        ..BandwidthOptions::default()
    }
}

fn bytes() -> Bucket {
    Bucket::of_bytes(Rate::new(3_000), Span::from_ms(2_000), 0)
}

/// What is read within a time from a client that always has more, as a session reads it. A system call gives 16 KiB at
/// most.
fn flood(pace: &mut Pace, within_ms: u64) -> u64 {
    let (mut now, mut read) = (0, 0);
    while now < within_ms {
        match pace.wait_ms(now) {
            0 => {
                let count = pace.bytes_max(now).min(16 * 1024);
                pace.take(count, 0, now);
                read += count as u64;
            }
            // A session looks once a second at least, for the limits may have changed.
            wait => now += wait.min(1_000),
        }
    }
    read
}

#[test]
fn a_burst_passes_and_then_the_rate_holds() {
    let mut bucket = bytes();
    assert_eq!(bucket.take(6_000, 0), 0);
    assert_eq!(bucket.take(3_000, 0), 1_000);
    assert_eq!(bucket.wait_ms(400), 600);
    assert_eq!(bucket.take(1, 1_000), 1);
}

#[test]
fn a_stream_held_to_3_kb_a_second_is_within_3_percent_of_it_after_a_minute() {
    let exact = 3_000.0 * 60.0 + 6_000.0;
    let read = flood(
        &mut Pace::of_client(&options(3_000, 2_000, 0, 0), 0),
        60_000,
    );
    let off = (read as f64 - exact) / exact;
    assert!((0.0..0.03).contains(&off), "{read} of {exact}");
}

#[test]
fn a_stream_that_comes_again_goes_on_with_what_the_one_before_has_left() {
    let limits = options(1_000, 2_000, 10, 20);
    let mut before = Pace::of_client(&limits, 0);
    before.take(3_000, 25, 0);
    assert!(!before.is_full(0));
    let mut again = Pace::of_client(&limits, 500);
    again.go_on(before, 500);
    assert_eq!(again.wait_ms(500), 500, "it rests as long as it would have");
    let mut later = Pace::of_client(&limits, 2_000);
    later.go_on(before, 2_000);
    assert_eq!(
        later.take(1_001, 0, 2_000),
        Some(RestBy::Bytes),
        "half a burst has come"
    );
    assert!(before.is_full(3_000));
    let mut unlimited = Pace::unlimited(0);
    assert!(unlimited.is_full(0));
    unlimited.go_on(before, 0);
    assert_eq!(unlimited.wait_ms(0), 0);
    let mut limited = Pace::of_client(&limits, 0);
    limited.go_on(Pace::unlimited(0), 0);
    assert!(limited.is_full(0));
}

#[test]
fn a_client_that_waits_in_time_is_never_held() {
    let mut pace = Pace::of_client(&options(3_000, 2_000, 10, 20), 0);
    for second in 0..60 {
        assert_eq!(pace.wait_ms(second * 1_000), 0);
        assert_eq!(pace.take(3_000, 10, second * 1_000), None);
    }
}

#[test]
fn small_stanzas_are_held_by_their_number_and_large_ones_by_their_bytes() {
    let mut pace = Pace::of_client(&options(1_000, 1_000, 10, 20), 0);
    assert_eq!(pace.take(300, 20, 0), None);
    assert_eq!(pace.take(10, 1, 0), Some(RestBy::Stanzas));
    assert_eq!(pace.wait_ms(0), 100);
    assert_eq!(pace.take(3_000, 0, 100), Some(RestBy::Bytes));
    assert_eq!(pace.wait_ms(100), 2_210);
    assert_eq!(pace.wait_ms(2_310), 0, "both are level");
}

#[test]
fn the_read_behind_a_pause_is_small_and_one_with_a_full_bucket_is_not() {
    let mut pace = Pace::of_client(&options(8_000, 2_000, 0, 0), 0);
    assert_eq!(pace.bytes_max(0), 16_000);
    pace.take(16_000, 0, 0);
    assert_eq!(pace.bytes_max(0), 2_000);
    let mut slow = Pace::of_client(&options(100, 1_000, 0, 0), 0);
    assert_eq!(slow.bytes_max(0), 512);
}

#[test]
fn other_limits_hold_at_once_and_give_nothing_away() {
    let mut pace = Pace::of_client(&options(1_000, 1_000, 0, 0), 0);
    pace.take(11_000, 0, 0);
    assert_eq!(pace.wait_ms(0), 10_000);
    pace.change(Pace::of_client(&options(10_000, 1_000, 0, 0), 0), 0);
    assert_eq!(pace.wait_ms(0), 1_000, "what was overdrawn stays so");
    pace.change(Pace::unlimited(0), 0);
    assert_eq!(pace.wait_ms(0), 0);
    assert_eq!(pace.take(usize::MAX, usize::MAX, 0), None);
    pace.change(Pace::of_client(&options(1_000, 2_000, 5, 5), 0), 0);
    assert_eq!(
        pace.bytes_max(0),
        2_000,
        "who had no limit begins with a burst"
    );
}

#[test]
fn without_a_rate_there_is_no_pause() {
    let mut pace = Pace::of_client(&options(0, 0, 0, 0), 0);
    assert_eq!(pace.take(usize::MAX, usize::MAX, 0), None);
    assert_eq!((pace.wait_ms(0), pace.bytes_max(0)), (0, usize::MAX));
}

proptest! {
    #[test]
    fn no_stretch_of_time_sees_more_than_the_rate_the_burst_and_one_read(
        rate in 1_u32..100_000,
        burst_ms in 0_u32..10_000,
        steps in prop::collection::vec((0_u64..3_000, 1_usize..20_000), 1..60),
    ) {
        let mut bucket = Bucket::of_bytes(Rate::new(rate), Span::from_ms(burst_ms), 0);
        let (mut now, mut reads) = (0, Vec::new());
        for (pass, wanted) in steps {
            now += pass;
            let wait = bucket.wait_ms(now);
            now += wait;
            prop_assert_eq!(bucket.wait_ms(now), 0, "the pause is long enough");
            let count = bucket.next_max(now).min(wanted);
            bucket.take(count, now);
            reads.push((now, count as u64));
        }
        for (index, (begin, _)) in reads.iter().enumerate() {
            let mut sum = 0;
            for (end, count) in &reads[index..] {
                sum += count;
                // In thousandths. The first read may find a full bucket, and the last may overdraw it.
                let granted = u64::from(rate) * (end - begin) + u64::from(rate) * u64::from(burst_ms);
                prop_assert!(sum * 1_000 <= granted + count * 1_000);
            }
        }
    }

    #[test]
    fn a_pause_is_not_a_millisecond_too_long(rate in 1_u32..100_000, taken in 1_usize..1_000_000) {
        let mut bucket = Bucket::of_bytes(Rate::new(rate), Span::from_ms(0), 0);
        let wait = bucket.take(taken, 0);
        prop_assert_eq!(bucket.wait_ms(wait), 0);
        let mut bucket = Bucket::of_bytes(Rate::new(rate), Span::from_ms(0), 0);
        bucket.take(taken, 0);
        prop_assert!(bucket.wait_ms(wait - 1) > 0);
    }
}
