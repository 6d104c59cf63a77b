//! What earlier owners have put into an account's log for those who were absent, as far as its end tells.
//!
//! A session that an earlier owner has given a message may say where that lies in the log. It heard that when the store
//! was asked, and the store may have refused: then there is nothing to be looked for.

use rookery_store::log::{Marks, Position, Recent};

/// The places of what is owed.
pub(super) struct Earlier {
    owed: Box<[Position]>,
    /// What lies before this one is not known. None where all is.
    known_from: Option<Position>,
}

impl Earlier {
    /// Of an account that is loaded under `epoch`, with the newest entries of its log. So many are owed in all, above
    /// the cursor.
    pub(super) fn of(epoch: u32, recent: &[Recent], owed: u64, cursor: Option<Position>) -> Self {
        let known = recent.iter().filter(|it| it.marks.contains(Marks::OWED));
        let waiting = known.clone().filter(|it| Some(it.position) > cursor);
        let is_all = owed <= waiting.count() as u64;
        let first = recent.iter().map(|it| it.position).min();
        let earlier = known.filter(|it| it.position.epoch() < epoch);
        Self {
            owed: earlier.map(|it| it.position).collect(),
            known_from: first.filter(|_| !is_all),
        }
    }

    /// Whether something lies there that has an origin, and is owed.
    pub(super) fn have(&self, position: Position) -> bool {
        let may_be = self.known_from.is_some_and(|known| position < known);
        may_be || self.owed.contains(&position)
    }
}

#[cfg(test)]
mod tests {
    use rookery_store::log::Origin;

    use super::*;

    fn at(sequence: u64) -> Position {
        Position::new(1, sequence).expect("small")
    }

    fn log(owed: u64, recent: &[u64]) -> Earlier {
        let recent = recent.iter().map(|sequence| Recent {
            position: at(*sequence),
            origin: Origin {
                node: 1,
                serial: 2,
                sequence: *sequence,
            },
            marks: Marks::OWED,
        });
        Earlier::of(2, &recent.collect::<Vec<_>>(), owed, None)
    }

    #[test]
    fn what_the_end_of_the_log_does_not_have_is_not_there() {
        let earlier = log(2, &[7, 5]);
        assert!(earlier.have(at(7)) && earlier.have(at(5)));
        for refused in [3, 6, 8] {
            assert!(!earlier.have(at(refused)), "{refused}");
        }
    }

    #[test]
    fn what_lies_before_all_that_is_known_may_be_there() {
        let earlier = log(3, &[7, 5]);
        assert!(earlier.have(at(3)) && !earlier.have(at(6)));
    }
}
