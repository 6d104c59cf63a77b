//! One conditional write to an account at a time, as far as this process goes.
//!
//! Conditional writes to one row that are under way at once make one another fail, and each then has to find out what
//! became of it. Nearly all that meet come from one process, so they take turns here; those of different processes are
//! the database's to decide.

use tokio::sync::{Mutex, MutexGuard};

use super::slice::hash;

/// Turns, by account. Accounts that share a lane wait for one another without need, which is rare.
pub(super) struct Lanes(Vec<Mutex<()>>);

impl Lanes {
    pub(super) fn new() -> Self {
        Self((0..COUNT).map(|_| Mutex::new(())).collect())
    }

    /// The turn of whoever changes `account`, for as long as it is held.
    pub(super) async fn turn(&self, account: &str) -> MutexGuard<'_, ()> {
        let lane = hash(account) % self.0.len() as u64;
        self.0[lane as usize].lock().await
    }
}

const COUNT: usize = 1_024;
