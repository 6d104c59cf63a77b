//! The machine of one shard: finds or loads the account that an input is for, and lets it work.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use rookery_session::carrier::{AskId, Bell, Question, ShardId, SinkRef, ToShard};
use rookery_store::StoreError;
use rookery_store::account::Found;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::Entropy;
use rookery_xmpp::jid::Jid;

use super::left::LeftToNext;
use super::loading::Loading;
use super::streams::Streams;
use super::turn::Outbox;
use super::{Effect, Input, PeerFrame, Reply, Request, RequestId, Then, Turn};
use crate::account::{Account, Work, absent, gone};
use crate::environment::Environment;
use crate::modules::registration::{self, Challenges};

/// One shard: the accounts it owns, as far as they are in memory, and what they wait for.
pub struct Shard {
    id: ShardId,
    epoch: u32,
    env: Arc<Environment>,
    /// In an order that does not depend on anything random: a simulation must repeat.
    accounts: IndexMap<Box<str>, Slot>,
    streams: Streams,
    challenges: Challenges,
    out: Outbox,
}

/// An account in memory, or on its way there.
enum Slot {
    /// The store was asked.
    Loading(Loading),
    /// Here.
    Ready(Box<Account>),
}

impl Shard {
    /// An empty shard, served under this epoch: what is appended to logs sorts behind all that
    /// earlier epochs have written.
    pub fn new(id: ShardId, epoch: u32, env: Arc<Environment>) -> Self {
        Self {
            id,
            epoch,
            env,
            accounts: IndexMap::new(),
            streams: Streams::default(),
            challenges: Challenges::default(),
            out: Outbox::default(),
        }
    }

    /// Which shard this is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The epoch under which it is served.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// How many accounts are in memory.
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// How long what clients have sent may keep the next owner waiting ([`Shard::is_settled`]): some round trips, and
    /// less than a move may pause.
    pub const SETTLED_WITHIN: Duration = Duration::from_millis(500);

    /// The ways to all sessions of the shard, for the end of a shard that cannot go on.
    pub fn into_sinks(self) -> Vec<SinkRef> {
        let ready = self.accounts.into_values().filter_map(|slot| match slot {
            Slot::Ready(account) => Some(account),
            Slot::Loading(_) => None,
        });
        ready
            .flat_map(|mut account| account.sessions.drain())
            .map(|s| s.sink)
            .collect()
    }

    /// Rings when all has been dealt with that clients have sent who are away and whom no node serves: who gives the
    /// shard up waits for that, for a while, for nobody would send it to the next owner.
    pub fn is_settled(&self) -> Bell {
        Bell::behind(self.ready().flat_map(Account::unsettled))
    }

    /// What the next owner of the shard must find in the store before it begins: to be carried out when this one
    /// handles nothing any more.
    pub fn left_to_next(&self, now: Timestamp) -> LeftToNext {
        let ends = now.plus(Duration::from_secs(self.env.options.load().resume_s.into()));
        LeftToNext {
            shard: self.id,
            streams: self.ready().flat_map(|it| it.stranded(ends)).collect(),
            unlogged: self.ready().flat_map(Account::unlogged).collect(),
        }
    }

    fn ready(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values().filter_map(|slot| match slot {
            Slot::Ready(account) => Some(&**account),
            Slot::Loading(_) => None,
        })
    }

    /// Handles one input; what must be done is appended to `effects`.
    pub fn handle(
        &mut self,
        input: Input,
        now: Timestamp,
        entropy: &mut dyn Entropy,
        effects: &mut Vec<Effect>,
    ) {
        let env = self.env.clone();
        let turn = &mut Turn {
            env: &env,
            options: env.options.load_full(),
            shard: self.id,
            epoch: self.epoch,
            now,
            entropy,
            cause: None,
            arrival: 0,
            logged: None,
            receipt: None,
            challenges: &mut self.challenges,
            out: &mut self.out,
        };
        let accounts = &mut Accounts {
            map: &mut self.accounts,
            streams: &mut self.streams,
        };
        accounts.streams.ask(turn, self.id);
        match input {
            Input::Session(frame) => accounts.session_frame(self.id, turn, frame),
            Input::Peer(frame) => accounts.peer_frame(turn, frame),
            Input::Replied(id, reply) => accounts.replied(turn, id, reply),
            Input::Undelivered(session, jid, delivered) => {
                accounts.work(
                    turn,
                    &jid.to_bare(),
                    Work::Undelivered {
                        session,
                        delivered: Box::new(delivered),
                    },
                );
            }
            Input::Refused(frame) => accounts.refused(turn, frame),
            // Only who lets others wait for it needs it.
            Input::AllAnnounced(_) => {}
            Input::Tick => accounts.tick(turn),
        }
        effects.append(&mut self.out.effects);
    }
}

/// The accounts, apart from the outbox, so that both can be lent at once.
struct Accounts<'a> {
    map: &'a mut IndexMap<Box<str>, Slot>,
    streams: &'a mut Streams,
}

impl Accounts<'_> {
    fn session_frame(&mut self, shard: ShardId, turn: &mut Turn<'_>, frame: ToShard) {
        let frame = match self.streams.are_known() {
            true => frame,
            false => match self.streams.may_come(turn, frame) {
                Some(frame) => frame,
                None => return,
            },
        };
        match frame {
            ToShard::Stanzas {
                session,
                from,
                sequence,
                batch,
                receipt,
            } => {
                self.work_of_session(turn, from, |from| Work::Submit {
                    session,
                    from,
                    sequence,
                    batch,
                    next: 0,
                    receipt,
                });
            }
            ToShard::Closed {
                session,
                jid,
                receipt,
            } => self.work_of_session(turn, jid, |_| Work::Ended { session, receipt }),
            ToShard::Acked {
                session,
                jid,
                acked,
            } => self.work_of_session(turn, jid, |_| Work::Acked { session, acked }),
            ToShard::Detached {
                session,
                jid,
                receipt,
            } => self.work_of_session(turn, jid, |_| Work::Detached { session, receipt }),
            ToShard::Left {
                session,
                jid,
                delivered,
            } => self.work(turn, &jid.to_bare(), Work::Left { session, delivered }),
            ToShard::Announce {
                from,
                jid,
                address,
                state,
                kept,
            } => {
                let account = jid.to_bare();
                let work = Work::Announced {
                    from,
                    jid,
                    address,
                    state,
                    kept,
                };
                self.work(turn, &account, work);
            }
            ToShard::Ask {
                from,
                ask,
                question,
            } => self.question(shard, turn, from, ask, question),
        }
    }

    /// Lets the account of a bound session work. A bound session keeps its account in memory, so
    /// this is the only look-up of the way; without an account the session is over already, and may
    /// have said something before.
    fn work_of_session(
        &mut self,
        turn: &mut Turn<'_>,
        jid: Arc<Jid>,
        work: impl FnOnce(Arc<Jid>) -> Work,
    ) {
        match self.map.get_mut(jid.bare_str()) {
            Some(Slot::Ready(account)) => account.work(turn, work(jid)),
            Some(Slot::Loading(loading)) => loading.wait(turn, work(jid)),
            None => {
                let account = jid.to_bare();
                let work = work(jid);
                if matches!(work, Work::Submit { .. }) {
                    self.work(turn, &account, work);
                }
            }
        }
    }

    fn question(
        &mut self,
        shard: ShardId,
        turn: &mut Turn<'_>,
        from: SinkRef,
        ask: AskId,
        question: Question,
    ) {
        use rookery_session::carrier::AdminQuestion as Admin;
        let account = match &question {
            Question::Credentials { account }
            | Question::Bind { account, .. }
            | Question::Enable { account, .. }
            | Question::Resume { account, .. } => account.clone(),
            Question::Register { .. } => {
                registration::answer(turn, from, ask, question);
                return;
            }
            Question::Admin(Admin::ListSessions {
                account,
                shard: asked,
            }) => {
                debug_assert_eq!(*asked, shard);
                let sessions = self.sessions(account.as_ref());
                turn.answer(&from, ask, sessions);
                return;
            }
            Question::Admin(Admin::CreateAccount { .. }) => {
                registration::create_for_operator(turn, from, ask, question);
                return;
            }
            Question::Admin(
                Admin::DeleteAccount { account, .. }
                | Admin::Moderate { account, .. }
                | Admin::SetPassword { account, .. }
                | Admin::SetEnabled { account, .. }
                | Admin::ShowAccount { account },
            ) => account.clone(),
            Question::Admin(Admin::CloseSessions { jid, .. }) => jid.to_bare(),
        };
        self.work(
            turn,
            &account,
            Work::Ask {
                from,
                ask,
                question,
            },
        );
    }

    fn sessions(&self, account: Option<&Jid>) -> rookery_session::carrier::Answer {
        use rookery_session::carrier::{AdminAnswer, Answer};
        let mut sessions: Vec<_> = self
            .map
            .values()
            .filter_map(|slot| match slot {
                Slot::Ready(ready) if account.is_none_or(|jid| ready.jid().same_bare(jid)) => {
                    Some(ready.session_summaries())
                }
                _ => None,
            })
            .flatten()
            .collect();
        sessions.sort_by(|a, b| a.jid.cmp(&b.jid));
        Answer::Admin(AdminAnswer::Sessions(sessions))
    }

    fn peer_frame(&mut self, turn: &mut Turn<'_>, frame: PeerFrame) {
        if frame.to.local().is_none() {
            // Only a client's own shard speaks for the server, and it answers there
            // (account::submit).
            return;
        }
        match self.map.get_mut(frame.to.bare_str()) {
            Some(Slot::Ready(account)) => account.work(turn, arrival(frame)),
            _ => {
                let bare = frame.to.to_bare();
                self.work(turn, &bare, arrival(frame));
            }
        }
    }

    /// There is no room for what an account has said to another.
    fn refused(&mut self, turn: &mut Turn<'_>, frame: PeerFrame) {
        if let Some(Slot::Ready(sender)) = self.map.get_mut(frame.from.bare_str()) {
            sender.was_refused(&frame);
        }
        absent::overloaded(turn, arrival(frame));
    }

    /// Lets an account work, loading it first where it is not in memory.
    fn work(&mut self, turn: &mut Turn<'_>, account: &Jid, work: Work) {
        match self.map.get_mut(account.as_str()) {
            Some(Slot::Ready(ready)) => ready.work(turn, work),
            Some(Slot::Loading(loading)) => loading.wait(turn, work),
            None => {
                let key: Box<str> = account.as_str().into();
                let mut loading = Loading::new(turn);
                loading.wait(turn, work);
                self.map.insert(key, Slot::Loading(loading));
                load(turn, account);
            }
        }
    }

    fn replied(&mut self, turn: &mut Turn<'_>, id: RequestId, reply: Reply) {
        let Some((then, receipt)) = turn.out.waiting.remove(&id) else {
            return;
        };
        turn.receipt = receipt;
        match then {
            Then::Free(run) => run(turn, reply),
            Then::Load(account) => self.loaded(turn, &account, reply),
            Then::Streams => self.streams_read(turn, reply),
            Then::Account {
                account,
                gates,
                run,
            } => {
                if let Some(Slot::Ready(ready)) = self.map.get_mut(account.as_str()) {
                    ready.resume(turn, gates, run, reply);
                    if ready.is_removed() {
                        self.map.swap_remove(account.as_str());
                    }
                }
            }
        }
    }

    /// The store answered a load: the account works off what waited, or is answered for as absent.
    fn loaded(&mut self, turn: &mut Turn<'_>, jid: &Arc<Jid>, reply: Reply) {
        let Some(Slot::Loading(loading)) = self.map.swap_remove(jid.as_str()) else {
            return;
        };
        let slot = match reply {
            Reply::Loaded(Found::Account(loaded)) => {
                let mut account = Box::new(Account::new(turn, jid.clone(), *loaded));
                for work in loading.into_waiting() {
                    account.work(turn, work);
                }
                Slot::Ready(account)
            }
            Reply::Loaded(Found::Gone(tombstone)) if gone::is_told(turn, &tombstone) => {
                let waiting = loading.into_waiting();
                return waiting.for_each(|work| gone::answer(turn, work));
            }
            Reply::Loaded(Found::Gone(_) | Found::Nobody) => {
                let waiting = loading.into_waiting();
                return waiting.for_each(|work| absent::answer(turn, work));
            }
            other => {
                let error = match other {
                    Reply::Failed(error) => error,
                    _ => StoreError::Invalid("reply"),
                };
                match loading.fails(turn, &error) {
                    Some(loading) => Slot::Loading(loading),
                    None => return,
                }
            }
        };
        self.map.insert(jid.as_str().into(), slot);
    }

    fn streams_read(&mut self, turn: &mut Turn<'_>, reply: Reply) {
        let (streams, early) = self.streams.read(turn, reply);
        for stranded in streams {
            let account = stranded.account();
            self.work(turn, &account, Work::Stranded(Box::new(stranded)));
        }
        for frame in early {
            self.session_frame(turn.shard, turn, frame);
        }
    }

    fn tick(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut turn.out.misses_stream) {
            self.streams.forget();
        }
        let idle = Duration::from_secs(u64::from(turn.options.account_idle_s));
        self.map.retain(|account, slot| match slot {
            Slot::Ready(account) => {
                account.tick(turn, idle);
                !account.is_idle(turn.now, idle)
            }
            Slot::Loading(loading) => {
                if loading.asks_again()
                    && let Ok(account) = Jid::parse(account)
                {
                    load(turn, &account);
                }
                true
            }
        });
    }
}

fn arrival(frame: PeerFrame) -> Work {
    let PeerFrame {
        from,
        to,
        batch,
        origin,
        receipt,
    } = frame;
    Work::Arrive {
        from,
        to,
        batch,
        next: 0,
        origin,
        receipt,
    }
}

/// Has an account read.
fn load(turn: &mut Turn<'_>, account: &Jid) {
    let request = Request::Load(account.clone());
    turn.request(request, Then::Load(Arc::new(account.clone())));
}
