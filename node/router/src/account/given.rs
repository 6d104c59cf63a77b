//! Parts of what a session was given.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use rookery_session::carrier::{Delivered, Logged};

/// Of these what has a number behind this one, without it.
pub(super) fn behind(unacked: &[Delivered], number: u64) -> Vec<Delivered> {
    let mut behind = behind_keeping(unacked, number);
    behind.iter_mut().for_each(|delivered| delivered.number = 0);
    behind
}

/// Of these what has a number behind this one.
pub(super) fn behind_keeping(unacked: &[Delivered], number: u64) -> Vec<Delivered> {
    let behind = unacked.iter().filter_map(|delivered| {
        let known = number.saturating_add(1).saturating_sub(delivered.number) as usize;
        let mut delivered = delivered.clone();
        (known < delivered.batch.recs.len()).then(|| {
            delivered.drop_first(known);
            delivered
        })
    });
    behind.collect()
}

/// The places in the log of what has these numbers, if all of them are among these: some may have been acknowledged,
/// and then nothing is known of any.
pub(super) fn places<'a>(
    unacked: impl Iterator<Item = &'a Delivered>,
    numbers: RangeInclusive<u64>,
) -> Logged {
    let known = unacked.flat_map(|known| {
        let places = (0..known.batch.recs.len()).map(|at| known.logged.at(at));
        (known.number..).zip(places)
    });
    let known = known.filter(|(number, _)| numbers.contains(number));
    let places: Vec<u64> = known
        .map(|(_, place)| place.map_or(0, NonZeroU64::get))
        .collect();
    let stanzas = numbers.end() + 1 - numbers.start();
    match places.len() as u64 == stanzas && places.iter().any(|place| *place != 0) {
        true => Logged::Each(places.into()),
        false => Logged::NOT,
    }
}
