//! Every kind of frame there and back, and what is not a frame.

mod samples;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use rookery_session::carrier::{
    AccountSummary, AdminAnswer, AdminQuestion, Answer, AskId, Delivered, Full, Kept, Origin,
    Origins, PeerFrame, Question, Resumed, SessionId, SessionSummary, ShardId, ShownToken, Sink,
    ToSession, ToShard,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::scram::Credentials;
use rookery_xmpp::stanza::{Batch, parse_rec};
use rookery_xmpp::stanza_error::{Condition, ErrorType, StanzaError};
use rookery_xmpp::stream_error::StreamError;

use self::samples::{downs, ups};
use super::errors::STREAM_CONDITIONS;
use super::*;

struct Nobody;

impl Sink for Nobody {
    fn session(&self) -> SessionId {
        SESSION
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        Err(Full(frame))
    }
}

const SESSION: SessionId = SessionId {
    node: 7,
    serial: u64::MAX - 3,
};

const SHARD: ShardId = ShardId(1023);

const ORIGIN: Origin = Origin {
    session: SESSION,
    sequence: 1 << 41,
};

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

fn shared(text: &str) -> Arc<Jid> {
    Arc::new(jid(text))
}

/// Stanzas in one buffer with others between them, as a shard's batches are.
fn batch(stanzas: &[&str]) -> Batch {
    let mut buf = Vec::new();
    let mut recs = Vec::new();
    for stanza in stanzas {
        buf.extend_from_slice(b"<presence/>");
        let rec = parse_rec(stanza.as_bytes()).unwrap();
        recs.push(rec.moved_to(buf.len() as u32));
        buf.extend_from_slice(stanza.as_bytes());
    }
    let buf = buf.into();
    Batch { buf, recs }
}

fn some_batch() -> Batch {
    batch(&[
        "<message from=\"a@b/c\" id=\"1&amp;2\" to=\"d@e\" type=\"chat\"><body>hi</body></message>",
        "<presence from=\"a@b/c\" type=\"subscribe\" to=\"x@y\"/>",
        "<iq from=\"a@b/c\" id=\"q\" type=\"get\"><ping xmlns=\"urn:xmpp:ping\"/></iq>",
    ])
}

fn stream_errors() -> Vec<StreamError> {
    let mut errors: Vec<_> = STREAM_CONDITIONS
        .into_iter()
        .map(StreamError::new)
        .collect();
    errors.push(StreamError::see_other_host("[::1]:5222").with_text("über"));
    errors
}

fn bytes_of<F: Frame>(frames: &[F]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.write(&mut bytes));
    bytes
}

fn up_again(up: UpIn) -> Up {
    let shard = match &up {
        UpIn::Ask { shard, .. } | UpIn::Stanzas { shard, .. } => *shard,
        UpIn::Left(shard, ..) => *shard,
        UpIn::About { shard, .. } | UpIn::Peer { shard, .. } | UpIn::Again(shard, _) => *shard,
        UpIn::Announce { shard, .. } | UpIn::Fence(shard) | UpIn::AllAnnounced(shard) => *shard,
        UpIn::NotTaken(_) => ShardId(0),
    };
    let (mut token, mut announced) = (0, None);
    let read = up.into_input(
        7,
        |_, _, said| {
            announced = said.cloned();
            Arc::new(Nobody)
        },
        |_, said| {
            token = said;
            None
        },
    );
    let body = match read {
        Ok(_) if announced.is_some() => UpBody::Announce(announced.expect("it is some")),
        Ok((_, rookery_session::carrier::ShardInput::AllAnnounced(7))) => UpBody::AllAnnounced,
        Ok((_, rookery_session::carrier::ShardInput::Session(frame))) => UpBody::Session(frame),
        Ok((_, rookery_session::carrier::ShardInput::Peer(frame))) => UpBody::Peer(frame),
        Ok(_) => panic!("neither of a session nor of a shard"),
        Err(ToLink::NotTaken(number)) => UpBody::NotTaken(number),
        Err(ToLink::Again(_, epoch)) => UpBody::Again(epoch),
        Err(ToLink::Fence(_)) => UpBody::Fence,
    };
    Up { shard, token, body }
}

fn down_again(down: DownIn) -> Down {
    let body = match down {
        DownIn::Session {
            session,
            round,
            frame,
        } => DownBody::Session {
            session,
            round,
            jid: None,
            epoch: None,
            ticket: None,
            frame,
        },
        DownIn::NotMine(shard, version) => DownBody::NotMine(shard, version),
        DownIn::Settled(frames) => DownBody::Settled(frames),
        DownIn::Fenced(shard) => DownBody::Fenced(shard),
        DownIn::Held(number) => DownBody::Held(number),
        DownIn::Room(shard) => DownBody::Room(shard),
    };
    Down { body }
}

fn parcel<F: Frame + Clone>(frames: &[F]) -> Vec<u8> {
    let header = Header {
        version: VERSION,
        forget: 4,
        first: 9,
    };
    let size = frames.iter().map(Frame::size).sum();
    let frames = frames.iter().cloned().map(Arc::new).collect();
    let parcel = Outgoing::Frames(header, frames, size);
    let mut bytes = Vec::new();
    parcel.write_to(&mut bytes);
    assert_eq!(bytes.len(), rookery_proto::carrier::Content::size(&parcel));
    bytes
}

#[test]
fn a_frame_says_its_size() {
    for up in ups() {
        assert_eq!(bytes_of(std::slice::from_ref(&up)).len(), up.size());
    }
    for down in downs() {
        assert_eq!(bytes_of(std::slice::from_ref(&down)).len(), down.size());
    }
}

#[test]
fn every_frame_for_a_shard_comes_out_as_it_went_in() {
    let ups = ups();
    let read = read_parcel(parcel(&ups).into(), UpIn::read).unwrap();
    let Incoming::Frames(header, frames) = read else {
        panic!("frames were written");
    };
    assert_eq!(
        (header.version, header.forget, header.first),
        (VERSION, 4, 9)
    );
    assert_eq!(frames.len(), ups.len());
    for (up, read) in ups.iter().zip(frames) {
        let said = format!("{read:?}");
        if let UpBody::Session(ToShard::Ask { question, .. }) = &up.body {
            assert!(said.contains(&format!("{question:?}")), "{said}");
        }
        let again = up_again(read);
        assert_eq!(again.shard, up.shard);
        assert_eq!(
            bytes_of(&[again]),
            bytes_of(std::slice::from_ref(up)),
            "{said}"
        );
    }
}

#[test]
fn every_frame_for_a_session_comes_out_as_it_went_in() {
    let downs = downs();
    let read = read_parcel(parcel(&downs).into(), DownIn::read).unwrap();
    let Incoming::Frames(_, frames) = read else {
        panic!("frames were written");
    };
    for (down, read) in downs.iter().zip(frames) {
        let said = format!("{read:?}");
        if let DownBody::Session {
            frame: ToSession::Answer { answer, .. },
            ..
        } = &down.body
        {
            assert!(said.contains(&format!("{answer:?}")), "{said}");
        }
        let again = down_again(read);
        assert_eq!(
            bytes_of(&[again]),
            bytes_of(std::slice::from_ref(down)),
            "{said}"
        );
    }
}

#[test]
fn only_the_stanzas_of_a_batch_travel_and_their_records_still_fit() {
    let before = some_batch();
    let mut bytes = Vec::new();
    batch::write(&before, &mut bytes);
    let after = batch::read(&mut Reader::new(bytes.into())).unwrap();
    assert_eq!(after.buf.len(), before.stanza_bytes());
    for (was, is) in before.recs.iter().zip(&after.recs) {
        assert_eq!(was.bytes(&before.buf), is.bytes(&after.buf));
        assert_eq!(was.to(&before.buf), is.to(&after.buf));
        assert_eq!(was.id(&before.buf), is.id(&after.buf));
        assert_eq!(was.moved_to(is.start), *is);
    }
}

#[test]
fn a_hello_comes_out_as_it_went_in() {
    let hello = Hello {
        newest: 2,
        oldest: 1,
        from: 3,
        to: 4,
        life: 5,
        link: 6,
        resumed: true,
        received: 7,
        forget: 8,
    };
    let mut bytes = Vec::new();
    Outgoing::<Up>::Hello(hello).write_to(&mut bytes);
    let read = read_parcel(bytes.into(), UpIn::read).unwrap();
    assert!(matches!(read, Incoming::Hello(read) if read == hello));
}

#[test]
fn two_nodes_speak_the_newest_version_that_both_know() {
    let hello = |newest, oldest| Hello {
        newest,
        oldest,
        from: 1,
        to: 2,
        life: 1,
        link: 0,
        resumed: false,
        received: 0,
        forget: 0,
    };
    assert_eq!(hello(2, 1).common(2, 1), Some(2));
    assert_eq!(hello(3, 2).common(2, 1), Some(2));
    assert_eq!(hello(1, 0).common(2, 1), Some(1));
    assert_eq!(hello(4, 3).common(2, 1), None);
    assert_eq!(hello(1, 1).common(3, 2), None);
}

#[test]
fn a_parcel_that_is_cut_short_anywhere_is_refused() {
    let whole = parcel(&ups());
    for cut in 0..whole.len() {
        let bytes = Bytes::copy_from_slice(&whole[..cut]);
        assert!(read_parcel(bytes, UpIn::read).is_err(), "{cut}");
    }
    let whole = parcel(&downs());
    for cut in 0..whole.len() {
        let bytes = Bytes::copy_from_slice(&whole[..cut]);
        assert!(read_parcel(bytes, DownIn::read).is_err(), "{cut}");
    }
}

#[test]
fn lengths_larger_than_what_is_left_are_refused_before_room_is_made() {
    let mut parcel = vec![VERSION, 1];
    parcel.extend_from_slice(&[0; 16]);
    parcel.extend_from_slice(&u32::MAX.to_le_bytes());
    assert!(read_parcel(parcel.into(), UpIn::read).is_err());
    for count in [u32::MAX, 1 << 20] {
        let mut bytes = count.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0xff; 64]);
        assert!(batch::read(&mut Reader::new(bytes.clone().into())).is_err());
        assert!(Reader::new(bytes.clone().into()).bytes().is_err());
        assert!(Reader::new(bytes.into()).text().is_err());
    }
}

#[test]
fn a_small_part_of_a_large_parcel_does_not_keep_it_in_memory() {
    let large = Bytes::from(vec![0; 100_000]);
    let range = large.as_ptr_range();
    let small = Reader::new(large.clone()).payload(100).unwrap();
    assert!(!range.contains(&small.as_ptr()));
    let most = Reader::new(large).payload(50_000).unwrap();
    assert!(range.contains(&most.as_ptr()));
}

proptest! {
    #[test]
    fn whatever_arrives_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = read_parcel(bytes.clone(), UpIn::read);
        let _ = read_parcel(bytes, DownIn::read);
    }

    #[test]
    fn whatever_is_changed_in_a_parcel_never_points_outside_it(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        which in any::<prop::sample::Index>(),
    ) {
        let ups = ups();
        let mut bytes = parcel(&ups[which.index(ups.len())..][..1]);
        for (place, byte) in places {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        let read = read_parcel(bytes.into(), UpIn::read);
        if let Ok(Incoming::Frames(_, frames)) = read {
            for frame in frames {
                if let UpIn::Stanzas { batch, .. } | UpIn::Peer { frame: PeerFrame { batch, .. }, .. } = frame {
                    for rec in &batch.recs {
                        let _ = (rec.bytes(&batch.buf), rec.to(&batch.buf), rec.id(&batch.buf));
                    }
                }
            }
        }
    }
}
