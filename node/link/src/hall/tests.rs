//! The accepting side against a node that does not keep to the protocol.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use rookery_session::carrier::{
    AdminQuestion, AskId, Full, PeerFrame, Question, SessionId, ShardInput, Shards, Sink,
    ToSession, ToShard,
};
use rookery_xmpp::stanza::Batch;

use super::*;
use crate::map::ShardMap;
use crate::wire::{Header, Outgoing, Up, UpBody};

/// Shards that take everything.
struct Nothing;

impl Shards for Nothing {
    fn offer(&self, _: ShardId, _: ShardInput) -> Result<(), Full<ShardInput>> {
        Ok(())
    }

    fn offer_when_room(
        &self,
        _: ShardId,
        _: ShardInput,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

const NODE: u32 = 1;
const PEER: u32 = 2;

fn hall() -> Hall {
    hall_for(Rights::ALL)
}

fn hall_for(rights: Rights) -> Hall {
    Hall::start(HallConfig {
        node: NODE,
        life: 1,
        options: LinkOptions::default(),
        map: ShardMap::all_on(NODE, 4).shared(),
        shards: Arc::new(Nothing),
        admit: Arc::new(move |_, _| Some(rights)),
        runtime: Handle::current(),
    })
}

fn hello(life: u64) -> Hello {
    Hello {
        newest: crate::wire::VERSION,
        oldest: crate::wire::VERSION_OLDEST,
        from: PEER,
        to: NODE,
        life,
        link: 1,
        resumed: false,
        received: 0,
        forget: 0,
    }
}

/// A parcel, whose first frame has this number.
fn parcel(first: u64, forget: u64, frames: impl Iterator<Item = Up>) -> Bytes {
    let header = Header {
        version: crate::wire::VERSION,
        forget,
        first,
    };
    let mut bytes = Vec::new();
    Outgoing::Frames(header, frames.map(Arc::new).collect(), 0).write_to(&mut bytes);
    bytes.into()
}

fn fences(first: u64, count: u64, forget: u64) -> Bytes {
    let fence = |number: u64| Up::new(ShardId(number as u16 % 4), UpBody::Fence);
    parcel(first, forget, (0..count).map(fence))
}

/// Somebody who asks.
struct Asker;

impl Sink for Asker {
    fn session(&self) -> SessionId {
        SessionId {
            node: PEER,
            serial: 1,
        }
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        Err(Full(frame))
    }
}

fn asks(question: Question) -> UpBody {
    UpBody::Session(ToShard::Ask {
        from: Arc::new(Asker),
        ask: AskId(1),
        question,
    })
}

/// Whether a node of these rights may say this.
fn may_say(rights: Rights, body: UpBody) -> bool {
    let hall = hall_for(rights);
    let extensions = tonic::Extensions::default();
    let (link, generation, _) = hall.inner.welcome(&hello(1), &extensions).unwrap();
    let parcel = parcel(1, 0, [Up::new(ShardId(0), body)].into_iter());
    match link.receive(generation, parcel) {
        Ok(()) => true,
        Err(Broken::NotGranted) => false,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_node_says_what_its_roles_allow_and_no_more() {
    let account: Jid = "a@example.net".parse().unwrap();
    let keys = || {
        let account = account.clone();
        asks(Question::Credentials { account })
    };
    let admin = || {
        let account = account.clone();
        asks(Question::Admin(AdminQuestion::ShowAccount { account }))
    };
    let stanza = || {
        let to = Arc::new(account.clone());
        let batch = Batch {
            buf: Vec::new().into(),
            recs: Vec::new(),
        };
        UpBody::Peer(PeerFrame::new(to.clone(), to, batch))
    };
    let rights = |has_sessions, has_shards| Rights {
        has_sessions,
        has_shards,
    };
    for (rights, may) in [
        (rights(false, false), [false, false]),
        (rights(true, false), [true, false]),
        (rights(false, true), [false, true]),
        (Rights::ALL, [true, true]),
    ] {
        let said = [may_say(rights, keys()), may_say(rights, stanza())];
        assert_eq!(said, may, "{rights:?}");
        // The operator's node may have any role.
        assert!(may_say(rights, admin()) && may_say(rights, UpBody::Fence));
    }
}

#[tokio::test]
async fn a_peer_that_hears_no_answers_loses_its_link_before_they_fill_the_memory() {
    let hall = hall();
    let extensions = tonic::Extensions::default();
    let (link, generation, _) = hall.inner.welcome(&hello(1), &extensions).unwrap();
    const PARCEL: u64 = 10_000;
    let mut ended = None;
    for parcel in 0..100 {
        if let Err(error) = link.receive(generation, fences(1 + parcel * PARCEL, PARCEL, 0)) {
            ended = Some((parcel, error));
            break;
        }
    }
    let (parcels, error) = ended.expect("the link ends");
    assert!(matches!(error, Broken::Unheard), "{error}");
    assert!(parcels < 30, "{parcels}");
    assert_eq!(link.half.line().frames().count(), 0);
    let (link, _, reply) = hall.inner.welcome(&hello(1), &extensions).unwrap();
    assert!(!reply.resumed, "the peer hears that it begins anew");
    assert!(!link.half.line().is_unheard());
}

#[tokio::test]
async fn a_peer_that_hears_its_answers_may_ask_for_ever() {
    let hall = hall();
    let extensions = tonic::Extensions::default();
    let (link, generation, _) = hall.inner.welcome(&hello(1), &extensions).unwrap();
    const PARCEL: u64 = 10_000;
    for parcel in 0..60 {
        let before = parcel * PARCEL;
        let taken = link.receive(generation, fences(1 + before, PARCEL, before));
        assert!(taken.is_ok(), "parcel {parcel}");
        while let crate::machine::Polled::Parcel(_) = link.half.line().poll(generation) {}
    }
}

#[tokio::test]
async fn a_node_that_says_it_starts_in_the_future_is_refused_and_its_true_life_is_not() {
    let hall = hall();
    let extensions = tonic::Extensions::default();
    let now = Timestamp::now().as_millis();
    for life in [u64::MAX, now + 2 * LIFE_AHEAD_MS_MAX] {
        let refused = hall.inner.welcome(&hello(life), &extensions).err();
        assert!(matches!(refused, Some(Broken::Unborn(PEER))));
    }
    assert!(hall.inner.welcome(&hello(now), &extensions).is_ok());
}
