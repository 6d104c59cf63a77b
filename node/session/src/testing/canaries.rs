//! The judge can fail: what a broken machine would do is told, rule by rule.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_xmpp::jid::Jid;

use super::judge::Judge;
use super::words;
use super::world::World;
use crate::Session;
use crate::carrier::{AskId, Question};
use crate::effect::Effect;
use crate::event::{Admission, Event, Timer, TlsFacts};

fn juliet() -> Jid {
    Jid::parse("juliet@localhost").expect("a good address")
}

fn send(text: &'static str) -> Effect {
    Effect::Send(Bytes::from_static(text.as_bytes()))
}

/// What the judge says to these effects of one event, under TLS or in clear.
fn verdict(secured: bool, effects: &[Effect]) -> String {
    let mut world = World::open();
    world.facts.direct_tls = secured;
    let session = Session::new(world.config.clone(), world.facts);
    let mut judge = Judge::new(world);
    judge.hear(&Event::Connected);
    if secured {
        judge.hear(&Event::Secured(TlsFacts::default()));
    }
    judge.judge(effects, &session).expect_err("a broken rule")
}

#[test]
fn what_a_broken_machine_does_in_clear_is_told() {
    let address = World::open().facts.address;
    let admit = Effect::Admit {
        address,
        account: None,
        mechanism: "PLAIN",
    };
    let cases = [
        (vec![Effect::StartTls, Effect::StartTls], "twice"),
        (vec![Effect::StartTls, send("<a/>")], "while TLS is made"),
        (vec![admit], "without TLS"),
        (
            vec![Effect::CloseSocket, Effect::CloseSocket],
            "follows the end",
        ),
        (vec![send("<a>")], "read"),
        (vec![send("\0")], "read"),
        (vec![Effect::Disarm(Timer::Idle)], "does not run"),
        (vec![], "these timers run"),
        (vec![Effect::Arm(Timer::Login, Duration::ZERO)], "no time"),
    ];
    for (effects, told) in cases {
        let verdict = verdict(false, &effects);
        assert!(verdict.contains(told), "{verdict:?} to {effects:?}");
    }
}

#[test]
fn what_a_broken_machine_does_under_tls_is_told() {
    let address = World::open().facts.address;
    let report = |succeeded| Effect::ReportLogin {
        address,
        account: Some(juliet()),
        mechanism: "PLAIN",
        succeeded,
    };
    let open = Effect::Send(words::open(None, None).into());
    let ask = Effect::Ask(AskId(0), Question::Credentials { account: juliet() });
    let bind = Question::Bind {
        account: juliet(),
        resource: None,
        address,
    };
    let bind = Effect::Ask(AskId(0), bind);
    let cases = [
        (vec![report(true)], "not open"),
        (
            vec![Effect::Authenticated(Arc::new(juliet()))],
            "without a reported success",
        ),
        (vec![Effect::Bound(Arc::new(juliet()))], "did not grant"),
        (vec![ask], "without a try"),
        (vec![bind], "somebody else"),
        (vec![open], "guessed"),
    ];
    for (effects, told) in cases {
        let verdict = verdict(true, &effects);
        assert!(verdict.contains(told), "{verdict:?} to {effects:?}");
    }
}

#[test]
fn a_success_without_a_proof_is_told() {
    let world = World::open();
    let session = Session::new(world.config.clone(), world.facts);
    let (address, account) = (world.facts.address, Some(juliet()));
    let mut judge = Judge::new(world);
    let arm = Effect::Arm(Timer::Login, Duration::from_secs(30));
    let admit = Effect::Admit {
        address,
        account: account.clone(),
        mechanism: "PLAIN",
    };
    judge.hear(&Event::Connected);
    judge.hear(&Event::Secured(TlsFacts::default()));
    judge.judge(&[arm, admit], &session).expect("a try");
    judge.hear(&Event::Admitted(Admission::Now));
    let report = Effect::ReportLogin {
        address,
        account,
        mechanism: "PLAIN",
        succeeded: true,
    };
    let effects = [report, Effect::Authenticated(Arc::new(juliet()))];
    let verdict = judge.judge(&effects, &session).expect_err("no proof");
    assert!(verdict.contains("not offered"), "{verdict}");
}
