//! A session as the connection role would drive it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rookery_session::carrier::{Answer, Question, RoutersRef, ShardId, Sink, ToSession, ToShard};
use rookery_xmpp::jid::Jid;
use rookery_xmpp::stanza::{Batch, HeadChanges, Rec, rewrite_head};
use rookery_xmpp::xml::{Content, XmlLimits, canonicalize};

use crate::support::{Mailbox, soon};
use crate::world::World;

/// A bound session.
pub(crate) struct Client {
    pub(crate) jid: Arc<Jid>,
    pub(crate) mailbox: Arc<Mailbox>,
    routers: RoutersRef,
    shard: ShardId,
    sequence: Cell<u64>,
    /// Stanzas of a batch that were not looked at.
    stanzas: RefCell<VecDeque<String>>,
}

impl Client {
    /// Binds a session and makes it available.
    pub(crate) async fn online(world: &World, name: &str, resource: &str, capacity: usize) -> Self {
        let mailbox = world.mailbox(capacity);
        let bind = Question::Bind {
            account: format!("{name}@localhost").parse().unwrap(),
            resource: Some(resource.to_owned()),
            address: [127, 0, 0, 1].into(),
        };
        let answer = world.ask_for(&mailbox, name, bind).await;
        let Answer::Bound(jid) = answer else {
            panic!("{answer:?}");
        };
        let client = Self {
            jid,
            mailbox,
            routers: world.routers.clone(),
            shard: world.shard_of(name),
            sequence: Cell::new(0),
            stanzas: RefCell::default(),
        };
        client.send("<presence/>").await;
        client
    }

    pub(crate) async fn send(&self, stanza: &str) {
        let (buf, rec) = canonical(stanza, Some(&self.jid));
        let sequence = self.sequence.get();
        self.sequence.set(sequence + 1);
        let frame = ToShard::Stanzas {
            session: self.mailbox.session(),
            from: self.jid.clone(),
            sequence,
            batch: Batch {
                buf,
                recs: vec![rec],
            },
            receipt: None,
        };
        let sent = self.routers.send_when_room(self.shard, frame);
        soon("room at the shard", sent).await;
    }

    pub(crate) async fn send_message(&self, to: &Self, number: u64) {
        self.send_message_to(&to.jid.to_bare(), number).await;
    }

    pub(crate) async fn send_message_to(&self, to: &Jid, number: u64) {
        let stanza =
            format!("<message to='{to}' id='{number}' type='chat'><body>{number}</body></message>");
        self.send(&stanza).await;
    }

    /// The sender and the number of the next message.
    pub(crate) async fn message(&self) -> (String, u64) {
        loop {
            let stanza = self.stanza().await;
            if !stanza.starts_with("<message") {
                continue;
            }
            assert!(!stanza.contains("type=\"error\""), "{stanza}");
            let number = attr(&stanza, "id").parse().unwrap();
            return (attr(&stanza, "from"), number);
        }
    }

    /// The numbers of the next messages.
    pub(crate) async fn messages(&self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            numbers.push(self.message().await.1);
        }
        numbers
    }

    /// Ends the session.
    pub(crate) async fn close(&self) {
        let frame = ToShard::Closed {
            session: self.mailbox.session(),
            jid: self.jid.clone(),
            receipt: None,
        };
        self.routers.send_when_room(self.shard, frame).await;
    }

    async fn stanza(&self) -> String {
        loop {
            if let Some(stanza) = self.stanzas.borrow_mut().pop_front() {
                return stanza;
            }
            match self.mailbox.next().await {
                ToSession::Deliver(delivered) => {
                    let batch = &delivered.batch;
                    let text =
                        |rec: &Rec| String::from_utf8_lossy(rec.bytes(&batch.buf)).into_owned();
                    self.stanzas
                        .borrow_mut()
                        .extend(batch.recs.iter().map(text));
                }
                other => panic!("{} got {other:?}", self.jid),
            }
        }
    }
}

/// What the reader makes of a client's stanza: canonical, with the sender stamped.
pub(crate) fn canonical(stanza: &str, from: Option<&Jid>) -> (Bytes, Rec) {
    let read = canonicalize(stanza.as_bytes(), Content::Client, XmlLimits::default());
    let (bytes, header) = read.unwrap_or_else(|error| panic!("{stanza}: {error:?}"));
    let changes = HeadChanges {
        from: from.map(Jid::as_str),
        ..HeadChanges::default()
    };
    let mut out = Vec::new();
    let rec = rewrite_head(&bytes, &Rec::of(&header), &changes, &mut out);
    (out.into(), rec)
}

fn attr(stanza: &str, name: &str) -> String {
    let at = stanza.find(&format!(" {name}=\"")).unwrap() + name.len() + 3;
    let value = &stanza[at..];
    value[..value.find('"').unwrap()].to_owned()
}
