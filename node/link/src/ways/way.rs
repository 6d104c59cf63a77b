//! The way of frames to one shard, through all its owners: a machine without IO.
//!
//! ```text
//!              the owner is another one, or has forgotten us
//!   open ────────────────────────────────────────────────────► shut ── too long ──► all comes back
//!    ▲                                                           │ the former owner has told all, or is gone
//!    └── all is sent ◄── announcements, then all that is kept ◄──┘
//! ```
//!
//! A frame is kept from when it is sent until its shard has settled it. The next owner gets all that
//! is kept, in order, behind the announcements of the sessions that it is to go on with.
//!
//! But not what a shard of this node has said that was given up since: the next owner of that one is sent what it
//! followed from, and says it again in its own way, which is not in order with this one. Without a lease nobody knows
//! whether there is such an owner, so then it waits, and all behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rookery_session::carrier::Stands;

use super::kept::Kept;
use crate::map::Owner;
use crate::wire::Up;

/// Frames of one shard, and where they go.
#[derive(Default)]
pub(super) struct Way {
    /// The owner that all but the unsent have been sent to.
    route: Option<Owner>,
    /// What is sent ahead of the unsent, and not kept.
    front: VecDeque<Arc<Up>>,
    kept: VecDeque<Kept>,
    /// How many of the kept, the newest, are still to be sent to the present owner.
    unsent: usize,
    /// Bytes that are kept.
    bytes: usize,
    last_token: u64,
    shut_since: Option<Duration>,
    not_before: Duration,
    fence: Fence,
}

/// Whether the former owner has told all that it settled.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fence {
    #[default]
    NotAsked,
    Asked(Duration),
    Answered,
}

/// What is to be done before frames can go to another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing: they can.
    Ready,
    /// This former owner is to be asked what it settled.
    Ask(Owner),
    /// Wait.
    Wait,
}

impl Way {
    /// Whether a frame can go to this owner now, ahead of which nothing waits.
    pub(super) fn is_open(&self, owner: Option<Owner>) -> bool {
        owner.is_some() && self.route == owner && self.front.is_empty() && self.unsent == 0
    }

    /// Where frames go.
    pub(super) fn route(&self) -> Option<Owner> {
        self.route
    }

    /// Whether a frame of this size may be kept beside the others.
    pub(super) fn has_room(&self, size: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes + size <= bytes_max
    }

    /// How many frames are kept.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// A name for the next frame that is kept.
    pub(super) fn next_token(&mut self) -> u64 {
        self.last_token += 1;
        self.last_token
    }

    /// Keeps a frame that was sent.
    pub(super) fn keep_sent(&mut self, kept: Kept) {
        self.bytes += kept.size();
        self.kept.push_back(kept);
    }

    /// Keeps a frame that is to be sent when the way is open.
    pub(super) fn keep_unsent(&mut self, kept: Kept) {
        self.keep_sent(kept);
        self.unsent += 1;
    }

    /// A frame has been dealt with. What is given is to be dropped without any lock: it may hold
    /// receipts.
    pub(super) fn settle(&mut self, token: u64) -> Option<Kept> {
        let at = self
            .kept
            .binary_search_by_key(&token, |kept| kept.up().token);
        let at = at.ok()?;
        // One that is still to be sent to the next owner has been settled by the last.
        if at >= self.kept.len() - self.unsent {
            self.unsent -= 1;
        }
        let kept = self.kept.remove(at)?;
        self.bytes -= kept.size();
        Some(kept)
    }

    /// Notes that the way is not open, and says for how long it has not been.
    pub(super) fn shut_for(&mut self, now: Duration) -> Duration {
        now.saturating_sub(*self.shut_since.get_or_insert(now))
    }

    /// The way is open: the next time it is shut is counted from zero.
    pub(super) fn opened(&mut self) {
        self.shut_since = None;
    }

    /// The owner has forgotten what it was told, or never was the owner: everything is told again,
    /// but not at once.
    pub(super) fn forgotten(&mut self, not_before: Duration) {
        self.route = None;
        self.front.clear();
        self.unsent = self.kept.len();
        self.fence = Fence::NotAsked;
        self.not_before = not_before;
    }

    /// What is to be done before frames go to this owner. `heard` says whether the former one can
    /// still be heard.
    pub(super) fn change_to(
        &mut self,
        owner: Owner,
        now: Duration,
        heard: impl FnOnce(Owner) -> bool,
    ) -> Change {
        let Some(former) = self.route.filter(|route| *route != owner) else {
            return match now < self.not_before {
                true => Change::Wait,
                false => Change::Ready,
            };
        };
        match self.fence {
            Fence::Answered => Change::Ready,
            _ if !heard(former) => Change::Ready,
            Fence::Asked(at) if now.saturating_sub(at) > FENCE_MAX => Change::Ready,
            Fence::Asked(_) => Change::Wait,
            Fence::NotAsked => {
                self.fence = Fence::Asked(now);
                Change::Ask(former)
            }
        }
    }

    /// The node of the former owner has told all that it settled.
    pub(super) fn fenced(&mut self) {
        if matches!(self.fence, Fence::Asked(_)) {
            self.fence = Fence::Answered;
        }
    }

    /// From now on everything goes to this owner, first of all these.
    pub(super) fn begin(&mut self, owner: Owner, front: impl IntoIterator<Item = Up>) {
        self.route = Some(owner);
        self.front = front.into_iter().map(Arc::new).collect();
        self.unsent = self.kept.len();
        self.fence = Fence::NotAsked;
    }

    /// Sends what is still to be sent, as far as `send` takes it. Gives what nobody is to get any more, to be dropped
    /// without any lock.
    pub(super) fn advance(&mut self, mut send: impl FnMut(&Arc<Up>) -> bool) -> Vec<Kept> {
        let mut void = Vec::new();
        while let Some(next) = self.front.front() {
            if !send(next) {
                return void;
            }
            self.front.pop_front();
        }
        while self.unsent > 0 {
            let at = self.kept.len() - self.unsent;
            match self.kept[at].stands() {
                Stands::Firmly if send(self.kept[at].up()) => {}
                Stands::Firmly | Stands::Perhaps => break,
                Stands::NoMore => {
                    let kept = self.kept.remove(at).expect("it was found there");
                    self.bytes -= kept.size();
                    void.push(kept);
                }
            }
            self.unsent -= 1;
        }
        void
    }

    /// Gives these back, and keeps the others.
    pub(super) fn give_up_those(&mut self, those: impl Fn(&Up) -> bool) -> Vec<Kept> {
        let sent = self.kept.len() - self.unsent;
        let unsent = self.kept.iter().skip(sent);
        self.unsent = unsent.filter(|kept| !those(kept.up())).count();
        let (given, left): (VecDeque<_>, VecDeque<_>) =
            self.kept.drain(..).partition(|kept| those(kept.up()));
        self.kept = left;
        self.bytes = self.kept.iter().map(|kept| kept.size()).sum();
        given.into()
    }

    /// Gives everything back that need not arrive.
    pub(super) fn give_up(&mut self) -> Vec<Kept> {
        self.front.clear();
        self.give_up_those(|up| !up.must_arrive())
    }
}

/// How long a former owner may take to say what it settled. Without its word some frames may be
/// handled twice, which their receivers notice.
const FENCE_MAX: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use bytes::Bytes;
    use rookery_session::carrier::{PeerFrame, Receipt, Receipts, ShardId, Tenure, Word};
    use rookery_xmpp::jid::Jid;
    use rookery_xmpp::stanza::Batch;

    use super::*;
    use crate::wire::{Frame, UpBody};

    const FIRST: Owner = Owner { node: 2, epoch: 1 };
    const SECOND: Owner = Owner { node: 3, epoch: 2 };

    fn up(token: u64) -> Up {
        Up {
            shard: ShardId(0),
            token,
            body: UpBody::Again(0),
        }
    }

    /// The lease of a shard of this node, which has said something.
    struct Office(Mutex<Stands>);

    impl Office {
        fn set(&self, stands: Stands) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stands;
        }
    }

    impl Tenure for Office {
        fn stands(&self) -> Stands {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn keep(&self, _: Word) {}
    }

    impl Receipts for Office {
        fn settled(&self, _: ShardId, _: u64) {}
    }

    /// What a shard of this node has said, and follows from a frame that somebody keeps.
    fn said(token: u64, office: &Arc<Office>) -> Up {
        let jid: Arc<Jid> = Arc::new("romeo@localhost".parse().expect("a JID"));
        let batch = Batch {
            buf: Bytes::new(),
            recs: vec![],
        };
        let receipt = Receipt::new(ShardId(1), token, office.clone());
        receipt.enter(&(office.clone() as Arc<dyn Tenure>));
        let mut frame = PeerFrame::new(jid.clone(), jid, batch);
        frame.receipt = Some(receipt);
        Up {
            body: UpBody::Peer(frame),
            ..up(token)
        }
    }

    fn sent(way: &mut Way) -> Vec<u64> {
        let mut sent = vec![];
        way.advance(|up| {
            sent.push(up.token);
            true
        });
        sent
    }

    fn open_with(frames: u64) -> Way {
        let mut way = Way::default();
        way.begin(FIRST, []);
        for _ in 0..frames {
            let token = way.next_token();
            let up = up(token);
            let size = up.size();
            way.keep_sent(Kept::new(up, size));
        }
        way
    }

    #[test]
    fn what_is_given_up_among_others_leaves_them_in_their_order() {
        let mut way = open_with(4);
        let token = way.next_token();
        way.keep_unsent(Kept::new(up(token), 10));
        let given = way.give_up_those(|up| up.token % 2 == 1);
        let given: Vec<_> = given.iter().map(|kept| kept.up().token).collect();
        assert_eq!(given, [1, 3, 5]);
        assert_eq!(sent(&mut way), [0; 0]);
        way.forgotten(Duration::ZERO);
        way.begin(FIRST, []);
        assert_eq!(sent(&mut way), [2, 4]);
    }

    #[test]
    fn the_next_owner_gets_what_was_not_settled_behind_the_announcements() {
        let mut way = open_with(4);
        assert!(way.settle(2).is_some());
        assert!(way.is_open(Some(FIRST)) && !way.is_open(Some(SECOND)));
        let now = Duration::ZERO;
        assert_eq!(way.change_to(SECOND, now, |_| true), Change::Ask(FIRST));
        assert_eq!(way.change_to(SECOND, now, |_| true), Change::Wait);
        // The former owner's last word.
        assert!(way.settle(3).is_some());
        way.fenced();
        assert_eq!(way.change_to(SECOND, now, |_| true), Change::Ready);
        way.begin(SECOND, [up(100)]);
        assert!(!way.is_open(Some(SECOND)));
        assert_eq!(sent(&mut way), [100, 1, 4]);
        assert!(way.is_open(Some(SECOND)));
    }

    #[test]
    fn what_a_shard_said_that_has_no_lease_waits_and_is_dropped_when_it_was_given_up() {
        let office = Arc::new(Office(Mutex::new(Stands::Firmly)));
        let mut way = open_with(1);
        for _ in 0..2 {
            let token = way.next_token();
            way.keep_sent(Kept::new(said(token, &office), 10));
        }
        let token = way.next_token();
        way.keep_sent(Kept::new(up(token), 10));
        way.begin(SECOND, []);
        office.set(Stands::Perhaps);
        assert_eq!(sent(&mut way), [1], "all behind it wait as well");
        office.set(Stands::Firmly);
        let mut first = true;
        way.advance(|_| std::mem::take(&mut first));
        office.set(Stands::NoMore);
        let mut sent = vec![];
        let void = way.advance(|up| {
            sent.push(up.token);
            true
        });
        assert_eq!(sent, [4]);
        assert_eq!(
            void.iter().map(|kept| kept.up().token).collect::<Vec<_>>(),
            [3]
        );
        assert!(way.is_open(Some(SECOND)) && way.kept() == 3);
    }

    #[test]
    fn what_is_settled_holds_no_receipt_though_a_link_to_a_silent_owner_holds_the_frame() {
        let office = Arc::new(Office(Mutex::new(Stands::Firmly)));
        let mut way = open_with(0);
        let token = way.next_token();
        let kept = Kept::new(said(token, &office), 10);
        let on_the_link = kept.up().clone();
        way.keep_sent(kept);
        assert!(Arc::strong_count(&office) > 1, "the receipt names it");
        drop(way.settle(token).expect("it was kept"));
        assert_eq!(Arc::strong_count(&office), 1);
        assert_eq!(on_the_link.token, token);
    }

    #[test]
    fn an_owner_that_is_gone_or_silent_is_not_waited_for() {
        let mut gone = open_with(1);
        let now = Duration::ZERO;
        assert_eq!(gone.change_to(SECOND, now, |_| false), Change::Ready);
        let mut silent = open_with(1);
        assert_eq!(silent.change_to(SECOND, now, |_| true), Change::Ask(FIRST));
        let later = FENCE_MAX + Duration::from_millis(1);
        assert_eq!(silent.change_to(SECOND, later, |_| true), Change::Ready);
    }

    #[test]
    fn what_is_settled_while_it_waits_for_the_next_owner_is_not_sent() {
        let mut way = open_with(3);
        way.begin(SECOND, []);
        let mut first = true;
        way.advance(|_| std::mem::take(&mut first));
        assert!(way.settle(1).is_some() && way.settle(3).is_some());
        assert_eq!(sent(&mut way), [2]);
        assert!(way.settle(9).is_none() && way.settle(3).is_none());
    }

    #[test]
    fn an_owner_that_has_forgotten_is_told_again_after_a_pause() {
        let mut way = open_with(2);
        let pause = Duration::from_millis(100);
        way.forgotten(pause);
        assert_eq!(way.change_to(FIRST, Duration::ZERO, |_| true), Change::Wait);
        assert_eq!(way.change_to(FIRST, pause, |_| true), Change::Ready);
        way.begin(FIRST, []);
        assert_eq!(sent(&mut way), [1, 2]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_comes_back_as_a_whole() {
        let mut way = open_with(2);
        let size = up(1).size();
        assert!(way.has_room(size, 3 * size) && !way.has_room(size, 3 * size - 1));
        let back: Vec<_> = way.give_up().iter().map(|kept| kept.up().token).collect();
        assert_eq!(back, [1, 2]);
        assert!(way.has_room(1_000_000, 1));
    }
}
