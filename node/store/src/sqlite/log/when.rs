//! Where in a log a time begins.
//!
//! The index has no second order, which would cost as much as the first with each message. Times grow along the
//! positions but for what clocks differ by ([`TIMES_FALL`](crate::log::TIMES_FALL)), so the place is found by halves:
//! one look at the index for each bit of a position at most, some hundred µs, whatever the log holds.

use std::ops::Range;

use rookery_xmpp::clock::Timestamp;

use crate::codec::millis;
use crate::sqlite::view::View;

/// The position within `range` below which every indexed entry is older than `moment`, and from which on none is; its
/// end if all are older.
pub(super) fn first_since(
    view: &View<'_>,
    owner: i64,
    range: Range<i64>,
    moment: Timestamp,
) -> rusqlite::Result<i64> {
    let moment = millis(moment);
    let mut look = view.prepare(
        "SELECT pos, received FROM idx WHERE owner = ?1 AND pos >= ?2 AND pos < ?3 \
         ORDER BY pos LIMIT 1",
    )?;
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut rows = look.query((owner, middle, high))?;
        match rows.next()? {
            Some(row) if row.get::<_, i64>(1)? < moment => low = row.get::<_, i64>(0)? + 1,
            // From the middle on there is nothing, or nothing older.
            _ => high = middle,
        }
    }
    Ok(low)
}
