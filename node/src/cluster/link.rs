//! The way from a node that is no member to the control group: [`GrpcLink`].

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::counter;
use rookery_control::{
    BanUpdate, ControlStatus, EndedLeases, EventsHead, GuardUpdate, Link, NameRules, NodeId,
    NodeRole, Outcome, Policy, Proposal, Try, Unavailable, Updates, decode_changes,
};
use rookery_proto::control::control_client::ControlClient;
use rookery_proto::control::{
    EnlistRequest, ProposeRequest, ReadRequest, StatusRequest, Unavailable as ApiUnavailable,
    WatchRequest,
};
use rookery_xmpp::entropy::OsEntropy;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::backoff::Backoff;
use super::book::Book;
use super::credentials::Credentials;
use super::dial::{DialError, dial};
use super::identity::{node_name, role_name};
use super::version::{self, Spoken};

/// Asks one member at a time; another when that one does not answer.
pub(super) struct GrpcLink {
    book: Arc<Book>,
    credentials: Credentials,
    /// Where this node itself is reached: it is no member.
    own: String,
    spoken: Spoken,
    present: Mutex<Present>,
}

/// The member that is asked at present.
#[derive(Default)]
struct Present {
    client: Option<ControlClient<Channel>>,
    /// Counts the members that were given up; which one is asked follows from it.
    given_up: usize,
}

/// One try. Dropped without an answer, its member is given up.
struct Attempt<'a> {
    link: &'a GrpcLink,
    given_up: usize,
    answered: bool,
}

impl GrpcLink {
    pub(super) fn new(book: Arc<Book>, credentials: Credentials, own: String) -> Self {
        Self {
            book,
            credentials,
            own,
            spoken: Spoken::default(),
            present: Mutex::default(),
        }
    }

    /// Asks the present member, and leaves it for another if it does not answer.
    async fn ask<T, F>(
        &self,
        call: impl FnOnce(ControlClient<Channel>, u32) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let (present, given_up) = {
            let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
            (present.client.clone(), present.given_up)
        };
        let mut attempt = Attempt {
            link: self,
            given_up,
            answered: false,
        };
        let client = match present {
            Some(client) => client,
            None => self
                .connect(given_up)
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?,
        };
        let answer = call(client, self.spoken.get()).await;
        match &answer {
            Err(status) => self.spoken.heed(status),
            Ok(_) => attempt.answered = true,
        }
        answer.map(tonic::Response::into_inner)
    }

    async fn connect(&self, given_up: usize) -> Result<ControlClient<Channel>, DialError> {
        let members = self.book.members(&self.own);
        let Some(address) = members.get(given_up % members.len().max(1)) else {
            return Err(DialError::NotReached("no member is known".to_owned()));
        };
        let credentials = self.credentials.now();
        let name = role_name(&credentials.identity.cluster, NodeRole::Control);
        let channel = dial(address, name, Arc::clone(&credentials.client)).await;
        let client = ControlClient::new(channel.inspect_err(|error| {
            tracing::debug!(address, %error, "control member not reached");
        })?)
        .max_decoding_message_size(EVENT_BYTES_MAX);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.given_up == given_up {
            present.client = Some(client.clone());
        }
        Ok(client)
    }

    fn give_up(&self, given_up: usize) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.given_up == given_up {
            present.given_up += 1;
            present.client = None;
            counter!("rookery_cluster_control_changes_total").increment(1);
        }
    }

    /// How the group stands as this very member sees it; `None` if it does not tell.
    pub(super) async fn status_of(&self, node: NodeId) -> Option<ControlStatus> {
        let address = self.book.address(node)?;
        let credentials = self.credentials.now();
        let name = node_name(&credentials.identity.cluster, node);
        let channel = dial(&address, name, Arc::clone(&credentials.client))
            .await
            .ok()?;
        let version = self.spoken.get();
        let answer = ControlClient::new(channel)
            .status(StatusRequest { version })
            .await;
        ControlStatus::decode(&answer.ok()?.into_inner().status).ok()
    }

    /// Tells the cluster where this node is and what it does.
    pub(super) async fn enlist(&self, address: &str, roles: &[NodeRole]) -> Result<(), Status> {
        let roles: Vec<_> = roles.iter().map(|role| role.as_str().to_owned()).collect();
        let address = address.to_owned();
        let call = async move |mut client: ControlClient<Channel>, version| {
            let request = EnlistRequest {
                version,
                address,
                roles,
                format: version::format().into(),
            };
            client.enlist(request).await
        };
        self.ask(call).await.map(drop)
    }

    /// Follows the policy and the nodes for ever, from one member or another.
    pub(super) async fn follow(self: Arc<Self>, updates: Updates) {
        let mut known = WatchRequest::default();
        let mut backoff = Backoff::default();
        loop {
            let call = async move |mut client: ControlClient<Channel>, version| {
                let request = WatchRequest { version, ..known };
                client.watch(request).await
            };
            let given_up = self
                .present
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .given_up;
            let ended = match self.ask(call).await {
                Err(status) => status,
                Ok(mut events) => loop {
                    let event = match events.message().await {
                        Ok(Some(event)) => event,
                        Ok(None) => break Status::unavailable("the member stops"),
                        Err(status) => break status,
                    };
                    backoff.reset();
                    if let Ok(policy) = Policy::decode(&event.policy) {
                        known.policy_version = policy.version;
                        updates.policy(policy);
                    }
                    if let Ok(directory) = rookery_control::Directory::decode(&event.directory) {
                        known.directory_version = directory.version;
                        self.book.set_directory(Arc::new(directory.clone()));
                        updates.directory(directory);
                    }
                    if let Ok(update) = BanUpdate::decode(&event.bans) {
                        known.bans_version = update.version;
                        updates.bans(update);
                    }
                    if let Ok(update) = GuardUpdate::decode(&event.guard) {
                        known.guard_version = update.version;
                        updates.guard(update);
                    }
                    if let Ok(names) = NameRules::decode(&event.names) {
                        known.names_version = names.version();
                        updates.names(names);
                    }
                    if event.events_newest > 0 {
                        let (newest, told) = (event.events_newest, event.events_told);
                        (known.events_newest, known.events_told) = (newest, told);
                        updates.events(EventsHead { newest, told });
                    }
                    if let Ok(ended) = EndedLeases::decode(&event.ended_leases) {
                        known.ended_leases_version = ended.version;
                        updates.ended_leases(ended);
                    }
                    if let Ok(changes) = decode_changes(&event.shards) {
                        let newest = changes.iter().map(|change| change.placement.since).max();
                        known.shards_version = newest.unwrap_or(0).max(known.shards_version);
                        updates.shards(changes);
                    }
                },
            };
            self.give_up(given_up);
            self.book.heed(&ended);
            tracing::warn!(
                reason = ended.message(),
                "control group not followed, trying again"
            );
            tokio::time::sleep(backoff.after_failure(&mut OsEntropy)).await;
        }
    }
}

impl Link for GrpcLink {
    fn propose(&self, proposal: Proposal) -> Try<'_, Outcome> {
        Box::pin(async move {
            let proposal = proposal.encode().into();
            let call = async move |mut client: ControlClient<Channel>, version| {
                client.propose(ProposeRequest { version, proposal }).await
            };
            let answer = self.ask(call).await.map_err(|status| of_status(&status))?;
            self.part(answer.unavailable())?;
            Outcome::decode(&answer.outcome).map_err(|_| Unavailable::NoQuorum)
        })
    }

    fn read(&self) -> Try<'_, Policy> {
        Box::pin(async move {
            let call = async move |mut client: ControlClient<Channel>, version| {
                client.read(ReadRequest { version }).await
            };
            let answer = self.ask(call).await.map_err(|status| of_status(&status))?;
            self.part(answer.unavailable())?;
            Policy::decode(&answer.policy).map_err(|_| Unavailable::NoQuorum)
        })
    }

    fn status(&self) -> Try<'_, ControlStatus> {
        Box::pin(async move {
            let call = async move |mut client: ControlClient<Channel>, version| {
                client.status(StatusRequest { version }).await
            };
            let answer = self.ask(call).await.map_err(|status| of_status(&status))?;
            self.part(answer.unavailable())?;
            ControlStatus::decode(&answer.status).map_err(|_| Unavailable::NoQuorum)
        })
    }
}

impl GrpcLink {
    /// A member that cannot answer now is left for another.
    fn part(&self, unavailable: ApiUnavailable) -> Result<(), Unavailable> {
        let unavailable = match unavailable {
            ApiUnavailable::Unspecified => return Ok(()),
            ApiUnavailable::NoQuorum => Unavailable::NoQuorum,
            ApiUnavailable::Overloaded => return Err(Unavailable::Overloaded),
            ApiUnavailable::Disk => Unavailable::Disk,
            ApiUnavailable::Stopped => Unavailable::NoQuorum,
            ApiUnavailable::Refused => return Err(Unavailable::Refused),
        };
        let given_up = self
            .present
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .given_up;
        self.give_up(given_up);
        Err(unavailable)
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.link.give_up(self.given_up);
        }
    }
}

fn of_status(status: &Status) -> Unavailable {
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => {
            tracing::warn!(reason = status.message(), "control group refuses this node");
            Unavailable::Refused
        }
        Code::ResourceExhausted => Unavailable::Overloaded,
        _ => Unavailable::NoQuorum,
    }
}

/// The largest event of a watch: the whole list of bans.
const EVENT_BYTES_MAX: usize = 64 << 20;
