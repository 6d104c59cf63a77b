//! The registration throttle of real processes: its lists, what it refuses, and what is told of it.

mod program;

use std::time::Duration;

use program::client::Client;
use program::cluster::{Cluster, Node, until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
const PASSWORD: &str = "something long";

fn refused(node: &Node, cause: &str) -> u64 {
    let shown = node.shown(&["throttle", "refusals"]);
    let causes = shown["causes"].as_array().expect("a list").clone();
    let found = causes.iter().find(|it| it["cause"] == cause);
    found.and_then(|it| it["total"].as_u64()).unwrap_or(0)
}

/// Events of a kind, the newest first, as `subject detail`.
fn events(node: &Node, kind: &str) -> Vec<String> {
    let shown = node.shown(&["events", "list", "--kind", kind]);
    let events = shown["events"].as_array().expect("a list").clone();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
    let shown = events.iter();
    let shown = shown.map(|it| format!("{} {}", text(it, "subject"), text(it, "detail")));
    shown.collect()
}

#[test]
fn lists_given_on_one_node_hold_on_every_other_and_refusals_are_counted_over_all() {
    let mut cluster = Cluster::init_with(
        "nest",
        &["registration.mode=on", "registration.per_address=2/1h"],
    );
    cluster.join("connection");
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    assert!(one.register("juliet", PASSWORD).contains("result"));
    assert!(other.register("romeo", PASSWORD).contains("result"));
    assert!(
        one.register("tybalt", PASSWORD)
            .contains("resource-constraint")
    );

    one.admin(&["throttle", "allow", "add", "127.0.0.0/8"])
        .expect_success();
    until(PATIENCE, "the list", || {
        other.shown(&["throttle", "allow", "list"])["networks"][0] == "127.0.0.0/8"
    });
    for name in ["tybalt", "nurse", "paris"] {
        let answer = other.register(name, PASSWORD);
        assert!(answer.contains("result"), "no window counts it: {answer}");
    }

    other
        .admin(&["throttle", "block", "add", "127.0.0.1"])
        .expect_success();
    let mut told = String::new();
    until(PATIENCE, "the block", || {
        told = one.register("mercutio", PASSWORD);
        told.contains("forbidden")
    });
    assert!(!told.contains("127"), "nor is it told why: {told}");
    let again = one.admin(&["throttle", "block", "add", "127.0.0.1"]);
    assert!(again.expect_success().contains("0 networks changed"));
    one.admin(&["throttle", "block", "remove", "127.0.0.1"])
        .expect_success();
    one.admin(&["throttle", "allow", "remove", "127.0.0.0/8"])
        .expect_success();
    one.admin(&["throttle", "only", "on"]).expect_success();
    until(PATIENCE, "only listed ones", || {
        other.register("benvolio", PASSWORD).contains("forbidden")
    });
    let shown = one.admin(&["throttle", "block", "list"]).expect_success();
    assert!(
        shown.contains("only the allowed networks register"),
        "{shown}"
    );
    one.admin(&["throttle", "reset-lists"]).expect_success();
    one.admin(&["throttle", "reset", "--all"]).expect_success();
    let mut given = String::new();
    until(PATIENCE, "he may", || {
        given = other.register("benvolio", PASSWORD);
        given.contains("result")
    });
    assert!(other.register("benvolio", PASSWORD).contains("conflict"));

    for (cause, least) in [
        ("address", 1),
        ("blocked", 1),
        ("not_allowed", 1),
        ("conflict", 1),
    ] {
        until(PATIENCE, cause, || refused(other, cause) >= least);
    }
    assert_eq!(refused(one, "conflict"), 1);
    what_is_told_of_it(one, other);
    who_fills_it_is_out(one, other);
}

fn who_fills_it_is_out(one: &Node, other: &Node) {
    one.admin(&["throttle", "reset", "--all"]).expect_success();
    let set = ["registration", "set", "--remembered-max", "1"];
    let shown = other.admin(&set).expect_success();
    assert!(shown.contains("remembered     1 at most"), "{shown}");
    assert!(one.register("rosaline", PASSWORD).contains("result"));
    let full = other.register("balthasar", PASSWORD);
    assert!(full.contains("resource-constraint"), "{full}");
    let out = other.register("balthasar", PASSWORD);
    assert!(out.contains("forbidden"), "{out}");
    let shown = one.shown(&["throttle", "show"]);
    assert_eq!(shown["out"][0]["network"], "127.0.0.0/24", "{shown}");
    assert_eq!(shown["remembered"], 1, "{shown}");
    one.admin(&["throttle", "reset", "--all"]).expect_success();
    assert_eq!(
        other.shown(&["throttle", "show"])["out"],
        serde_json::json!([])
    );
    assert!(other.register("balthasar", PASSWORD).contains("result"));
    let none = one.admin(&["registration", "set", "--remembered-max", "0"]);
    assert!(
        none.expect_failure(1)
            .contains("`remembered_max` cannot be 0")
    );
}

fn what_is_told_of_it(one: &Node, other: &Node) {
    let shown = one.admin(&["throttle", "show"]).expect_success();
    assert!(shown.contains("refused in this hour"), "{shown}");
    let registered = events(other, "registered");
    assert_eq!(registered.len(), 6, "{registered:?}");
    assert_eq!(registered[0], "benvolio@localhost ");
    let policy = events(one, "policy");
    assert!(policy[0].contains("networks allowed: 0"), "{policy:?}");
    let wrong = one.admin(&["throttle", "block", "add", "nowhere"]);
    assert!(wrong.expect_failure(1).contains("is no network"));
}

#[test]
fn an_account_that_goes_and_a_report_are_told() {
    let cluster = Cluster::init("nest");
    let node = &cluster.nodes[0];
    node.create_account("juliet@localhost", PASSWORD);
    node.create_account("romeo@localhost", PASSWORD);
    let mut client = Client::connect(node.dir(), node.port(5223)).expect("let in");
    client.log_in("juliet", PASSWORD);
    client.send(
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='tybalt@localhost'>\
         <report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'>\
         <text>He bites his thumb.</text></report></item></block></iq>",
    );
    until(PATIENCE, "the report", || {
        events(node, "reported")
            == ["juliet@localhost abuse by tybalt@localhost: He bites his thumb."]
    });
    node.admin(&["users", "delete", "romeo@localhost"])
        .expect_success();
    until(PATIENCE, "the removal", || {
        events(node, "removed") == ["romeo@localhost "]
    });
}
