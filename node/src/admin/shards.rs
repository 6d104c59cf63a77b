//! Asks shards on the operator's behalf.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rookery_control::Control;
use rookery_session::carrier::{
    AdminAnswer, AdminQuestion, Answer, AskId, Full, Question, RoutersRef, SessionId,
    SessionSummary, ShardId, Sink, ToSession, ToShard,
};
use rookery_xmpp::jid::Jid;
use tokio::sync::oneshot;
use tonic::Status;

/// The way from the admin API to the shards.
#[derive(Clone)]
pub struct Shards {
    routers: RoutersRef,
    control: Control,
    within: Duration,
    serial: Arc<AtomicU64>,
}

/// Where a shard puts the answer to one question.
struct OneAnswer {
    id: SessionId,
    answer: Mutex<Option<oneshot::Sender<Answer>>>,
}

impl Shards {
    /// A way that waits `within` for each answer. The control group knows who should have answered.
    pub fn new(routers: RoutersRef, control: Control, within: Duration) -> Self {
        Self {
            routers,
            control,
            within,
            serial: Arc::default(),
        }
    }

    /// Asks the shard that owns an account.
    pub(crate) async fn ask(
        &self,
        account: &Jid,
        question: AdminQuestion,
    ) -> Result<AdminAnswer, Status> {
        let shard = ShardId::of(account.bare_str(), self.routers.shards());
        let asked = self.ask_shard(shard, question);
        tokio::time::timeout(self.within, asked)
            .await
            .unwrap_or_else(|_| Err(self.late(&[shard.0].into())))
    }

    /// The sessions of an account, or of all.
    pub(super) async fn sessions(
        &self,
        account: Option<&Jid>,
    ) -> Result<Vec<SessionSummary>, Status> {
        let shards = self.routers.shards();
        let asked = match account {
            Some(jid) => vec![ShardId::of(jid.bare_str(), shards)],
            None => (0..shards).map(ShardId).collect(),
        };
        self.sessions_at(asked, account).await
    }

    async fn sessions_at(
        &self,
        asked: Vec<ShardId>,
        account: Option<&Jid>,
    ) -> Result<Vec<SessionSummary>, Status> {
        let silent: BTreeSet<u16> = asked.iter().map(|shard| shard.0).collect();
        let silent = Mutex::new(silent);
        let questions = asked.into_iter().map(|shard| {
            let silent = &silent;
            let question = AdminQuestion::ListSessions {
                account: account.map(Jid::to_bare),
                shard,
            };
            async move {
                let answer = self.ask_shard(shard, question).await?;
                let mut left = silent.lock().unwrap_or_else(PoisonError::into_inner);
                left.remove(&shard.0);
                match answer {
                    AdminAnswer::Sessions(sessions) => Ok(sessions),
                    other => Err(unexpected(&other)),
                }
            }
        });
        let gathered = stream::iter(questions)
            .buffer_unordered(SHARDS_ASKED_AT_ONCE)
            .try_concat();
        let gathered = tokio::time::timeout(self.within, gathered).await;
        gathered.unwrap_or_else(|_| {
            let silent = silent.lock().unwrap_or_else(PoisonError::into_inner);
            Err(self.late(&silent))
        })
    }

    /// What is told when shards did not answer: the operator looks after the nodes that serve them.
    fn late(&self, silent: &BTreeSet<u16>) -> Status {
        let map = self.control.shards();
        let owner = |shard: u16| map.get(shard).and_then(|placement| placement.owner);
        let who = match silent.first() {
            _ if map.is_empty() => "the shards".to_owned(),
            Some(&first) if silent.len() == 1 => match owner(first) {
                Some(node) => format!("shard {first}, which node {node} serves,"),
                None => format!("shard {first}, which no node serves,"),
            },
            _ => {
                let nodes: BTreeSet<_> = silent.iter().filter_map(|shard| owner(*shard)).collect();
                let nodes: Vec<_> = nodes.iter().map(ToString::to_string).collect();
                let (count, nodes) = (silent.len(), nodes.join(", "));
                format!("{count} shards (served by node {nodes})")
            }
        };
        Status::deadline_exceeded(format!(
            "{who} did not answer in time; what was asked may still happen. The server there is down, overloaded \
             or its disk is slow: see `rookery admin nodes list` and `rookery admin server status`"
        ))
    }

    /// Makes an account, whatever its name; false if it is there. `Err` says why it cannot be made.
    pub async fn create_account(&self, account: &str, password: &str) -> Result<bool, String> {
        let jid: Jid = account
            .parse()
            .map_err(|error| format!("{account}: {error}"))?;
        let question = AdminQuestion::CreateAccount {
            account: jid.clone(),
            password: password.to_owned(),
            force: true,
        };
        match self.ask(&jid, question).await {
            Ok(AdminAnswer::Done) => Ok(true),
            Ok(AdminAnswer::AlreadyExists) => Ok(false),
            Ok(other) => Err(unexpected(&other).message().to_owned()),
            Err(status) => Err(status.message().to_owned()),
        }
    }

    /// Completes when every one of these shards has handled what it was given before, or time is up.
    pub async fn settle(&self, is_meant: impl Fn(ShardId) -> bool) {
        let all = (0..self.routers.shards()).map(ShardId);
        let asked = all.filter(|shard| is_meant(*shard)).collect();
        if let Err(status) = self.sessions_at(asked, None).await {
            tracing::warn!(reason = status.message(), "shards did not settle");
        }
    }

    /// Whether the owner of an account could log in to it now: it is there, is not disabled, waits for nobody's
    /// approval and does not leave.
    pub(crate) async fn is_in_use(&self, account: &Jid) -> Result<bool, Status> {
        let show = AdminQuestion::ShowAccount {
            account: account.clone(),
        };
        match self.ask(account, show).await? {
            AdminAnswer::Account(summary) if summary.enabled => {}
            AdminAnswer::Account(_) | AdminAnswer::NotFound => return Ok(false),
            other => return Err(unexpected(&other)),
        }
        let shard = ShardId::of(account.bare_str(), self.routers.shards());
        let login = Question::Credentials {
            account: account.clone(),
        };
        let answered = tokio::time::timeout(self.within, self.ask_any(shard, login)).await;
        match answered.unwrap_or_else(|_| Err(self.late(&[shard.0].into())))? {
            Answer::Credentials(keys) => Ok(keys.is_some()),
            Answer::Barred(..) => Ok(false),
            _ => Err(Status::unavailable("the shard cannot say")),
        }
    }

    async fn ask_shard(
        &self,
        shard: ShardId,
        question: AdminQuestion,
    ) -> Result<AdminAnswer, Status> {
        match self.ask_any(shard, Question::Admin(question)).await? {
            Answer::Admin(answer) => Ok(answer),
            Answer::Unavailable => Err(Status::unavailable(
                "the store or the control group is out of reach: see `rookery admin server status`",
            )),
            _ => Err(Status::internal("the shard answered another question")),
        }
    }

    async fn ask_any(&self, shard: ShardId, question: Question) -> Result<Answer, Status> {
        let (sender, receiver) = oneshot::channel();
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        // Node 0 is no node: what asks here is not a session.
        let id = SessionId { node: 0, serial };
        let from = Arc::new(OneAnswer {
            id,
            answer: Mutex::new(Some(sender)),
        });
        let mut frame = ToShard::Ask {
            from,
            ask: AskId(0),
            question,
        };
        while let Err(Full(refused)) = self.routers.send(shard, frame) {
            frame = refused;
            tokio::time::sleep(RETRY_WHEN_FULL).await;
        }
        let stopped = |_| Status::unavailable("the shard stopped before it answered");
        receiver.await.map_err(stopped)
    }
}

impl Sink for OneAnswer {
    fn session(&self) -> SessionId {
        self.id
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let ToSession::Answer { answer, .. } = frame else {
            return Err(Full(frame));
        };
        let mut waiting = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.take() {
            // Whoever asked may have given up.
            let _ = sender.send(answer);
        }
        Ok(())
    }
}

/// A status for an answer that does not fit the question.
pub(super) fn unexpected(answer: &AdminAnswer) -> Status {
    match answer {
        AdminAnswer::NotFound => Status::not_found("there is no such account or session"),
        AdminAnswer::AlreadyExists => Status::already_exists("the account exists already"),
        AdminAnswer::Invalid(why) => Status::invalid_argument(why.clone()),
        _ => Status::internal("the shard answered another question"),
    }
}

/// Enough to keep all cores busy, few enough to leave room in the shards' queues.
const SHARDS_ASKED_AT_ONCE: usize = 64;

/// A full shard works through its queue in less.
const RETRY_WHEN_FULL: Duration = Duration::from_millis(5);
