//! Clients whose streams can be resumed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::FutureExt;
use rookery_router::RouterOptions;
use rookery_router::shard::Input;
use rookery_router::shard::Reply;
use rookery_session::carrier::{Answer, AskId, Delivered, Kept, Question, Resumed, ToShard};
use rookery_store::StoreError;

use super::client::{Asking, Settled};
use super::{Client, World, jid};

/// The world, Romeo, Juliet, and the name of her stream.
pub(crate) type Balcony = (World, Client, Client, String);

/// Romeo, and Juliet with a stream that can be resumed.
pub(crate) fn balcony() -> Balcony {
    let mut world = World::with_options(&["juliet", "romeo"], RouterOptions::default());
    let romeo = world.online("romeo", "orchard");
    let juliet = world.online("juliet", "balcony");
    let id = world.enable(&juliet);
    (world, romeo, juliet, id)
}

impl World {
    /// The stream of a client can be resumed from now on, under the name that comes back.
    pub(crate) fn enable(&mut self, client: &Client) -> String {
        let question = Question::Enable {
            account: client.jid.to_bare(),
            first: self.stanzas,
        };
        match self.ask_from(client.mailbox.clone(), question) {
            Some(Answer::Enabled { id, .. }) => id,
            answer => panic!("{}: {answer:?}", client.jid),
        }
    }

    /// A client that has got so many stanzas asks for its stream.
    pub(crate) fn resume(
        &mut self,
        name: &str,
        id: &str,
        h: u32,
    ) -> Result<(Client, Resumed), Option<u32>> {
        let asking = self.asks_to_resume(name, id, h);
        let mailbox = asking.0.clone();
        match asking.answer() {
            Some(Answer::Resumed(resumed)) => {
                let client = Client {
                    id: mailbox.id,
                    jid: resumed.jid.clone(),
                    mailbox,
                };
                Ok((client, resumed))
            }
            Some(Answer::NotResumed { h }) => Err(h),
            answer => panic!("{name}: {answer:?}"),
        }
    }

    /// The same, and may have to wait for the answer.
    pub(crate) fn asks_to_resume(&mut self, name: &str, id: &str, h: u32) -> Asking {
        self.ask_later(Question::Resume {
            account: jid(&format!("{name}@localhost")),
            id: id.to_owned(),
            h,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        })
    }

    /// Asks a question whose answer may come later.
    pub(crate) fn ask_later(&mut self, question: Question) -> Asking {
        let mailbox = self.mailbox();
        self.step(Input::Session(ToShard::Ask {
            from: mailbox.clone(),
            ask: AskId(1),
            question,
        }));
        Asking(mailbox)
    }

    /// A session that the shard has not heard of.
    pub(crate) fn bind_nowhere(&mut self, name: &str, resource: &str) -> Client {
        let mailbox = self.mailbox();
        Client {
            id: mailbox.id,
            jid: Arc::new(jid(&format!("{name}@localhost/{resource}"))),
            mailbox,
        }
    }

    /// The shard is given up, and leaves to its next owner what no node announces.
    pub(crate) fn hand_over(&mut self) {
        for request in self.shard.left_to_next(self.now).requests() {
            assert!(matches!(self.perform(request), Reply::Done));
        }
        self.restart();
    }

    /// The shard is given up, and the store refuses the first so many writes. Whether all is there for its next owner.
    pub(crate) async fn leaves_to_next(&mut self, mut refuses: u32) -> bool {
        let left = self.shard.left_to_next(self.now);
        let perform = |request| {
            self.store_fails = (refuses > 0).then_some(StoreError::Full);
            refuses = refuses.saturating_sub(1);
            let reply = self.perform(request);
            async { reply }
        };
        left.write(perform).await
    }

    /// Whether who gives the shard up need not wait for anything that its clients have sent.
    pub(crate) fn may_be_handed_over(&self) -> bool {
        self.shard.is_settled().now_or_never().is_some()
    }

    /// A session sends a stanza under this number.
    pub(crate) fn send_as(&mut self, client: &Client, number: u64, stanza: &str) {
        self.send_numbered(client, number, &[stanza]);
    }

    /// The same, and gives who tells whether its node may count it as dealt with.
    pub(crate) fn send_counted(
        &mut self,
        client: &Client,
        number: u64,
    ) -> impl Fn() -> bool + use<> {
        let message = "<message to='romeo@localhost'/>";
        let settled = self.send_numbered(client, number, &[message]);
        move || settled.is_settled()
    }

    /// The same session asks once more. Whether it goes on with the stream.
    pub(crate) fn resume_again(&mut self, client: &Client, id: &str, h: u32) -> bool {
        let question = Question::Resume {
            account: client.jid.to_bare(),
            id: id.to_owned(),
            h,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let answer = self.ask_from(client.mailbox.clone(), question);
        matches!(answer, Some(Answer::Resumed(_)))
    }

    /// The same session binds.
    pub(crate) fn bind_instead(&mut self, client: &Client, resource: &str) {
        let question = Question::Bind {
            account: client.jid.to_bare(),
            resource: Some(resource.to_owned()),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let answer = self.ask_from(client.mailbox.clone(), question);
        assert!(matches!(answer, Some(Answer::Bound(_))), "{answer:?}");
    }

    /// A client has got so many of the numbered stanzas.
    pub(crate) fn acknowledge(&mut self, client: &Client, acked: u64) {
        let (session, jid) = (client.id, client.jid.clone());
        self.step(Input::Session(ToShard::Acked {
            session,
            jid,
            acked,
        }));
    }

    /// A client's node is gone.
    pub(crate) fn node_dies(&mut self, client: &Client) {
        let (session, jid) = (client.id, client.jid.clone());
        self.step(Input::Session(ToShard::Detached {
            session,
            jid,
            receipt: None,
        }));
    }

    /// A client's node serves it no more, and keeps its copy until that is dealt with. Who tells whether it is.
    pub(crate) fn is_sent_away(&mut self, client: &Client) -> impl Fn() -> bool + use<> {
        let (settled, (session, jid)) =
            (Arc::<Settled>::default(), (client.id, client.jid.clone()));
        self.step(Input::Session(ToShard::Detached {
            session,
            jid,
            receipt: Some(settled.receipt()),
        }));
        move || settled.is_settled()
    }

    /// A client's node gives back what was not acknowledged there.
    pub(crate) fn leaves_behind(&mut self, client: &Client, delivered: Delivered) {
        self.step(Input::Session(ToShard::Left {
            session: client.id,
            jid: client.jid.clone(),
            delivered: Box::new(delivered),
        }));
    }

    /// The same of a client whose stream can be resumed.
    pub(crate) fn announce_kept(&mut self, client: &Client, kept: Kept) {
        self.step(Input::Session(ToShard::Announce {
            from: client.mailbox.clone(),
            jid: client.jid.clone(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            state: client.remembered(),
            kept: Some(Box::new(kept)),
        }));
    }
}

/// A client writes to the account juliet: n1, n2 …
pub(crate) fn say(world: &mut World, from: &Client, texts: std::ops::Range<u32>) {
    for n in texts {
        let message =
            format!("<message to='juliet@localhost' type='chat'><body>n{n}.</body></message>");
        world.send(from, &message);
    }
}

/// A client writes to the account juliet, and who tells whether its node may count that as dealt with.
pub(crate) fn say_counted(world: &mut World, from: &Client, n: u32) -> impl Fn() -> bool + use<> {
    let message =
        format!("<message to='juliet@localhost' type='chat'><body>n{n}.</body></message>");
    let number = world.stanzas;
    world.stanzas += 1;
    let settled = world.send_numbered(from, number, &[&message]);
    move || settled.is_settled()
}

/// The bodies of what came.
pub(crate) fn bodies(stanzas: &[String]) -> Vec<&str> {
    stanzas
        .iter()
        .filter_map(|stanza| stanza.split_once("<body>")?.1.split_once('.'))
        .map(|(body, _)| body)
        .collect()
}
