use super::*;
use crate::carrier::{Origin, Origins, SessionId};

const STATE: &str = "<composing xmlns=\"http://jabber.org/protocol/chatstates\"/>";
const RECEIPT: &str = "<received xmlns=\"urn:xmpp:receipts\" id=\"1\"/>";
const EVENT: &str =
    "<event xmlns=\"http://jabber.org/protocol/pubsub#event\"><items node=\"x\"/></event>";

/// A client that does not look.
fn inactive() -> ClientState {
    ClientState {
        is_inactive: true,
        ..ClientState::default()
    }
}

fn delivery(stanzas: &[&str]) -> Delivered {
    let mut buf = String::from("before");
    let mut recs = Vec::new();
    for stanza in stanzas {
        let rec = parse_rec(stanza.as_bytes()).expect("a canonical stanza");
        recs.push(rec.moved_to(u32::try_from(buf.len()).expect("short")));
        buf.push_str(stanza);
    }
    Batch {
        buf: buf.into(),
        recs,
    }
    .into()
}

fn texts(due: &[Delivered]) -> Vec<String> {
    let one = |delivered: &Delivered| {
        let Batch { buf, recs } = &delivered.batch;
        let text = |rec: &Rec| String::from_utf8_lossy(rec.bytes(buf)).into_owned();
        recs.iter().map(text).collect::<Vec<_>>()
    };
    due.iter().flat_map(one).collect()
}

fn deliver(state: &mut ClientState, stanzas: &[&str]) -> Vec<String> {
    let mut due = Vec::new();
    state.deliver(delivery(stanzas), &SessionOptions::default(), &mut due);
    texts(&due)
}

fn judged(stanza: &str) -> Haste {
    let rec = parse_rec(stanza.as_bytes()).expect("a canonical stanza");
    haste(stanza.as_bytes(), rec)
}

#[test]
fn presence_waits_unless_it_asks_or_answers_and_iqs_do_not() {
    use Haste::{Latest, Now};
    let presence = Latest(Transient::Presence);
    let muc = "<x xmlns=\"http://jabber.org/protocol/muc#user\">";
    for (stanza, wanted) in [
        ("<presence/>".to_owned(), presence),
        ("<presence type=\"unavailable\"/>".into(), presence),
        ("<presence type=\"subscribe\"/>".into(), Now),
        ("<presence type=\"error\"><error/></presence>".into(), Now),
        (format!("<presence>{muc}<item/></x></presence>"), presence),
        (
            format!("<presence>{muc}<status code=\"110\"/></x></presence>"),
            Now,
        ),
        ("<iq type=\"result\" id=\"1\"/>".into(), Now),
    ] {
        assert_eq!(judged(&stanza), wanted, "{stanza}");
    }
}

#[test]
fn a_message_that_says_nothing_by_itself_waits() {
    use Haste::{Later, Latest, Now};
    let muc = "<x xmlns=\"http://jabber.org/protocol/muc#user\">";
    for (stanza, wanted) in [
        ("<message><body>a</body></message>".to_owned(), Now),
        (
            format!("<message type=\"groupchat\"><body>a</body>{STATE}</message>"),
            Now,
        ),
        (
            "<message type=\"groupchat\"><subject>a</subject></message>".into(),
            Now,
        ),
        (
            "<message><encrypted xmlns=\"urn:xmpp:omemo:2\"/></message>".into(),
            Now,
        ),
        (
            format!("<message>{STATE}</message>"),
            Latest(Transient::ChatState),
        ),
        (
            format!(
                "<message>{STATE}<thread>a</thread><no-store xmlns=\"urn:xmpp:hints\"/></message>"
            ),
            Latest(Transient::ChatState),
        ),
        (
            format!("<message>{STATE}<propose xmlns=\"urn:xmpp:jingle-message:0\"/></message>"),
            Now,
        ),
        (
            "<message><propose xmlns=\"urn:xmpp:jingle-message:0\"/></message>".into(),
            Now,
        ),
        (format!("<message>{muc}<invite/></x></message>"), Now),
        (
            "<message><x xmlns=\"jabber:x:conference\" jid=\"r@c\"/></message>".into(),
            Now,
        ),
        (format!("<message>{RECEIPT}</message>"), Later),
        (format!("<message>{STATE}{RECEIPT}</message>"), Later),
        (
            "<message><displayed xmlns=\"urn:xmpp:chat-markers:0\"/></message>".into(),
            Later,
        ),
        (format!("<message>{EVENT}</message>"), Later),
        (
            format!("<message type=\"headline\">{EVENT}</message>"),
            Later,
        ),
        ("<message type=\"headline\"/>".into(), Later),
        (
            "<message type=\"headline\"><body>a</body></message>".into(),
            Now,
        ),
        ("<message type=\"error\"><error/></message>".into(), Now),
        ("<message/>".into(), Now),
    ] {
        assert_eq!(judged(&stanza), wanted, "{stanza}");
    }
}

#[test]
fn a_copy_waits_if_what_was_copied_would() {
    for (name, inside, wanted) in [
        ("sent", "<body>a</body>", Haste::Now),
        (
            "received",
            "<encrypted xmlns=\"urn:xmpp:omemo:2\"/>",
            Haste::Now,
        ),
        ("received", STATE, Haste::Later),
        ("sent", RECEIPT, Haste::Later),
        (
            "sent",
            "<received xmlns=\"urn:xmpp:carbons:2\"/>",
            Haste::Now,
        ),
        ("sent", "", Haste::Now),
    ] {
        let copy = format!(
            "<message><{name} xmlns=\"urn:xmpp:carbons:2\"><forwarded xmlns=\"urn:xmpp:forward:0\">\
            <message xmlns=\"jabber:client\" type=\"chat\">{inside}</message></forwarded></{name}></message>"
        );
        assert_eq!(judged(&copy), wanted, "{copy}");
    }
    assert_eq!(
        judged("<message><sent xmlns=\"urn:xmpp:carbons:2\"/></message>"),
        Haste::Now
    );
}

#[test]
fn of_each_sender_the_last_presence_and_the_last_state_wait_in_the_order_in_which_they_came() {
    let mut state = inactive();
    let presence = |from: &str, show: &str| {
        format!("<presence from=\"{from}\"><show>{show}</show></presence>")
    };
    let typing = format!("<message from=\"a@b/c\">{STATE}</message>");
    let receipt = format!("<message from=\"a@b/c\">{RECEIPT}</message>");
    let stanzas = [
        presence("a@b/c", "away"),
        presence("a@b/d", "away"),
        typing.clone(),
        receipt.clone(),
        presence("a@b/c", "dnd"),
        typing.clone(),
        receipt.clone(),
    ];
    let stanzas: Vec<_> = stanzas.iter().map(String::as_str).collect();
    assert!(deliver(&mut state, &stanzas).is_empty());
    let urgent = "<message from=\"x@y/z\"><body>now</body></message>";
    let due = deliver(&mut state, &[urgent, &typing]);
    let wanted = [
        &presence("a@b/d", "away"),
        &receipt,
        &presence("a@b/c", "dnd"),
        &typing,
        &receipt,
        urgent,
    ];
    assert_eq!(due, wanted);
    assert_eq!(texts(&state.take()), [typing]);
    assert!(state.take().is_empty() && state.bytes == 0);
}

#[test]
fn what_waits_is_bounded_in_stanzas_and_in_bytes() {
    let receipt = format!("<message>{RECEIPT}</message>");
    let options = SessionOptions {
        held_stanzas_max: 3,
        ..SessionOptions::default()
    };
    let mut state = inactive();
    let mut due = Vec::new();
    let stanzas = [receipt.as_str(); 5];
    state.deliver(delivery(&stanzas), &options, &mut due);
    assert_eq!((due.len(), state.held.len()), (4, 1));
    let options = SessionOptions {
        held_bytes_max: u32::try_from(2 * receipt.len()).expect("short"),
        ..SessionOptions::default()
    };
    let mut state = inactive();
    let mut due = Vec::new();
    state.deliver(delivery(&stanzas), &options, &mut due);
    assert_eq!((due.len(), state.held.len()), (3, 2));
    let mut due = Vec::new();
    let nothing = SessionOptions {
        held_stanzas_max: 0,
        ..SessionOptions::default()
    };
    inactive().deliver(delivery(&stanzas), &nothing, &mut due);
    assert_eq!(due.len(), 5);
}

#[test]
fn what_waits_keeps_its_origin_and_its_number_and_no_large_buffer() {
    let session = SessionId { node: 1, serial: 2 };
    let mut delivered = delivery(&["<presence/>", "<message><body>a</body></message>"]);
    delivered.origins = Origins::Run(Origin {
        session,
        sequence: 7,
    });
    delivered.arrival = 40;
    let mut due = Vec::new();
    inactive().deliver(delivered, &SessionOptions::default(), &mut due);
    let facts = due.iter().map(|one| {
        let origin = one.origins.at(0).map(|origin| origin.sequence);
        (
            one.arrival,
            origin,
            one.batch.buf.len() == one.batch.stanza_bytes(),
        )
    });
    let wanted = [(40, Some(7), true), (41, Some(8), false)];
    assert_eq!(facts.collect::<Vec<_>>(), wanted);
}

#[test]
fn a_night_of_traffic_costs_a_client_that_sleeps_a_fraction_of_the_bytes() {
    let mut sleeper = inactive();
    let (mut awake, mut asleep, mut writes) = (0, 0, 0);
    let mut messages = (0, 0);
    for minute in 0..600 {
        let contact = format!("contact{}@capulet.lit/phone", minute % 20);
        let mut stanzas = vec![
            format!(
                "<presence from=\"{contact}\"><show>away</show><priority>5</priority></presence>"
            ),
            format!("<message from=\"{contact}\" type=\"chat\">{STATE}</message>"),
        ];
        if minute % 120 == 119 {
            stanzas.push(format!(
                "<message from=\"{contact}\"><body>{minute}</body></message>"
            ));
            messages.0 += 1;
        }
        let stanzas: Vec<_> = stanzas.iter().map(String::as_str).collect();
        awake += stanzas.iter().map(|stanza| stanza.len()).sum::<usize>();
        let due = deliver(&mut sleeper, &stanzas);
        writes += usize::from(!due.is_empty());
        asleep += due.iter().map(String::len).sum::<usize>();
        messages.1 += due
            .iter()
            .filter(|stanza| stanza.contains("<body>"))
            .count();
    }
    asleep += texts(&sleeper.take())
        .iter()
        .map(String::len)
        .sum::<usize>();
    assert_eq!(messages, (5, 5));
    assert_eq!(writes, 5);
    assert!(asleep * 5 < awake, "{asleep} of {awake} bytes");
}
