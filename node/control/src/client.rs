//! The handle of the control group: [`Control`].

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use arc_swap::ArcSwap;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, OsEntropy};
use tokio::sync::{oneshot, watch};

use crate::error::{RegistrationRefused, SettleError, StartError, Unavailable};
use crate::gauges;
use crate::options::ControlOptions;
use crate::raft::{
    Alone, Answer, ControlStatus, Driver, DriverParts, Event, Input, LogStore, MachineOptions,
    Mailbox, RaftMachine, Recovered, SqliteLog, Transport,
};
use crate::remote::{Link, Remote, Updates};
use crate::state::{
    BanList, Command, Directory, EndedLeases, EventsHead, GuardList, Listing, NameForms, NameRules,
    NodeId, Outcome, Policy, RefusalCause, RegistrationMode, RegistrationPolicy, ReservationId,
    ShardMap, ShownInvite,
};

mod awaiting;
mod bans;
mod cluster;
mod events;
mod guard;
mod invites;
mod names;
mod quota;
mod shards;
mod throttle;

pub use invites::Invited;
pub use names::NamesChanged;
pub use shards::Granted;

/// An attempt to register.
#[derive(Clone, Debug)]
pub struct Reserve {
    /// The virtual host, prepared.
    pub host: String,
    /// Where the client comes from. A mapped IPv4 address counts as IPv4.
    pub address: IpAddr,
    /// The wanted localpart, prepared.
    pub name: String,
    /// The present moment.
    pub now: Timestamp,
}

/// A place in the throttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// What it is settled by.
    pub id: ReservationId,
    /// Whether a moderator has to approve the account before it can be used.
    pub awaits_approval: bool,
}

/// The way to the control group: cheap to clone, for any thread. The driver stops when all clones are gone.
///
/// Questions go through a bounded queue to the driver's thread; one that finds it full is refused as
/// [`Unavailable::Overloaded`]. Every question is answered in time, with [`Unavailable`] if need be, and a proposal is
/// applied at most once however often it was made again underneath.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    way: Way,
    /// Whether this node's member has failed, if it has one.
    failure: Option<watch::Receiver<bool>>,
    policy: Arc<ArcSwap<Policy>>,
    watch: watch::Receiver<Arc<Policy>>,
    directory: watch::Receiver<Arc<Directory>>,
    shards: watch::Receiver<Arc<ShardMap>>,
    bans: watch::Receiver<Arc<BanList>>,
    guard: watch::Receiver<Arc<GuardList>>,
    names: watch::Receiver<Arc<NameRules>>,
    ended_leases: watch::Receiver<Arc<EndedLeases>>,
    events: watch::Receiver<EventsHead>,
    timeout: Duration,
}

/// How questions reach the group.
enum Way {
    /// This node is a member: to its driver.
    Member(SyncSender<Input>),
    /// To members on other nodes.
    Remote(Remote),
}

impl Control {
    /// Starts the control group's only member on this node.
    ///
    /// An empty `dir` begins a group; otherwise it is recovered from there. `registration` is what the configuration
    /// says: it holds until an administrator overrides it, and again after a reset. Blocks for some milliseconds, and
    /// returns when the member leads and its policy is applied, or when the disk turns out to be full.
    pub fn start(
        options: ControlOptions,
        dir: &Path,
        node: NodeId,
        registration: RegistrationPolicy,
    ) -> Result<Self, StartError> {
        Self::start_member(options, dir, node, &[node], registration, |_| {
            Box::new(Alone)
        })
    }

    /// Starts one member of a group that begins with these `voters`; without any, one that waits to be added to a
    /// group. `transport` is given the mailbox into which it
    /// delivers what the others send.
    ///
    /// Returns without waiting for a leader, except for a group of one.
    pub fn start_member(
        options: ControlOptions,
        dir: &Path,
        node: NodeId,
        voters: &[NodeId],
        registration: RegistrationPolicy,
        transport: impl FnOnce(Mailbox) -> Box<dyn Transport>,
    ) -> Result<Self, StartError> {
        let (store, recovered) = SqliteLog::open(dir, node, voters)?;
        Self::start_on(
            Box::new(store),
            recovered,
            options,
            node,
            registration,
            transport,
        )
    }

    /// The file that holds a member's log below `dir`, for those who must know whether there is one.
    pub fn log_file(dir: &Path) -> PathBuf {
        dir.join("control.sqlite")
    }

    pub(crate) fn start_on(
        store: Box<dyn LogStore>,
        recovered: Recovered,
        options: ControlOptions,
        node: NodeId,
        registration: RegistrationPolicy,
        transport: impl FnOnce(Mailbox) -> Box<dyn Transport>,
    ) -> Result<Self, StartError> {
        let (inputs, received) = sync_channel(options.proposals_pending_max.max(1) as usize);
        let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
        let (changes, watch) = watch::channel(Arc::new(Policy::default()));
        let tick = Duration::from_millis(options.tick_ms.max(1));
        let timeout = Duration::from_millis(options.proposal_timeout_ms) + GRACE;
        let machine = machine_options(node, options);
        let published = Arc::clone(&policy);
        let (directories, directory) = watch::channel(Arc::default());
        let (maps, shards) = watch::channel(Arc::default());
        let (lists, bans) = watch::channel(Arc::default());
        let (blocks, guard) = watch::channel(Arc::default());
        let (rules, names) = watch::channel(Arc::default());
        let (endings, ended_leases) = watch::channel(Arc::default());
        let (heads, events) = watch::channel(EventsHead::default());
        let mut driver = Driver::new(DriverParts {
            machine: RaftMachine::new(machine, recovered).map_err(raft_error)?,
            store,
            transport: transport(Mailbox(inputs.clone())),
            inputs: received,
            tick,
            configured: registration,
            publish: Box::new(move |policy| {
                published.store(Arc::clone(&policy));
                changes.send_replace(policy);
            }),
            publish_directory: Box::new(move |directory| {
                directories.send_replace(directory);
            }),
            publish_shards: Box::new(move |map| {
                maps.send_replace(map);
            }),
            publish_bans: Box::new(move |list| {
                lists.send_replace(list);
            }),
            publish_guard: Box::new(move |list| {
                blocks.send_replace(list);
            }),
            publish_names: publisher(rules),
            publish_ended_leases: publisher(endings),
            publish_events: publisher(heads),
        });
        driver.start().map_err(raft_error)?;
        let failure = driver.spawn()?;
        Ok(Self(Arc::new(Inner {
            way: Way::Member(inputs),
            failure: Some(failure),
            policy,
            watch,
            directory,
            shards,
            bans,
            guard,
            names,
            ended_leases,
            events,
            timeout,
        })))
    }

    /// The handle of a node that is no member. It asks through `link`, and knows of the policy and the nodes what the
    /// [`Updates`] are given. `incarnation` must grow with every start of the node.
    pub fn remote(
        options: &ControlOptions,
        node: NodeId,
        incarnation: u64,
        link: Arc<dyn Link>,
    ) -> (Self, Updates) {
        let policy = Arc::new(ArcSwap::from_pointee(Policy::default()));
        let (changes, watch) = watch::channel(Arc::new(Policy::default()));
        let (directories, directory) = watch::channel(Arc::default());
        let (maps, shards) = watch::channel(Arc::default());
        let (lists, bans) = watch::channel(Arc::default());
        let (blocks, guard) = watch::channel(Arc::default());
        let (rules, names) = watch::channel(Arc::default());
        let (endings, ended_leases) = watch::channel(Arc::default());
        let (heads, events) = watch::channel(EventsHead::default());
        let published = Arc::clone(&policy);
        let updates = Updates {
            policy: Box::new(move |policy| {
                if policy.version > published.load().version {
                    published.store(Arc::clone(&policy));
                    changes.send_replace(policy);
                }
            }),
            directory: directories,
            shards: maps,
            bans: lists,
            guard: blocks,
            names: rules,
            ended_leases: endings,
            events: heads,
        };
        let control = Self(Arc::new(Inner {
            way: Way::Remote(Remote::new(link, node, incarnation, options)),
            failure: None,
            policy,
            watch,
            directory,
            shards,
            bans,
            guard,
            names,
            ended_leases,
            events,
            timeout: Duration::from_millis(options.proposal_timeout_ms) + GRACE,
        }));
        (control, updates)
    }

    /// Takes a place for a registration as [`reserve`](Self::reserve) does, whatever the account may do then.
    pub async fn reserve_registration(
        &self,
        reserve: Reserve,
    ) -> Result<ReservationId, RegistrationRefused> {
        self.reserve(reserve).await.map(|reserved| reserved.id)
    }

    /// Asks the rules about names, and takes a place in every window of the throttle, to be settled with
    /// [`commit_registration`](Self::commit_registration) or [`release_registration`](Self::release_registration).
    /// What is settled by neither is given back after [`RegistrationPolicy::reservation_ms`].
    pub async fn reserve(&self, reserve: Reserve) -> Result<Reserved, RegistrationRefused> {
        let decision = match self.ask_for_place(reserve, None).await {
            Ok(Outcome::Reserved(id)) => Ok(Reserved {
                id,
                awaits_approval: false,
            }),
            Ok(Outcome::ReservedToAwait(id)) => Ok(Reserved {
                id,
                awaits_approval: true,
            }),
            Ok(other) => Err(unexpected(&other).into()),
            Err(refused) => Err(refused),
        };
        gauges::registration(decision.as_ref().err());
        decision
    }

    /// Asks for a place, and sorts out the refusals.
    async fn ask_for_place(
        &self,
        reserve: Reserve,
        invite: Option<ShownInvite>,
    ) -> Result<Outcome, RegistrationRefused> {
        let Reserve {
            host,
            address,
            name,
            now,
        } = reserve;
        if let Some(refused) = self.refused_here(address) {
            return Err(refused);
        }
        if let Some((by, kind)) = self.hidden_name(&name) {
            tracing::info!(by, kind = kind.as_str(), "registration refused by its name");
            return Err(RegistrationRefused::Name(kind));
        }
        let command = Command::Reserve {
            forms: Some(NameForms::of(&name)),
            host,
            address: address.to_canonical(),
            name,
            invite,
        };
        match self.propose(command, now).await? {
            Outcome::Closed => Err(RegistrationRefused::Closed),
            Outcome::Refused(cause) => Err(RegistrationRefused::Refused(cause)),
            Outcome::InviteNeeded => Err(RegistrationRefused::InviteNeeded),
            Outcome::InviteRefused(refused) => Err(refused.into()),
            Outcome::NameWithheld { by, kind } => {
                tracing::info!(by, kind = kind.as_str(), "registration refused by its name");
                Err(RegistrationRefused::Name(kind))
            }
            Outcome::Throttled {
                window,
                retry_after_ms,
            } => Err(RegistrationRefused::Throttled {
                window,
                retry_after_ms,
            }),
            outcome => Ok(outcome),
        }
    }

    /// Whether the policy, as this node knows it, lets nobody in from there: a flood from a network that is blocked
    /// costs the group nothing. A node that has heard of no policy yet asks.
    fn refused_here(&self, address: IpAddr) -> Option<RegistrationRefused> {
        let policy = self.policy();
        if policy.version == 0 {
            return None;
        }
        match policy.lists.judge(address) {
            Listing::Blocked => Some(RegistrationRefused::Refused(RefusalCause::Blocked)),
            Listing::NotAllowed => Some(RegistrationRefused::Refused(RefusalCause::NotAllowed)),
            _ if policy.registration.mode == RegistrationMode::Closed => {
                Some(RegistrationRefused::Closed)
            }
            Listing::Allowed | Listing::Unlisted => None,
        }
    }

    /// The account exists. Durable when it returns; doing it again is safe.
    pub async fn commit_registration(&self, reservation: ReservationId) -> Result<(), SettleError> {
        self.settle(reservation, Command::Commit { reservation })
            .await
    }

    /// The account was not made: its places are free for others when this returns.
    pub async fn release_registration(
        &self,
        reservation: ReservationId,
    ) -> Result<(), SettleError> {
        self.settle(reservation, Command::Release { reservation })
            .await
    }

    async fn settle(
        &self,
        reservation: ReservationId,
        command: Command,
    ) -> Result<(), SettleError> {
        if !reservation.is_counted() {
            return Ok(());
        }
        match self.propose(command, Timestamp::now()).await? {
            Outcome::Settled => Ok(()),
            Outcome::NotReserved => Err(SettleError::NotReserved),
            other => Err(unexpected(&other).into()),
        }
    }

    /// The policy as this node has applied it, without waiting.
    pub fn policy(&self) -> Arc<Policy> {
        self.0.policy.load_full()
    }

    /// Follows the policy as this node applies it.
    pub fn watch(&self) -> watch::Receiver<Arc<Policy>> {
        self.0.watch.clone()
    }

    /// The policy, at least as new as any that was set on any node before this call.
    pub async fn read_policy(&self) -> Result<Policy, Unavailable> {
        if let Way::Remote(remote) = &self.0.way {
            return remote.read().await;
        }
        match self.ask(Input::Read).await? {
            Answer::Policy(policy) => Ok(policy),
            Answer::Unavailable(unavailable) => Err(unavailable),
            Answer::Outcome(outcome) => Err(unexpected(&outcome)),
        }
    }

    /// Takes over what the configuration says now, durably; an administrator's override stays in force. Returns the
    /// version of the policy.
    pub async fn configure_registration(
        &self,
        policy: RegistrationPolicy,
    ) -> Result<u64, Unavailable> {
        self.change_policy(Command::ConfigureRegistration { policy })
            .await
    }

    /// Overrides the configuration's policy, durably, until it is reset. Returns the version of the policy, which this
    /// node has applied.
    pub async fn set_registration(&self, policy: RegistrationPolicy) -> Result<u64, Unavailable> {
        self.change_policy(Command::SetRegistration { policy })
            .await
    }

    /// Returns to the configuration's policy.
    pub async fn reset_registration(&self) -> Result<u64, Unavailable> {
        self.change_policy(Command::ResetRegistration).await
    }

    async fn change_policy(&self, command: Command) -> Result<u64, Unavailable> {
        match self.propose(command, Timestamp::now()).await? {
            Outcome::PolicyVersion(version) => Ok(version),
            other => Err(unexpected(&other)),
        }
    }

    /// How the group stands, as this member sees it.
    pub async fn status(&self) -> Result<ControlStatus, Unavailable> {
        if let Way::Remote(remote) = &self.0.way {
            return remote.status().await;
        }
        self.ask(Input::Status).await
    }

    /// Completes when this node's member can never answer again though nobody has stopped it: its disk holds what it
    /// cannot read, or it panicked. The log says why. The process should end with an error, so that it is started anew.
    pub async fn failed(&self) {
        if let Some(mut failure) = self.0.failure.clone()
            && failure.wait_for(|failed| *failed).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Stops the member; what was answered is on disk. Every later question is answered
    /// [`Unavailable::Stopped`].
    pub async fn stop(&self) {
        if let Way::Remote(remote) = &self.0.way {
            return remote.stop();
        }
        // An error means that it has stopped already, or does not answer: nothing more can be done.
        while let Err(Unavailable::Overloaded) = self.ask(Input::Stop).await {
            tokio::task::yield_now().await;
        }
    }

    async fn propose(&self, command: Command, now: Timestamp) -> Result<Outcome, Unavailable> {
        if let Way::Remote(remote) = &self.0.way {
            // Members judge it as well, but cannot tell whom it waits for.
            if let Some(behind) = self.directory().behind(command.format()) {
                return Err(behind.into());
            }
            return remote.propose(command, now).await;
        }
        match self
            .ask(|reply| Input::Propose(command, now, reply))
            .await?
        {
            Answer::Outcome(outcome) => Ok(outcome),
            Answer::Unavailable(unavailable) => Err(unavailable),
            Answer::Policy(_) => Err(Unavailable::Stopped),
        }
    }

    async fn ask<T>(
        &self,
        input: impl FnOnce(oneshot::Sender<T>) -> Input,
    ) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        self.put(input(reply))?;
        match tokio::time::timeout(self.0.timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_dropped)) => Err(Unavailable::Stopped),
            // The thread hangs, most likely in a write to a disk that does not answer.
            Err(_elapsed) => Err(Unavailable::Disk),
        }
    }

    /// Tells this node's member something that has no answer.
    fn tell(&self, event: Event) -> Result<(), Unavailable> {
        self.put(Input::Raft(event))
    }

    fn put(&self, input: Input) -> Result<(), Unavailable> {
        let Way::Member(inputs) = &self.0.way else {
            return Err(Unavailable::Refused);
        };
        inputs.try_send(input).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::Overloaded,
            TrySendError::Disconnected(_) => Unavailable::Stopped,
        })
    }
}

/// An outcome that the command cannot have: the state machine is at fault, the caller gets no answer.
fn unexpected(outcome: &Outcome) -> Unavailable {
    tracing::error!(?outcome, "control outcome does not fit the command");
    Unavailable::Stopped
}

/// Shows each new value to those who follow it.
fn publisher<T: Send + Sync + 'static>(followed: watch::Sender<T>) -> Box<dyn Fn(T) + Send> {
    Box::new(move |value| {
        followed.send_replace(value);
    })
}

fn raft_error(error: impl std::fmt::Display) -> StartError {
    StartError::Raft(error.to_string())
}

/// How much longer than the driver's own deadline a caller waits, for a driver that hangs in a write.
const GRACE: Duration = Duration::from_secs(1);

fn machine_options(node: NodeId, control: ControlOptions) -> MachineOptions {
    MachineOptions {
        node,
        seed: OsEntropy.below(u64::MAX),
        control,
    }
}

#[cfg(test)]
mod tests;
