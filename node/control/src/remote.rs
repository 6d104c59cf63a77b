//! The control group as seen by a node that is no member of it.
//!
//! A question goes to one member at a time. Whichever answers, answers for the group; one that does not is left for the
//! next, with the same request id, so that nothing is applied twice.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Unavailable;
use crate::options::ControlOptions;
use crate::raft::ControlStatus;
use crate::state::{
    BanList, BanUpdate, Command, Directory, EndedLeases, EventsHead, GuardList, GuardUpdate,
    NameRules, NodeId, Outcome, Policy, Proposal, RequestId, ShardChange, ShardMap,
};

/// The answer to one try.
pub type Try<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send + 'a>>;

/// The way to the members. Each call is one try with one of them; after a try that failed, or was given up, the next
/// goes to another member.
pub trait Link: Send + Sync {
    /// Has a proposal applied, or finds what came of an earlier copy.
    fn propose(&self, proposal: Proposal) -> Try<'_, Outcome>;
    /// The policy, linearizably.
    fn read(&self) -> Try<'_, Policy>;
    /// How the group stands.
    fn status(&self) -> Try<'_, ControlStatus>;
}

/// Where what a node hears of the group goes in: the handles built with it follow.
pub struct Updates {
    pub(crate) policy: Box<dyn Fn(Arc<Policy>) + Send + Sync>,
    pub(crate) directory: watch::Sender<Arc<Directory>>,
    pub(crate) shards: watch::Sender<Arc<ShardMap>>,
    pub(crate) bans: watch::Sender<Arc<BanList>>,
    pub(crate) guard: watch::Sender<Arc<GuardList>>,
    pub(crate) names: watch::Sender<Arc<NameRules>>,
    pub(crate) ended_leases: watch::Sender<Arc<EndedLeases>>,
    pub(crate) events: watch::Sender<EventsHead>,
}

impl Updates {
    /// A new policy. An older one than is known is passed over.
    pub fn policy(&self, policy: Policy) {
        (self.policy)(Arc::new(policy));
    }

    /// Shards that have changed places. What is older than is known is passed over.
    pub fn shards(&self, changes: impl IntoIterator<Item = ShardChange>) {
        self.shards.send_modify(|known| {
            let map = Arc::make_mut(known);
            changes.into_iter().for_each(|change| map.follow(change));
        });
    }

    /// Bans that have changed. What is older than is known is passed over.
    pub fn bans(&self, update: BanUpdate) {
        self.bans
            .send_modify(|known| Arc::make_mut(known).follow(update));
    }

    /// Blocks of the login guard that have changed. What is older than is known is passed over.
    pub fn guard(&self, update: GuardUpdate) {
        self.guard
            .send_modify(|known| Arc::make_mut(known).follow(update));
    }

    /// New rules about names. Older ones than are known are passed over.
    pub fn names(&self, rules: NameRules) {
        self.names.send_if_modified(|known| {
            let newer = rules.version() > known.version();
            if newer {
                *known = Arc::new(rules);
            }
            newer
        });
    }

    /// Something has happened, or was told. What is older than is known is passed over.
    pub fn events(&self, head: EventsHead) {
        self.events.send_if_modified(|known| {
            let newer = head > *known;
            *known = head.max(*known);
            newer
        });
    }

    /// The nodes that have no lease any more. What is older than is known is passed over.
    pub fn ended_leases(&self, ended: EndedLeases) {
        self.ended_leases.send_if_modified(|known| {
            let newer = ended.version > known.version;
            if newer {
                *known = Arc::new(ended);
            }
            newer
        });
    }

    /// A new directory. An older one than is known is passed over.
    pub fn directory(&self, directory: Directory) {
        self.directory.send_if_modified(|known| {
            let newer = directory.version > known.version;
            if newer {
                *known = Arc::new(directory);
            }
            newer
        });
    }
}

pub(crate) struct Remote {
    link: Arc<dyn Link>,
    node: NodeId,
    incarnation: u64,
    open: Mutex<OpenRequests>,
    stopped: AtomicBool,
    timeout: Duration,
    retry: Duration,
    max: usize,
}

/// The requests whose answers are awaited.
#[derive(Default)]
struct OpenRequests {
    last: u64,
    open: BTreeSet<u64>,
}

/// One request, open until this is dropped.
struct Open<'a>(&'a Remote, u64);

impl Remote {
    pub(crate) fn new(
        link: Arc<dyn Link>,
        node: NodeId,
        incarnation: u64,
        options: &ControlOptions,
    ) -> Self {
        Self {
            link,
            node,
            incarnation,
            open: Mutex::default(),
            stopped: AtomicBool::new(false),
            timeout: Duration::from_millis(options.proposal_timeout_ms),
            retry: Duration::from_millis(options.proposal_retry_ms),
            max: options.proposals_pending_max as usize,
        }
    }

    pub(crate) async fn propose(
        &self,
        command: Command,
        now: Timestamp,
    ) -> Result<Outcome, Unavailable> {
        let open = self.open()?;
        let ask = || {
            let proposal = Proposal {
                request: RequestId {
                    node: self.node,
                    incarnation: self.incarnation,
                    sequence: open.1,
                },
                acknowledged: self.acknowledged(),
                now,
                command: command.clone(),
            };
            self.link.propose(proposal)
        };
        match self.until_answered(ask).await? {
            Outcome::Stale | Outcome::Overload => Err(Unavailable::Overloaded),
            outcome => Ok(outcome),
        }
    }

    pub(crate) async fn read(&self) -> Result<Policy, Unavailable> {
        let _open = self.open()?;
        self.until_answered(|| self.link.read()).await
    }

    pub(crate) async fn status(&self) -> Result<ControlStatus, Unavailable> {
        let _open = self.open()?;
        self.until_answered(|| self.link.status()).await
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    async fn until_answered<'a, T>(&self, ask: impl Fn() -> Try<'a, T>) -> Result<T, Unavailable> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let end = deadline.min(Instant::now() + self.retry);
            let failed = match tokio::time::timeout_at(end, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Unavailable::Refused)) => return Err(Unavailable::Refused),
                Ok(Err(unavailable)) => unavailable,
                Err(_elapsed) => Unavailable::NoQuorum,
            };
            let again = Instant::now() + PAUSE;
            if again >= deadline {
                return Err(failed);
            }
            tokio::time::sleep_until(again).await;
        }
    }

    fn open(&self) -> Result<Open<'_>, Unavailable> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Unavailable::Stopped);
        }
        let mut requests = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.open.len() >= self.max {
            return Err(Unavailable::Overloaded);
        }
        requests.last += 1;
        let sequence = requests.last;
        requests.open.insert(sequence);
        Ok(Open(self, sequence))
    }

    /// No answer is awaited to requests below this one.
    fn acknowledged(&self) -> u64 {
        let requests = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        requests.open.first().copied().unwrap_or(requests.last + 1)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut requests = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        requests.open.remove(&self.1);
    }
}

/// Between a try that failed and the next: members that all refuse are not asked without a pause.
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of which the first few do not answer.
    #[derive(Default)]
    struct Flaky {
        seen: Mutex<Vec<Proposal>>,
        silent: usize,
    }

    impl Link for Flaky {
        fn propose(&self, proposal: Proposal) -> Try<'_, Outcome> {
            let mut seen = self.seen.lock().unwrap();
            seen.push(proposal);
            let answers = seen.len() > self.silent;
            Box::pin(async move {
                if answers {
                    Ok(Outcome::PolicyVersion(7))
                } else {
                    std::future::pending().await
                }
            })
        }

        fn read(&self) -> Try<'_, Policy> {
            Box::pin(async { Err(Unavailable::NoQuorum) })
        }

        fn status(&self) -> Try<'_, ControlStatus> {
            Box::pin(async { Err(Unavailable::Refused) })
        }
    }

    fn remote(link: &Arc<Flaky>) -> Remote {
        let link: Arc<dyn Link> = Arc::<Flaky>::clone(link);
        let options = ControlOptions {
            proposals_pending_max: 2,
            proposal_timeout_ms: 400,
            proposal_retry_ms: 30,
            ..ControlOptions::default()
        };
        Remote::new(link, NodeId::FIRST, 3, &options)
    }

    #[tokio::test]
    async fn a_question_that_is_not_answered_is_asked_again_under_the_same_id() {
        let flaky = Arc::new(Flaky {
            silent: 2,
            ..Flaky::default()
        });
        let remote = remote(&flaky);
        let outcome = remote
            .propose(Command::ResetRegistration, Timestamp(1))
            .await;
        assert_eq!(outcome, Ok(Outcome::PolicyVersion(7)));
        remote
            .propose(Command::ResetRegistration, Timestamp(2))
            .await
            .unwrap();
        let seen = flaky.seen.lock().unwrap();
        let ids: Vec<_> = seen
            .iter()
            .map(|it| (it.request.sequence, it.acknowledged))
            .collect();
        assert_eq!(ids, [(1, 1), (1, 1), (1, 1), (2, 2)]);
    }

    #[tokio::test]
    async fn without_an_answer_the_caller_is_told_in_time_and_a_refusal_is_told_at_once() {
        let remote = remote(&Arc::default());
        let asked = Instant::now();
        assert_eq!(remote.read().await, Err(Unavailable::NoQuorum));
        assert!(
            asked.elapsed() >= Duration::from_millis(300),
            "members are asked again"
        );
        let asked = Instant::now();
        assert_eq!(remote.status().await, Err(Unavailable::Refused));
        assert!(asked.elapsed() < Duration::from_millis(300));
    }

    #[tokio::test]
    async fn open_questions_are_bounded() {
        let flaky = Arc::new(Flaky {
            silent: usize::MAX,
            ..Flaky::default()
        });
        let remote = remote(&flaky);
        let ask = || remote.propose(Command::ResetRegistration, Timestamp(1));
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        assert_eq!(first, Err(Unavailable::NoQuorum));
        assert_eq!(second, Err(Unavailable::NoQuorum));
        assert_eq!(third, Err(Unavailable::Overloaded));
        remote.stop();
        assert_eq!(ask().await, Err(Unavailable::Stopped));
    }
}
