//! What a session's node has kept of a stream that can be resumed.

use std::num::NonZeroU64;

use rookery_session::Seen;
use rookery_session::carrier::{Delivered, Kept, Logged, Origins};

use super::ids::{SESSION, origin_size, read_origin, read_session, write_origin, write_session};
use super::out::{Counter, length};
use super::{Malformed, Out, Reader, batch};

/// Bytes of it.
pub(super) fn size(kept: &Kept) -> usize {
    let mut counter = Counter(0);
    write(kept, &mut counter);
    counter.0
}

pub(super) fn write(kept: &Kept, out: &mut impl Out) {
    out.text(&kept.id);
    out.u64(kept.next_stanza);
    out.u64(kept.again);
    out.u64(kept.submitted);
    out.u32(kept.h);
    out.u64(kept.acked);
    out.u32(length(kept.unacked.len()));
    for delivered in &kept.unacked {
        write_numbered(delivered, out);
    }
    write_seen(&kept.seen, out);
}

pub(super) fn read(input: &mut Reader) -> Result<Kept, Malformed> {
    let id = input.text()?;
    let (next_stanza, again, submitted) = (input.u64()?, input.u64()?, input.u64()?);
    let (h, acked) = (input.u32()?, input.u64()?);
    let count = input.count(NUMBERED_BYTES_MIN)?;
    let unacked = (0..count).map(|_| read_numbered(input));
    let unacked = unacked.collect::<Result<_, _>>()?;
    Ok(Kept {
        id,
        next_stanza,
        again,
        submitted,
        h,
        acked,
        unacked,
        seen: read_seen(input)?,
    })
}

/// What came of whom.
pub(super) fn write_seen(seen: &Seen, out: &mut impl Out) {
    let seen = seen.told();
    out.u32(length(seen.len()));
    for (session, next, came) in seen {
        write_session(session, out);
        out.u64(next);
        out.u64(came);
    }
}

pub(super) fn read_seen(input: &mut Reader) -> Result<Seen, Malformed> {
    let count = input.count(SEEN_BYTES)?;
    let seen = (0..count).map(|_| Ok((read_session(input)?, input.u64()?, input.u64()?)));
    Ok(Seen::heard(seen.collect::<Result<Vec<_>, Malformed>>()?))
}

/// Stanzas with the number of the first, and where each comes from.
pub(super) fn write_numbered(delivered: &Delivered, out: &mut impl Out) {
    out.u64(delivered.number);
    out.u64(delivered.arrival);
    batch::write(&delivered.batch, out);
    for at in 0..delivered.batch.recs.len() {
        write_origin(delivered.origins.at(at), out);
        out.u64(delivered.logged.at(at).map_or(0, NonZeroU64::get));
    }
}

/// Bytes of that.
pub(super) fn numbered_size(delivered: &Delivered) -> usize {
    let origins = (0..delivered.batch.recs.len()).map(|at| origin_size(delivered.origins.at(at)));
    let places = 8 * delivered.batch.recs.len();
    8 + 8 + batch::size(&delivered.batch) + origins.sum::<usize>() + places
}

pub(super) fn read_numbered(input: &mut Reader) -> Result<Delivered, Malformed> {
    let (number, arrival) = (input.u64()?, input.u64()?);
    let batch = batch::read(input)?;
    let each = batch.recs.iter();
    let each = each.map(|_| Ok((read_origin(input)?, input.u64()?)));
    let each = each.collect::<Result<Vec<_>, Malformed>>()?;
    let (origins, places): (Vec<_>, Vec<_>) = each.into_iter().unzip();
    let logged = match places.iter().all(|place| *place == 0) {
        true => Logged::NOT,
        false => Logged::Each(places.into()),
    };
    Ok(Delivered {
        origins: Origins::Each(origins.into()),
        arrival,
        number,
        logged,
        ..Delivered::from(batch)
    })
}

/// Two numbers, and a batch without stanzas.
const NUMBERED_BYTES_MIN: usize = 8 + 8 + 2 * 4;

/// A session, and two numbers.
const SEEN_BYTES: usize = SESSION + 8 + 8;
