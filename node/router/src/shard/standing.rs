//! Whether an owner of a shard may still speak for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rookery_session::carrier::{Stands, Tenure, Word};

use crate::lease::Lease;

/// One owner's time with one shard: from when it starts to serve it until it gives it up.
pub struct Standing {
    lease: Lease,
    retired: AtomicBool,
    /// What was done while there was no lease.
    unsaid: Mutex<Vec<Word>>,
    /// Whether there is any, so that the usual input takes no lock.
    any_unsaid: AtomicBool,
}

impl Standing {
    /// The shard is served, whenever the lease holds.
    pub fn new(lease: Lease) -> Self {
        Self {
            lease,
            retired: AtomicBool::new(false),
            unsaid: Mutex::default(),
            any_unsaid: AtomicBool::new(false),
        }
    }

    /// Whether the shard may act now. If it may, there was no other owner since it last did: what it
    /// did meanwhile counts, and is said.
    pub fn may_act(&self) -> bool {
        if self.stands() != Stands::Firmly {
            return false;
        }
        if self.any_unsaid.load(Ordering::Acquire) {
            let mut unsaid = self.unsaid();
            self.any_unsaid.store(false, Ordering::Release);
            let words = std::mem::take(&mut *unsaid);
            drop(unsaid);
            words.into_iter().for_each(Word::say);
        }
        true
    }

    /// The shard is served no more. The next owner goes on with the sessions, and is sent all that
    /// was not dealt with.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.unsaid().clear();
    }

    fn unsaid(&self) -> MutexGuard<'_, Vec<Word>> {
        self.unsaid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenure for Standing {
    fn stands(&self) -> Stands {
        if self.retired.load(Ordering::Acquire) {
            Stands::NoMore
        } else if self.lease.holds() {
            Stands::Firmly
        } else {
            Stands::Perhaps
        }
    }

    fn keep(&self, word: Word) {
        let mut unsaid = self.unsaid();
        unsaid.push(word);
        self.any_unsaid.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rookery_session::carrier::{Receipt, Receipts, ShardId};
    use tokio::time::Instant;

    use super::*;

    #[derive(Default)]
    struct Book(Mutex<Vec<u64>>);

    impl Receipts for Book {
        fn settled(&self, _: ShardId, token: u64) {
            self.0.lock().expect("no test panics inside").push(token);
        }
    }

    impl Book {
        fn read(&self) -> Vec<u64> {
            self.0.lock().expect("no test panics inside").clone()
        }
    }

    fn done(standing: &Arc<Standing>, book: &Arc<Book>, token: u64) {
        let receipt = Receipt::new(ShardId(1), token, book.clone());
        let tenure: Arc<dyn Tenure> = standing.clone();
        receipt.enter(&tenure);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_done_between_two_leases_is_said_under_the_second() {
        let lease = Lease::none();
        let standing = Arc::new(Standing::new(lease.clone()));
        let book = Arc::new(Book::default());
        lease.extend(Instant::now(), Duration::from_secs(1));
        done(&standing, &book, 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        done(&standing, &book, 2);
        assert!(!standing.may_act());
        assert_eq!(book.read(), [1]);
        lease.extend(Instant::now(), Duration::from_secs(1));
        assert!(standing.may_act());
        assert_eq!(book.read(), [1, 2]);
    }

    #[test]
    fn what_was_done_before_the_shard_was_given_up_without_a_lease_is_not_said() {
        let lease = Lease::none();
        let standing = Arc::new(Standing::new(lease));
        let book = Arc::new(Book::default());
        done(&standing, &book, 1);
        standing.retire();
        done(&standing, &book, 2);
        assert!(!standing.may_act());
        assert_eq!(book.read(), [0; 0]);
    }
}
