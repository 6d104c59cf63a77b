//! Parts of what a session was given.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use bytes::Bytes;
use rookery_session::Seen;
use rookery_session::carrier::{Delivered, Logged};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Kind, Rec};

use super::absent::addresses;
use super::arrive::is_kept_in_order;
use super::offline;

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

/// Of these what has a number up to this one and never came, by what came of whom.
pub(super) fn unseen(unacked: &[Delivered], through: u64, seen: &Seen) -> Vec<Delivered> {
    let is_missing = |delivered: &Delivered, at: usize| {
        let origin = delivered.origins.at(at);
        let is_counted = delivered.number + at as u64 <= through;
        is_counted && origin.is_some_and(|origin| !seen.has(origin))
    };
    let mut missing = Vec::new();
    for delivered in unacked {
        let stanzas = 0..delivered.batch.recs.len();
        let stays: Vec<bool> = stanzas.map(|at| is_missing(delivered, at)).collect();
        if !stays.contains(&true) {
            continue;
        }
        let mut delivered = delivered.clone();
        delivered.number = 0;
        if stays.contains(&false) {
            // What is left did not arrive one behind the other.
            delivered.arrival = 0;
            delivered.retain(&stays);
        }
        missing.push(delivered);
    }
    missing
}

/// Whether this is in no log, and a sender counts on it: where no node is given it, nobody else has it.
pub(super) fn is_kept_here_alone(delivered: &Delivered) -> bool {
    let (buf, recs) = (&delivered.batch.buf, &delivered.batch.recs);
    let is_kept = |rec: &Rec| is_kept(*rec) && !is_of_account(buf, *rec, Jid::is_bare);
    delivered.logged == Logged::NOT && recs.iter().any(is_kept)
}

/// Whether others have sent something of this and count on it.
pub(super) fn is_of_others(delivered: &Delivered) -> bool {
    let (buf, recs) = (&delivered.batch.buf, &delivered.batch.recs);
    let is_kept = |rec: &Rec| is_kept(*rec) && !is_of_account(buf, *rec, |_| true);
    recs.iter().any(is_kept)
}

/// Whether this is a message that waits for who is absent (XEP-0160 3).
fn is_kept(rec: Rec) -> bool {
    rec.kind == Kind::Message && offline::is_kept(rec.flags) && is_kept_in_order(rec.stanza_type)
}

/// Whether the account itself has sent this, from such an address: copies (XEP-0280) come from the bare one.
fn is_of_account(buf: &Bytes, rec: Rec, is_such: impl Fn(&Jid) -> bool) -> bool {
    addresses(buf, rec).is_some_and(|(from, to)| from.same_bare(&to) && is_such(&from))
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
