//! One link that another node has dialled.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use metrics::counter;
use rookery_session::carrier::{
    Receipt, Receipts, SessionId, ShardId, ShardInput, SinkRef, ToSession, ToShard,
};

use super::Inner;
use super::proxy::Proxy;
use super::rights::Rights;
use super::waiting::Waiting;
use crate::broken::Broken;
use crate::half::Half;
use crate::wire::{
    Announced, Down, DownBody, Hello, Incoming, Malformed, ToLink, UpIn, read_parcel,
};

/// A link as its accepting side knows it.
pub(crate) struct Accepted {
    pub(crate) node: u32,
    /// Which life of the node.
    pub(super) life: u64,
    /// Which link of that life.
    pub(super) link: u64,
    pub(crate) half: Arc<Half<Down>>,
    pub(super) hall: Arc<Inner>,
    proxies: Mutex<BTreeMap<SessionId, Weak<Proxy>>>,
    pub(super) waiting: Waiting,
    /// Held while a parcel is handled.
    receiving: Mutex<Receiving>,
    /// What has been dealt with, and the peer was not told of.
    settled: Mutex<Vec<(ShardId, u64)>>,
}

/// What the peer was told, and has said, of shards.
#[derive(Default)]
struct Receiving {
    /// What the present connection may say; nothing before there is one.
    rights: Option<Rights>,
    /// Everything for these is dropped, until the peer says that it begins anew.
    giving_back: HashSet<ShardId>,
    /// The epoch in which the peer takes this node for the owner. In another one it has another actor, which
    /// would not know what was told to the former.
    epochs: BTreeMap<ShardId, u32>,
}

/// What became of a frame.
enum Verdict {
    Taken,
    Held,
    /// Dropped: the peer has it, and hears, once, by which map.
    NotMine(Option<u64>),
}

impl Accepted {
    pub(super) fn new(hall: Arc<Inner>, hello: &Hello) -> Arc<Self> {
        let limits = hall.config.options.down_limits();
        Arc::new(Self {
            node: hello.from,
            life: hello.life,
            link: hello.link,
            half: Arc::new(Half::new(limits, hall.clock.now())),
            hall,
            proxies: Mutex::default(),
            waiting: Waiting::default(),
            receiving: Mutex::default(),
            settled: Mutex::default(),
        })
    }

    /// A connection begins: its number, and what to answer.
    pub(super) fn connect(
        &self,
        hello: &Hello,
        version: u8,
        resumed: bool,
        rights: Rights,
    ) -> Result<(u64, Hello), Malformed> {
        // Nothing of the connection before is half handled.
        let mut receiving = self.receiving();
        receiving.rights = Some(rights);
        let generation = self.half.connect();
        let mut line = self.half.line();
        let config = &self.hall.config;
        let reply = Hello {
            newest: config.options.version,
            oldest: config.options.version_oldest,
            from: config.node,
            to: self.node,
            life: config.life,
            link: self.link,
            resumed,
            received: line.received(),
            forget: line.forgettable(),
        };
        // What the peer says of a link that is not known here is about another one; it will notice.
        let (received, forget) = match resumed {
            true => (hello.received, hello.forget),
            false => (0, 0),
        };
        line.open(generation, version, received, forget)?;
        drop(line);
        drop(receiving);
        Ok((generation, reply))
    }

    /// Handles a parcel.
    pub(crate) fn receive(self: &Arc<Self>, generation: u64, parcel: Bytes) -> Result<(), Broken> {
        let size = parcel.len();
        let mut receiving = self.receiving();
        let Incoming::Frames(header, frames) = read_parcel(parcel, UpIn::read)? else {
            return Err(Malformed("a second hello").into());
        };
        let repeats = self
            .half
            .line()
            .repeats(generation, &header, frames.len())?;
        let granted = |frame| receiving.rights.is_some_and(|it| it.cover(frame));
        if !frames.iter().all(granted) {
            return Err(Broken::NotGranted);
        }
        let count = frames.len() - repeats;
        let mut words = Vec::new();
        for (number, frame) in (header.first..).zip(frames).skip(repeats) {
            self.handle(number, frame, &mut receiving, &mut words);
        }
        counter!("rookery_link_parcels_received_total").increment(1);
        counter!("rookery_link_frames_received_total").increment(count as u64);
        let mut line = self.half.line();
        for body in words {
            line.push_always(Down { body });
        }
        line.handled(count, size);
        line.forget(header.forget)?;
        let (wake, unheard) = (line.has_to_send(), line.is_unheard());
        drop(line);
        if unheard {
            drop(receiving);
            self.hall.give_up(self);
            return Err(Broken::Unheard);
        }
        // It goes with the word of what was handled, which is never far.
        self.tell_settled();
        if wake {
            self.half.wake();
        }
        self.waiting.start(self);
        Ok(())
    }

    fn handle(
        self: &Arc<Self>,
        number: u64,
        frame: UpIn,
        receiving: &mut Receiving,
        words: &mut Vec<DownBody>,
    ) {
        let epochs = &receiving.epochs;
        let taken = frame.into_input(
            self.node,
            |shard, session, announced| self.sink(session, announced, epochs.get(&shard).copied()),
            |shard, token| self.receipt(shard, token),
        );
        match taken {
            Ok((shard, input)) => match self.take(shard, input, receiving) {
                Verdict::Taken => {}
                Verdict::Held => words.push(DownBody::Held(number)),
                Verdict::NotMine(version) => {
                    words.extend(version.map(|version| DownBody::NotMine(shard, version)));
                }
            },
            Err(ToLink::NotTaken(number)) => self.not_taken(number),
            Err(ToLink::Again(shard, epoch)) => {
                // What waits here comes again.
                self.waiting.clear(shard);
                receiving.giving_back.remove(&shard);
                receiving.epochs.insert(shard, epoch);
            }
            Err(ToLink::Fence(shard)) => {
                words.extend(self.take_settled());
                words.push(DownBody::Fenced(shard));
            }
        }
    }

    /// Tells the peer what has been dealt with.
    pub(super) fn tell_settled(&self) {
        if let Some(body) = self.take_settled() {
            self.half.line().push_always(Down { body });
        }
    }

    fn take_settled(&self) -> Option<DownBody> {
        let settled = std::mem::take(&mut *self.settled_frames());
        (!settled.is_empty()).then_some(DownBody::Settled(settled))
    }

    /// The receipt of a frame that its sender keeps.
    fn receipt(self: &Arc<Self>, shard: ShardId, token: u64) -> Option<Receipt> {
        let to: Arc<dyn Receipts> = self.clone();
        (token != 0).then(|| Receipt::new(shard, token, to))
    }

    /// The peer has gone for good: its sessions are closed at their shards, and what they were to
    /// get comes back.
    pub(super) fn lose(self: &Arc<Self>) {
        let left = self.half.line().close(self.hall.clock.now());
        let generation = self.half.line().generation();
        self.half.changed(generation);
        for down in left {
            self.undelivered(&down);
        }
        let proxies: Vec<_> = self.proxies().values().filter_map(Weak::upgrade).collect();
        for proxy in proxies {
            if let Some(jid) = proxy.jid() {
                let session = proxy.id();
                self.hand(
                    self.hall.shard_of(jid),
                    ShardInput::Session(ToShard::Detached {
                        session,
                        jid: jid.clone(),
                        receipt: None,
                    }),
                );
            }
        }
    }

    /// While the peer is away, what sessions were to get that their shards have ended meanwhile goes back
    /// at once: somebody else may wait for it, in another session of the same client.
    pub(super) fn recall_of_ended(self: &Arc<Self>) {
        let mut line = self.half.line();
        if !line.is_down() {
            return;
        }
        let ended: HashSet<SessionId> = line.frames().filter_map(Down::ended).collect();
        if ended.is_empty() {
            return;
        }
        let nothing = || Down {
            body: DownBody::Settled(Vec::new()),
        };
        let recalled = line.recall(
            |down| down.delivers_to().is_some_and(|to| ended.contains(&to)),
            nothing,
        );
        drop(line);
        for down in recalled {
            self.undelivered(&down);
        }
    }

    /// Ends the queue of a shard that has taken everything, and tells the peer. Not while a parcel
    /// is handled, so that the peer hears of the room behind what it is told to wait for.
    pub(super) fn room(&self, shard: ShardId) -> bool {
        let receiving = self.receiving();
        let ended = self.waiting.end(shard);
        if ended {
            let body = DownBody::Room(shard);
            self.half.push_always(Down { body });
        }
        drop(receiving);
        ended
    }

    /// Forgets the sink of a session that nobody needs any more.
    pub(super) fn forget(&self, session: SessionId) {
        let mut proxies = self.proxies();
        if proxies
            .get(&session)
            .is_some_and(|proxy| proxy.strong_count() == 0)
        {
            proxies.remove(&session);
        }
    }

    /// Gives a frame to its shard, if this node owns it.
    fn take(
        self: &Arc<Self>,
        shard: ShardId,
        input: ShardInput,
        receiving: &mut Receiving,
    ) -> Verdict {
        let map = self.hall.config.map.load();
        let meant = receiving.epochs.get(&shard);
        let ours = map.owner(shard).is_some_and(|owner| {
            owner.node == self.hall.config.node && meant.is_none_or(|epoch| *epoch == owner.epoch)
        });
        if !ours || receiving.giving_back.contains(&shard) {
            let first = receiving.giving_back.insert(shard);
            return Verdict::NotMine(first.then_some(map.version));
        }
        match self.waiting.give(self, shard, input) {
            true => Verdict::Taken,
            false => Verdict::Held,
        }
    }

    /// Gives a shard what comes back to it.
    fn hand(self: &Arc<Self>, shard: ShardId, input: ShardInput) {
        self.waiting.give(self, shard, input);
        self.waiting.start(self);
    }

    /// A session did not take the frame of that number.
    fn not_taken(self: &Arc<Self>, number: u64) {
        let down = self.half.line().take_back(number);
        if let Some(down) = down {
            counter!("rookery_link_deliveries_refused_total").increment(1);
            self.undelivered(&down);
        }
    }

    /// What a session did not take goes back to its shard, unless that has kept it. Another owner of the
    /// shard would take it for its own: what a former one has said is sent to it again by whoever sent it.
    fn undelivered(self: &Arc<Self>, down: &Down) {
        let DownBody::Session {
            session,
            round,
            jid,
            epoch,
            ticket,
            frame: ToSession::Deliver(delivered),
        } = &down.body
        else {
            return;
        };
        // The lock is not held when the last of a proxy goes.
        let proxy = self.proxies().get(session).and_then(Weak::upgrade);
        if let Some(proxy) = proxy {
            proxy.behind(*round);
        }
        if let Some(ticket) = ticket {
            return ticket.tear();
        }
        // Nothing is delivered to one that is not bound.
        let Some(jid) = jid else { return };
        let shard = self.hall.shard_of(jid);
        let owner = self.hall.config.map.load().owner(shard);
        if epoch.is_some_and(|epoch| owner.is_none_or(|owner| owner.epoch != epoch)) {
            return;
        }
        self.hand(
            shard,
            ShardInput::Undelivered {
                session: *session,
                jid: jid.clone(),
                delivered: Box::new(delivered.clone()),
            },
        );
    }

    /// The sink of a session of that node; another one if the session is announced.
    fn sink(
        self: &Arc<Self>,
        session: SessionId,
        announced: Option<&Announced>,
        epoch: Option<u32>,
    ) -> SinkRef {
        let mut proxies = self.proxies();
        let known = proxies.get(&session).and_then(Weak::upgrade);
        let proxy = match (known, announced) {
            (Some(proxy), None) => return proxy,
            (_, None) => Arc::new(Proxy::new(session, self.clone(), epoch)),
            (_, Some(announced)) => Arc::new(Proxy::announced(announced, self.clone(), epoch)),
        };
        proxies.insert(session, Arc::downgrade(&proxy));
        proxy
    }

    fn settled_frames(&self) -> MutexGuard<'_, Vec<(ShardId, u64)>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proxies(&self) -> MutexGuard<'_, BTreeMap<SessionId, Weak<Proxy>>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receiving(&self) -> MutexGuard<'_, Receiving> {
        self.receiving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes what has been dealt with; the peer hears of it with the next parcel or tick.
impl Receipts for Accepted {
    fn settled(&self, shard: ShardId, token: u64) {
        self.settled_frames().push((shard, token));
    }
}
