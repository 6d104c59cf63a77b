//! Whole logins through the session machine, with a client that does its own cryptography.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rookery_session::carrier::{Answer, AskId, Delivered, Question, ShownToken};
use rookery_session::effect::Effect;
use rookery_session::event::{Admission, Event, Timer, TlsFacts};
use rookery_session::{ConnectionFacts, HostConfig, Session, SessionConfig, SessionOptions};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::element::Element;
use rookery_xmpp::entropy::Seeded;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;
use rookery_xmpp::scram::{Credentials, Hash};
use rookery_xmpp::stanza::{Batch, iq_result, parse_rec};
use rookery_xmpp::stanza_error::{Condition, StanzaError};
use rookery_xmpp::xml::StreamHeader;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const EXPORTER: [u8; 32] = [7; 32];

/// A session with a client at its other end.
struct Dialogue {
    session: Session,
    entropy: Seeded,
    effects: Vec<Effect>,
}

impl Dialogue {
    /// A direct TLS connection whose stream is open.
    fn open() -> Self {
        let mut dialogue = Self::accepted(true);
        dialogue.event(Event::Connected);
        dialogue.event(Event::Secured(TlsFacts {
            tls13: true,
            exporter: Some(EXPORTER),
            server_end_point: Some(vec![9; 32]),
            server_name: Some("localhost".into()),
        }));
        dialogue.header();
        dialogue
    }

    fn accepted(direct_tls: bool) -> Self {
        let host = HostConfig {
            domain: "localhost".into(),
            registration: true,
            caps: None,
        };
        let config = SessionConfig {
            hosts: vec![host],
            options: SessionOptions::default(),
            stanza_bytes_max: 262_144,
            decoy_secret: [3; 32],
        };
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let session = Session::new(
            Arc::new(config),
            ConnectionFacts {
                address,
                direct_tls,
            },
        );
        Self {
            session,
            entropy: Seeded::new(1),
            effects: vec![],
        }
    }

    fn header(&mut self) {
        let header = StreamHeader {
            to: Some("localhost".into()),
            version: Some((1, 0)),
            ..StreamHeader::default()
        };
        self.event(Event::Opened(&header));
    }

    fn event(&mut self, event: Event<'_>) {
        self.session
            .handle(event, NOW, &mut self.entropy, &mut self.effects);
    }

    fn auth(&mut self, mechanism: &str, message: &str) {
        let auth = Element::new("auth", ns::SASL)
            .with_attr("mechanism", mechanism)
            .with_text(&STANDARD.encode(message));
        self.event(Event::Element(&auth));
    }

    fn respond(&mut self, message: &str) {
        let response = Element::new("response", ns::SASL).with_text(&STANDARD.encode(message));
        self.event(Event::Element(&response));
    }

    /// The guard lets it through, and the shard answers with these keys.
    fn admit(&mut self, keys: Option<Credentials>) {
        self.event(Event::Admitted(Admission::Now));
        let ask = self.asked();
        self.event(Event::Answered(
            ask,
            Answer::Credentials(keys.map(Arc::new)),
        ));
    }

    fn asked(&self) -> AskId {
        let asked = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Ask(id, Question::Credentials { .. }) => Some(*id),
            _ => None,
        });
        asked.expect("the shard was asked")
    }

    fn verifying(&self) -> AskId {
        let asked = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::VerifyPassword { ask, .. } => Some(*ask),
            _ => None,
        });
        asked.expect("a password is to be verified")
    }

    /// Everything that was sent since the last look.
    fn sent(&mut self) -> String {
        let mut sent = String::new();
        for effect in self.effects.drain(..) {
            if let Effect::Send(bytes) = effect {
                sent.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
        sent
    }

    /// The decoded text of the challenge that was sent.
    fn challenge(&mut self) -> String {
        let sent = self.sent();
        let text = sent
            .split("<challenge")
            .nth(1)
            .and_then(|rest| rest.split(['>', '<']).nth(1));
        let decoded = STANDARD.decode(text.expect("a challenge")).expect("base64");
        String::from_utf8(decoded).expect("UTF-8")
    }

    /// How many tries were reported or withdrawn, and how many timers run after it.
    fn settled(&self) -> (usize, isize) {
        let ends = |effect: &&Effect| {
            matches!(
                effect,
                Effect::ReportLogin { .. } | Effect::WithdrawLogin { .. }
            )
        };
        let timers = self.effects.iter().map(|effect| match effect {
            Effect::Arm(..) => 1,
            Effect::Disarm(_) => -1,
            _ => 0,
        });
        (self.effects.iter().filter(ends).count(), timers.sum())
    }

    fn authenticated(&self) -> Option<Jid> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Authenticated(jid) => Some((**jid).clone()),
            _ => None,
        })
    }
}

fn credentials() -> Credentials {
    Credentials::derive("pencil", b"0123456789abcdef", 10_000).expect("a password")
}

/// The last message of a client that knows the password, by RFC 5802 3.
fn last_message(hash: Hash, first_bare: &str, challenge: &str, binding: &[u8]) -> String {
    let nonce = challenge.split(',').next().expect("a nonce");
    let without_proof = format!("c={},{nonce}", STANDARD.encode(binding));
    let signed = format!("{first_bare},{challenge},{without_proof}");
    // The client's key is the one whose hash is stored; derived here as the client does.
    let mut salted = vec![0; hash.digest(b"").len()];
    let (password, salt) = (b"pencil", b"0123456789abcdef");
    match hash {
        Hash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>(password, salt, 10_000, &mut salted),
        Hash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>(password, salt, 10_000, &mut salted),
        Hash::Sha512 => pbkdf2::pbkdf2_hmac::<sha2::Sha512>(password, salt, 10_000, &mut salted),
    }
    let client_key = hash.hmac(&salted, b"Client Key");
    let signature = hash.hmac(&hash.digest(&client_key), signed.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(a, b)| a ^ b)
        .collect();
    format!("{without_proof},p={}", STANDARD.encode(proof))
}

#[test]
fn scram_proves_client_and_server_with_every_hash() {
    for (name, hash) in [
        ("SCRAM-SHA-1", Hash::Sha1),
        ("SCRAM-SHA-256", Hash::Sha256),
        ("SCRAM-SHA-512", Hash::Sha512),
    ] {
        let mut dialogue = Dialogue::open();
        dialogue.auth(name, "n,,n=Juliet,r=abc");
        dialogue.admit(Some(credentials()));
        let challenge = dialogue.challenge();
        assert!(
            challenge.starts_with("r=abc") && challenge.contains(",i=10000"),
            "{challenge}"
        );
        dialogue.respond(&last_message(hash, "n=Juliet,r=abc", &challenge, b"n,,"));
        let account = dialogue.authenticated().expect(name);
        assert_eq!(account.as_str(), "juliet@localhost");
        let sent = dialogue.sent();
        assert!(sent.contains("<success"), "{sent}");
    }
}

#[test]
fn scram_plus_binds_to_the_channel() {
    let binding = [b"p=tls-exporter,,".as_slice(), &EXPORTER].concat();
    for (sent_binding, right) in [(binding, true), (b"p=tls-exporter,,other".to_vec(), false)] {
        let mut dialogue = Dialogue::open();
        dialogue.auth("SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=juliet,r=abc");
        dialogue.admit(Some(credentials()));
        let challenge = dialogue.challenge();
        dialogue.respond(&last_message(
            Hash::Sha256,
            "n=juliet,r=abc",
            &challenge,
            &sent_binding,
        ));
        assert_eq!(dialogue.authenticated().is_some(), right);
    }
}

#[test]
fn a_client_that_was_lied_to_about_channel_binding_is_refused() {
    let cases = [
        ("SCRAM-SHA-256", "y,,n=juliet,r=abc", "not-authorized"),
        (
            "SCRAM-SHA-256",
            "p=tls-exporter,,n=juliet,r=abc",
            "malformed-request",
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "n,,n=juliet,r=abc",
            "malformed-request",
        ),
        (
            "SCRAM-SHA-256-PLUS",
            "p=tls-unique,,n=juliet,r=abc",
            "malformed-request",
        ),
        ("SCRAM-MD5", "n,,n=juliet,r=abc", "invalid-mechanism"),
        (
            "SCRAM-SHA-256",
            "n,a=romeo@localhost,n=juliet,r=abc",
            "invalid-authzid",
        ),
        (
            "PLAIN",
            "romeo@localhost\0juliet\0pencil",
            "invalid-authzid",
        ),
        ("PLAIN", "juliet\0pencil", "malformed-request"),
    ];
    for (mechanism, message, condition) in cases {
        let mut dialogue = Dialogue::open();
        dialogue.sent();
        dialogue.auth(mechanism, message);
        let sent = dialogue.sent();
        assert!(sent.contains(condition), "{mechanism} {message:?}: {sent}");
    }
}

#[test]
fn a_name_without_an_account_looks_like_a_wrong_password() {
    let mut seen = Vec::new();
    for keys in [Some(credentials()), None, None] {
        let mut dialogue = Dialogue::open();
        dialogue.auth("SCRAM-SHA-256", "n,,n=juliet,r=abc");
        dialogue.admit(keys);
        let challenge = dialogue.challenge();
        let (_, salt_and_count) = challenge.split_once(",s=").expect("a salt");
        let (salt, count) = salt_and_count.split_once(',').expect("a count");
        let wrong = format!(
            "c=biws,{},p={}",
            challenge.split(',').next().expect("r="),
            STANDARD.encode([1; 32])
        );
        dialogue.respond(&wrong);
        let failure = dialogue.sent();
        assert!(failure.contains("not-authorized"), "{failure}");
        seen.push((salt.to_owned(), salt.len(), count.to_owned(), failure));
    }
    assert_eq!(seen[0].1, seen[1].1, "salts of one length");
    assert_eq!((&seen[0].2, &seen[0].3), (&seen[1].2, &seen[1].3));
    assert_eq!(seen[1].0, seen[2].0, "a decoy's salt stays");
}

#[test]
fn plain_is_compared_off_the_arbiter_and_bounded() {
    let mut dialogue = Dialogue::open();
    for failures in 1..=3 {
        dialogue.auth("PLAIN", "\0juliet\0wrong");
        dialogue.admit(Some(credentials()));
        let ask = dialogue.verifying();
        dialogue.event(Event::PasswordVerified(ask, false));
        let sent = dialogue.sent();
        assert!(sent.contains("not-authorized"), "{sent}");
        assert_eq!(sent.contains("policy-violation"), failures == 3, "{sent}");
    }
}

#[test]
fn nobody_authenticates_or_binds_before_tls() {
    let mut dialogue = Dialogue::accepted(false);
    dialogue.event(Event::Connected);
    dialogue.header();
    let features = dialogue.sent();
    assert!(
        features.contains("starttls") && !features.contains("mechanism"),
        "{features}"
    );
    dialogue.auth("PLAIN", "\0juliet\0pencil");
    assert!(
        !dialogue
            .effects
            .iter()
            .any(|e| matches!(e, Effect::Admit { .. } | Effect::Ask(..)))
    );
    assert!(dialogue.authenticated().is_none());
}

#[test]
fn a_stream_is_managed_behind_login_only_and_who_asks_before_is_told() {
    for asks in ["enable", "resume"] {
        let mut dialogue = Dialogue::open();
        dialogue.event(Event::Element(&Element::new(asks, ns::STREAM_MANAGEMENT)));
        let sent = dialogue.sent();
        let refused = "<failed xmlns=\"urn:xmpp:sm:3\"><unexpected-request ";
        assert!(
            sent.contains(refused) && sent.contains("<not-authorized "),
            "{sent}"
        );
    }
}

#[test]
fn a_login_that_is_broken_off_is_a_failed_try() {
    let elements = [
        Element::new("message", ns::CLIENT),
        Element::new("iq", ns::CLIENT),
        Element::new("enable", "urn:xmpp:sm:3"),
        Element::new("auth", ns::SASL),
        Element::new("unknown", ns::SASL),
    ];
    for element in elements {
        let mut dialogue = Dialogue::open();
        dialogue.auth("SCRAM-SHA-256", "n,,n=juliet,r=abc");
        dialogue.admit(Some(credentials()));
        dialogue.event(Event::Element(&element));
        assert_eq!(dialogue.settled().0, 1, "{element}");
    }
    let mut dialogue = Dialogue::open();
    dialogue.auth("SCRAM-SHA-256", "n,,n=juliet,r=abc");
    dialogue.admit(Some(credentials()));
    dialogue.header();
    assert_eq!(dialogue.settled().0, 1);
}

#[test]
fn a_password_that_was_verified_for_another_try_proves_nothing() {
    let mut dialogue = Dialogue::open();
    dialogue.auth("PLAIN", "\0romeo\0pencil");
    dialogue.admit(Some(credentials()));
    let first = dialogue.verifying();
    dialogue.event(Event::Element(&Element::new("abort", ns::SASL)));
    dialogue.auth("PLAIN", "\0juliet\0wrong");
    dialogue.admit(Some(credentials()));
    dialogue.event(Event::PasswordVerified(first, true));
    assert_eq!(dialogue.authenticated(), None);
    let second = dialogue.verifying();
    dialogue.event(Event::PasswordVerified(second, true));
    let account = dialogue.authenticated().expect("an answer to this try");
    assert_eq!(account.as_str(), "juliet@localhost");
}

#[test]
fn the_time_to_log_in_begins_once_and_nothing_runs_after_the_end() {
    for direct_tls in [true, false] {
        let mut dialogue = Dialogue::accepted(direct_tls);
        dialogue.event(Event::Connected);
        if !direct_tls {
            dialogue.header();
            dialogue.event(Event::Element(&Element::new("starttls", ns::TLS)));
        }
        dialogue.event(Event::Secured(TlsFacts::default()));
        let logins = |effect: &&Effect| matches!(effect, Effect::Arm(Timer::Login, _));
        assert_eq!(dialogue.effects.iter().filter(logins).count(), 1);
        dialogue.header();
        dialogue.event(Event::Closed);
        assert_eq!(dialogue.settled().1, 0);
    }
}

/// A client that has bound a resource.
fn bound() -> Dialogue {
    let mut dialogue = Dialogue::open();
    dialogue.auth("PLAIN", "\0juliet\0pencil");
    dialogue.admit(Some(credentials()));
    let try_of = dialogue.verifying();
    dialogue.event(Event::PasswordVerified(try_of, true));
    dialogue.header();
    let sent = dialogue.sent();
    assert!(sent.contains("<csi xmlns=\"urn:xmpp:csi:0\"/>"), "{sent}");
    let bind = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "b")
        .with_child(Element::new("bind", ns::BIND));
    dialogue.event(Event::Element(&bind));
    let asked = dialogue.effects.iter().find_map(|effect| match effect {
        Effect::Ask(ask, Question::Bind { .. }) => Some(*ask),
        _ => None,
    });
    let jid = Jid::parse("juliet@localhost/balcony").expect("a valid JID");
    let answer = Answer::Bound(Arc::new(jid));
    dialogue.event(Event::Answered(asked.expect("the shard is asked"), answer));
    assert!(dialogue.session.is_bound());
    dialogue.sent();
    dialogue
}

fn delivery(stanza: &'static str) -> Delivered {
    let buf = Bytes::from_static(stanza.as_bytes());
    let recs = vec![parse_rec(&buf).expect("a canonical stanza")];
    Batch { buf, recs }.into()
}

#[test]
fn a_client_that_looks_again_gets_what_waited_before_anything_else() {
    let mut dialogue = bound();
    let state = |name| Element::new(name, ns::CLIENT_STATE);
    let mut due = Vec::new();
    assert!(dialogue.session.is_watched());
    dialogue.event(Event::Element(&state("inactive")));
    dialogue.event(Event::Element(&state("inactive")));
    assert!(!dialogue.session.is_watched() && dialogue.effects.is_empty());
    dialogue.session.deliver(delivery("<presence/>"), &mut due);
    assert!(due.is_empty());
    dialogue.event(Event::Element(&state("active")));
    let written: Vec<_> = dialogue.effects.drain(..).collect();
    assert!(matches!(&written[..], [Effect::Deliver(held)] if held.batch.recs.len() == 1));
    dialogue.event(Event::Element(&state("active")));
    assert!(dialogue.session.is_watched() && dialogue.effects.is_empty());
    dialogue.session.deliver(delivery("<presence/>"), &mut due);
    assert_eq!(due.len(), 1);
    dialogue.event(Event::Element(&state("asleep")));
    assert!(dialogue.sent().contains("unsupported-stanza-type"));
}

#[test]
fn what_a_client_was_not_sent_is_there_when_its_stream_has_ended() {
    let mut dialogue = bound();
    dialogue.event(Event::Element(&Element::new("inactive", ns::CLIENT_STATE)));
    let mut due = Vec::new();
    let receipt = "<message><received xmlns=\"urn:xmpp:receipts\" id=\"1\"/></message>";
    dialogue.session.deliver(delivery(receipt), &mut due);
    dialogue.event(Event::Lost);
    assert!(due.is_empty() && dialogue.session.is_ended());
    assert_eq!(dialogue.session.take_written().len(), 1);
    assert!(dialogue.session.take_written().is_empty());
}

/// What the session asks about an IQ of a stranger.
fn stranger(dialogue: &mut Dialogue, payload: Element) -> (AskId, Bytes, Option<Box<ShownToken>>) {
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "x")
        .with_child(payload);
    dialogue.effects.clear();
    dialogue.event(Event::Element(&iq));
    let asked = dialogue.effects.iter().find_map(|effect| match effect {
        Effect::Ask(ask, Question::Register { invite, iq, .. }) => {
            Some((*ask, iq.clone(), invite.clone()))
        }
        _ => None,
    });
    asked.expect("the shard is asked")
}

/// Shows a token, which the shard finds good or refuses for this reason.
fn shows(dialogue: &mut Dialogue, token: &str, refused: Option<Condition>) {
    let preauth = Element::new("preauth", ns::PARS).with_attr("token", token);
    let (ask, iq, shown) = stranger(dialogue, preauth);
    let shown = shown.expect("a token");
    assert_eq!((shown.token.as_str(), shown.age_ms), (token, 0));
    assert!(!format!("{shown:?}").contains(token), "{shown:?}");
    let rec = parse_rec(&iq).expect("canonical");
    let answer = match refused {
        None => Some(iq_result(&iq, &rec, None, None, None)),
        Some(condition) => StanzaError::new(condition).reply_to(&iq, &rec, None, None),
    };
    let answer = Answer::Iq(answer.expect("an answer"));
    dialogue.event(Event::Answered(ask, answer));
}

fn registers(dialogue: &mut Dialogue) -> Option<Box<ShownToken>> {
    let (ask, _, shown) = stranger(dialogue, Element::new("query", ns::REGISTER));
    dialogue.event(Event::Answered(ask, Answer::Unavailable));
    shown
}

#[test]
fn a_token_that_is_good_goes_with_each_registration_and_a_wrong_one_counts_as_a_failure() {
    let mut dialogue = Dialogue::open();
    let features = dialogue.sent();
    assert!(features.contains(ns::PREAUTH_FEATURE), "{features}");
    assert_eq!(registers(&mut dialogue), None);
    shows(&mut dialogue, "secret", Some(Condition::ResourceConstraint));
    assert_eq!(dialogue.settled().0, 0, "nobody is to blame");
    assert_eq!(registers(&mut dialogue), None);
    shows(&mut dialogue, "secret", None);
    assert_eq!(dialogue.settled().0, 0);
    for _ in 0..2 {
        let shown = registers(&mut dialogue).expect("it is kept");
        assert_eq!(shown.token, "secret");
    }
    shows(&mut dialogue, "guess", Some(Condition::ItemNotFound));
    assert_eq!(dialogue.settled().0, 1);
    assert_eq!(registers(&mut dialogue), None, "the first is forgotten");
}

#[test]
fn a_registration_that_nobody_answers_is_refused_for_now_and_another_one_may_be_tried() {
    let mut dialogue = Dialogue::open();
    let (late, ..) = stranger(&mut dialogue, Element::new("query", ns::REGISTER));
    dialogue.event(Event::TimedOut(Timer::Answer));
    let told = dialogue.sent();
    assert!(
        told.contains("wait") && told.contains("resource-constraint"),
        "{told}"
    );
    let (next, ..) = stranger(&mut dialogue, Element::new("query", ns::REGISTER));
    dialogue.effects.clear();
    dialogue.event(Event::Answered(late, Answer::Unavailable));
    assert!(
        dialogue.effects.is_empty(),
        "nobody waits for it any more: {:?}",
        dialogue.effects
    );
    dialogue.event(Event::Answered(next, Answer::Unavailable));
    assert_eq!(dialogue.settled().1, -1, "the timer is stopped");
    assert!(dialogue.sent().contains("resource-constraint"));
}
