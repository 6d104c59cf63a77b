//! How whoever sent a frame to a shard learns that all it asked for has been done.
//!
//! ```text
//! session ─ frame 7 ─► sender's shard ─ frame 3 (holds the receipt of 7) ─► recipient's shard ─► session, or log
//!                                                                                │
//! frame 7 is forgotten ◄── receipt of 7 dropped ◄── frame 3 is forgotten ◄── receipt of 3 dropped: taken, durable
//! ```
//!
//! A [`Receipt`] goes with the frame and is cloned into everything that follows from it: stanzas to
//! other shards, deliveries, writes that are under way. When the last clone is dropped, nothing is
//! left to do, and the sender is told. Until then it keeps the frame, and sends it again to the next
//! owner of the shard if this one is gone. So no step has to remember to say that it is done, and one
//! that is never reached is never taken for done.
//!
//! A stanza may come in two frames: two owners of its sender's shard have sent it. The second is dropped, and yet it
//! is done only when the first is: so its receipt goes with that of the first ([`Receipt::carry`]).

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crate::carrier::ShardId;

/// One frame's receipt. Cheap to clone; all clones are one receipt.
#[derive(Clone)]
pub struct Receipt(Arc<Stub>);

/// Finds a receipt as long as something is left to do, and does not count as that.
#[derive(Clone)]
pub struct ReceiptRef(Weak<Stub>);

/// An owner's time with its shard.
pub trait Tenure: Send + Sync {
    /// Whether the owner may speak for the shard.
    fn stands(&self) -> Stands;

    /// Keeps a word that cannot be said now. It is said when the tenure stands firmly again, and
    /// never once it is over.
    fn keep(&self, word: Word);
}

/// Whether a shard's owner may speak for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It may.
    Firmly,
    /// It has no lease, and does not know whether there will be another owner. What it did counts if
    /// there is none.
    Perhaps,
    /// The shard was given up: what is dropped now was not done.
    NoMore,
}

/// That a frame was dealt with.
pub struct Word {
    shard: ShardId,
    token: u64,
    to: Arc<dyn Receipts>,
}

impl Word {
    /// Tells the sender.
    pub fn say(self) {
        self.to.settled(self.shard, self.token);
    }
}

/// Who is told of frames that have been dealt with.
pub trait Receipts: Send + Sync {
    /// All that this frame asked of its shard has been done. Called on any thread, perhaps with
    /// locks held: it notes that and returns.
    fn settled(&self, shard: ShardId, token: u64);
}

struct Stub {
    shard: ShardId,
    token: u64,
    /// Who deals with the frame; nobody yet while it waits.
    tenure: OnceLock<Arc<dyn Tenure>>,
    to: Arc<dyn Receipts>,
    /// Those of frames that asked for the same.
    carried: Mutex<Vec<Receipt>>,
}

impl Receipt {
    /// A receipt for the frame that its sender knows by this token.
    pub fn new(shard: ShardId, token: u64, to: Arc<dyn Receipts>) -> Self {
        Self(Arc::new(Stub {
            shard,
            token,
            tenure: OnceLock::new(),
            to,
            carried: Mutex::default(),
        }))
    }

    /// Whether the owner who deals with the frame may still speak for its shard. If it has given that up, the frame's
    /// sender sends it to the next, and nothing that follows from it may go on here.
    pub fn stands(&self) -> Stands {
        let tenure = self.0.tenure.get();
        tenure.map_or(Stands::Firmly, |tenure| tenure.stands())
    }

    /// Holds the receipt of a later frame that asks for the same, until all that this one asked for has been done.
    pub fn carry(&self, later: Self) {
        // One that carried itself would never be dropped.
        if !Arc::ptr_eq(&self.0, &later.0) {
            let carried = self.0.carried.lock();
            let mut carried = carried.unwrap_or_else(PoisonError::into_inner);
            // Each stanza of a frame asks for that.
            if carried
                .last()
                .is_none_or(|last| !Arc::ptr_eq(&last.0, &later.0))
            {
                carried.push(later);
            }
        }
    }

    /// What finds this receipt until it is settled.
    pub fn downgrade(&self) -> ReceiptRef {
        ReceiptRef(Arc::downgrade(&self.0))
    }

    /// All that its frame asked for has been done, or was refused with an answer: it is settled as soon as nobody holds
    /// it any more. For those who hand a frame on under a receipt of their own.
    pub fn is_done(&self) {
        self.0.tenure.get_or_init(|| Arc::new(Done));
    }

    /// The frame has reached the owner of its shard. Without that, dropping it settles nothing.
    pub fn enter(&self, tenure: &Arc<dyn Tenure>) {
        self.0.tenure.get_or_init(|| tenure.clone());
    }
}

/// Stands in for an owner where nothing is left to do.
struct Done;

impl Tenure for Done {
    fn stands(&self) -> Stands {
        Stands::Firmly
    }

    fn keep(&self, word: Word) {
        word.say();
    }
}

impl ReceiptRef {
    /// The receipt, unless nothing is left to do.
    pub fn upgrade(&self) -> Option<Receipt> {
        self.0.upgrade().map(Receipt)
    }

    /// Whether nothing is left to do.
    pub fn is_settled(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// Rings when several frames have been dealt with: a future that is ready then.
#[derive(Clone)]
pub struct Bell(Arc<Mutex<Ringing>>);

#[derive(Default)]
struct Ringing {
    has_rung: bool,
    waker: Option<Waker>,
}

impl Bell {
    /// A bell behind these receipts: those that are held by others, and not settled.
    pub fn behind(receipts: impl IntoIterator<Item = Receipt>) -> Self {
        let (bell, last) = Self::with_receipt();
        for receipt in receipts {
            receipt.carry(last.clone());
        }
        bell
    }

    /// A bell, and the receipt behind which it rings.
    pub fn with_receipt() -> (Self, Receipt) {
        let bell = Self(Arc::default());
        let receipt = Receipt::new(ShardId(0), 0, Arc::new(bell.clone()));
        receipt.is_done();
        (bell, receipt)
    }
}

impl Future for Bell {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut ringing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ringing.has_rung {
            return Poll::Ready(());
        }
        ringing.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Receipts for Bell {
    fn settled(&self, _: ShardId, _: u64) {
        let mut ringing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ringing.has_rung = true;
        let waker = ringing.waker.take();
        drop(ringing);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let Some(tenure) = self.tenure.get() else {
            return;
        };
        match tenure.stands() {
            Stands::Firmly => self.to.settled(self.shard, self.token),
            Stands::Perhaps => tenure.keep(Word {
                shard: self.shard,
                token: self.token,
                to: self.to.clone(),
            }),
            Stands::NoMore => {}
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({}, {})", self.0.shard.0, self.0.token)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Book(Mutex<Vec<u64>>);

    impl Receipts for Book {
        fn settled(&self, _: ShardId, token: u64) {
            self.0.lock().expect("no test panics inside").push(token);
        }
    }

    struct Office(Mutex<(Stands, Vec<Word>)>);

    impl Office {
        fn open() -> Arc<Self> {
            Arc::new(Self(Mutex::new((Stands::Firmly, vec![]))))
        }

        fn set(&self, stands: Stands) -> Vec<Word> {
            let mut state = self.0.lock().expect("no test panics inside");
            state.0 = stands;
            std::mem::take(&mut state.1)
        }
    }

    impl Tenure for Office {
        fn stands(&self) -> Stands {
            self.0.lock().expect("no test panics inside").0
        }

        fn keep(&self, word: Word) {
            self.0.lock().expect("no test panics inside").1.push(word);
        }
    }

    fn settled(book: &Book) -> Vec<u64> {
        book.0.lock().expect("no test panics inside").clone()
    }

    #[test]
    fn the_last_clone_settles_the_frame() {
        let (book, office) = (Arc::new(Book::default()), Office::open());
        let receipt = Receipt::new(ShardId(1), 7, book.clone());
        receipt.enter(&(office as Arc<dyn Tenure>));
        let follows = receipt.clone();
        drop(receipt);
        assert_eq!(settled(&book), []);
        drop(follows);
        assert_eq!(settled(&book), [7]);
    }

    #[test]
    fn what_was_done_under_another_receipt_is_settled_without_an_owner() {
        let book = Arc::new(Book::default());
        let receipt = Receipt::new(ShardId(1), 7, book.clone());
        receipt.is_done();
        let held = receipt.clone();
        drop(receipt);
        assert_eq!(settled(&book), []);
        drop(held);
        assert_eq!(settled(&book), [7]);
    }

    #[test]
    fn a_frame_that_asks_for_the_same_is_settled_behind_the_first() {
        let (book, office) = (Arc::new(Book::default()), Office::open());
        let tenure: Arc<dyn Tenure> = office;
        let [first, second] = [7, 8].map(|token| {
            let receipt = Receipt::new(ShardId(1), token, book.clone());
            receipt.enter(&tenure);
            receipt
        });
        let known = first.downgrade();
        known.upgrade().expect("it is held").carry(second.clone());
        first.carry(first.clone());
        drop(second);
        assert_eq!(settled(&book), []);
        drop(first);
        assert_eq!(settled(&book), [7, 8]);
        assert!(known.is_settled() && known.upgrade().is_none());
    }

    #[test]
    fn a_bell_rings_when_the_last_of_several_frames_is_settled() {
        let mut cx = Context::from_waker(Waker::noop());
        let mut rings = |bell: &mut Bell| Pin::new(bell).poll(&mut cx).is_ready();
        assert!(rings(&mut Bell::behind([])));
        let (book, office) = (Arc::new(Book::default()), Office::open());
        let tenure: Arc<dyn Tenure> = office;
        let [first, second] = [7, 8].map(|token| {
            let receipt = Receipt::new(ShardId(1), token, book.clone());
            receipt.enter(&tenure);
            receipt
        });
        let mut bell = Bell::behind([first.clone(), second.clone()]);
        drop(second);
        assert!(!rings(&mut bell));
        drop(first);
        assert!(rings(&mut bell));
    }

    #[test]
    fn what_never_reached_its_shard_or_was_given_up_with_it_is_not_settled() {
        let (book, office) = (Arc::new(Book::default()), Office::open());
        drop(Receipt::new(ShardId(1), 1, book.clone()));
        let tenure: Arc<dyn Tenure> = office.clone();
        let receipt = Receipt::new(ShardId(1), 2, book.clone());
        receipt.enter(&tenure);
        assert_eq!(receipt.stands(), Stands::Firmly);
        office.set(Stands::NoMore);
        assert_eq!(receipt.stands(), Stands::NoMore);
        drop(receipt);
        assert_eq!(settled(&book), []);
    }

    #[test]
    fn what_is_done_while_the_lease_has_lapsed_is_said_later() {
        let (book, office) = (Arc::new(Book::default()), Office::open());
        let tenure: Arc<dyn Tenure> = office.clone();
        let receipt = Receipt::new(ShardId(1), 3, book.clone());
        receipt.enter(&tenure);
        office.set(Stands::Perhaps);
        drop(receipt);
        assert_eq!(settled(&book), []);
        office.set(Stands::Firmly).into_iter().for_each(Word::say);
        assert_eq!(settled(&book), [3]);
    }
}
