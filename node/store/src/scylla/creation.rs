//! The creation of an account until its outcome is known.
//!
//! ```text
//! read the row ─► look ── free ──► conditional write ── done, or found done ──► made
//!      ▲            ├── an account of one of the tries ────────────────────────► made after all
//!      │            └── somebody else's, or a tombstone ───────────────────────► refused
//!      └──────────────────── another try ◄── not done, or not found done
//! ```
//!
//! A conditional write may come through after its time was up and the row was read again: a coordinator that was slow
//! has gone on with it. What the next try then finds is its own account. So every incarnation that was tried is
//! remembered, and only an account of another one is somebody else's. Each write holds on the condition that the row is
//! still the one which was read, so at most one of them comes through, however late.

use rookery_xmpp::clock::Timestamp;
use uuid::Uuid;

use super::owner::OwnerRow;
use crate::error::StoreError;

/// A creation, and what it has tried.
#[derive(Debug)]
pub(super) struct Creation {
    created: Timestamp,
    /// Whether a tombstone withholds the name.
    tombstones: bool,
    tried: Vec<Uuid>,
}

/// What a row means to a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Nobody has the account: it may be tried.
    Free,
    /// An earlier try has made it.
    CameThrough,
}

impl Creation {
    /// Nothing was tried yet.
    pub(super) fn new(created: Timestamp, tombstones: bool) -> Self {
        Self {
            created,
            tombstones,
            tried: Vec::new(),
        }
    }

    /// Judges the row as it is before another try.
    ///
    /// # Errors
    /// Somebody else has the account, or its name is withheld.
    pub(super) fn look(&self, row: &OwnerRow) -> Result<Looked, StoreError> {
        if row.account.is_some() {
            return match self.tried.contains(&row.incarnation) {
                true => Ok(Looked::CameThrough),
                false => Err(StoreError::AlreadyExists),
            };
        }
        let held = row.gone.filter(|gone| gone.holds(self.created));
        match held.filter(|_| self.tombstones) {
            Some(gone) => Err(StoreError::Gone { until: gone.until }),
            None => Ok(Looked::Free),
        }
    }

    /// Another try, which would begin this incarnation.
    pub(super) fn begin(&mut self, incarnation: Uuid) -> Uuid {
        self.tried.push(incarnation);
        incarnation
    }
}

#[cfg(test)]
mod tests {
    use super::super::owner::{AccountColumns, Change, judge};
    use super::*;
    use crate::name::Tombstone;

    const NOW: Timestamp = Timestamp(1_000);

    fn row(number: u128) -> OwnerRow {
        OwnerRow {
            change: Some(Uuid::from_u128(number)),
            incarnation: Uuid::from_u128(number),
            account: Some(AccountColumns {
                created: 1_000,
                enabled: true,
                address: None,
                credentials: String::new(),
                details: String::new(),
                standing_since: None,
                leaves: None,
                left_by: None,
            }),
            gone: None,
        }
    }

    /// What becomes of the write of one try.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        /// It is made, and its writer is told.
        Told,
        /// Its writer is told nothing, and it is made at this moment of the run if its condition holds then.
        At(usize),
    }

    /// Somebody else who wants the name.
    const OTHER: u128 = 99;

    const TRIES: usize = 3;

    /// Before each read, before each write, and before the row is read again.
    const MOMENTS: usize = 3 * TRIES;

    /// The database: one row, changed only under its conditions.
    #[derive(Default)]
    struct Database {
        row: OwnerRow,
        /// On its way: when, on which condition, what.
        writes: Vec<(usize, Option<Uuid>, OwnerRow)>,
        moment: usize,
        other: Option<usize>,
    }

    impl Database {
        /// Time passes: what was due comes through.
        fn pass(&mut self) {
            if self.other == Some(self.moment) && self.row.account.is_none() {
                self.row = row(OTHER);
            }
            for (at, condition, after) in self.writes.clone() {
                if at == self.moment {
                    self.write(condition, after);
                }
            }
            self.moment += 1;
        }

        fn write(&mut self, condition: Option<Uuid>, after: OwnerRow) -> bool {
            let holds = self.row.change == condition;
            if holds {
                self.row = after;
            }
            holds
        }
    }

    /// What a creation answers, and whether a try came through late; no answer where all tries ended unknown.
    fn run(
        database: &mut Database,
        fates: [Fate; TRIES],
    ) -> Option<(Result<(), StoreError>, bool)> {
        let mut creation = Creation::new(NOW, true);
        for (number, fate) in fates.into_iter().enumerate() {
            database.pass();
            let before = database.row.clone();
            match creation.look(&before) {
                Ok(Looked::Free) => {}
                Ok(Looked::CameThrough) => return Some((Ok(()), true)),
                Err(error) => return Some((Err(error), false)),
            }
            let number = number as u128 + 1;
            let after = row(number);
            creation.begin(after.incarnation);
            database.pass();
            match fate {
                Fate::Told if database.write(before.change, after.clone()) => {
                    return Some((Ok(()), false));
                }
                Fate::Told => {}
                Fate::At(moment) => {
                    let write = (moment, before.change, after.clone());
                    database.writes.push(write);
                }
            }
            database.pass();
            let failed = StoreError::Unavailable("time is up".into());
            let judged = judge((&before, &after), &database.row, Some(failed));
            if matches!(judged, Change::Done) {
                return Some((Ok(()), false));
            }
        }
        None
    }

    fn fates() -> impl Iterator<Item = Fate> + Clone {
        // One moment more than there are: it never comes through.
        std::iter::once(Fate::Told).chain((0..=MOMENTS).map(Fate::At))
    }

    #[test]
    fn whoever_is_told_that_the_account_is_there_did_not_make_it_however_late_each_write_comes_through()
     {
        let mut late = 0;
        let others = std::iter::once(None).chain((0..MOMENTS).map(Some));
        for other in others {
            for first in fates() {
                for second in fates() {
                    for third in fates() {
                        let fates = [first, second, third];
                        let mut database = Database {
                            other,
                            ..Database::default()
                        };
                        let answer = run(&mut database, fates);
                        // What is still on its way comes through or not: the answer holds.
                        while database.moment <= MOMENTS {
                            database.pass();
                        }
                        let whose = database.row.incarnation;
                        let mine = (1..=TRIES as u128).any(|it| Uuid::from_u128(it) == whose);
                        match answer {
                            Some((Ok(()), came_late)) => {
                                assert!(mine, "{other:?} {fates:?}");
                                late += usize::from(came_late);
                            }
                            Some((Err(StoreError::AlreadyExists), _)) => {
                                assert_eq!(whose, Uuid::from_u128(OTHER), "{other:?} {fates:?}");
                            }
                            Some((Err(error), _)) => panic!("{error}"),
                            None => {}
                        }
                    }
                }
            }
        }
        assert!(late > 100, "{late} came through late");
    }

    #[test]
    fn a_tombstone_withholds_the_name_where_it_is_asked_for_and_while_it_holds() {
        let gone = |until| OwnerRow {
            gone: Some(Tombstone {
                at: Timestamp(1),
                until: Some(Timestamp(until)),
            }),
            ..OwnerRow::default()
        };
        let look = |row, tombstones| Creation::new(NOW, tombstones).look(&row);
        let until = Some(Timestamp(1_001));
        assert_eq!(look(gone(1_001), true), Err(StoreError::Gone { until }));
        assert_eq!(look(gone(1_000), true), Ok(Looked::Free));
        assert_eq!(look(gone(1_001), false), Ok(Looked::Free));
    }
}
