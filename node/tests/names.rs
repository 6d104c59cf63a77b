//! Names on real processes: reserved on one node they are refused on all, and a deleted name stays withheld.

mod program;

use std::time::Duration;

use program::client::Client;
use program::cluster::{Cluster, Node, until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// What the node answers to a stranger who registers, over direct TLS.
fn register(node: &Node, name: &str) -> String {
    let mut client = Client::connect(node.dir(), node.port(5223)).expect("it is let in");
    client.send(&format!(
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
         <password>something long</password></query></iq>"
    ));
    let begun = client.heard(">");
    match begun.ends_with("/>") {
        true => begun,
        false => begun + &client.heard("</iq>"),
    }
}

fn json(node: &Node, words: &[&str]) -> Value {
    let shown = node.admin(&[words, &["--json"]].concat()).expect_success();
    serde_json::from_str(&shown).expect("JSON")
}

fn create(node: &Node, jid: &str, more: &[&str]) -> program::Run {
    let words = ["users", "create", jid, "--password", "something long"];
    node.admin(&[&words, more].concat())
}

#[test]
fn a_name_reserved_on_one_node_is_refused_on_every_other_and_released_again() {
    let mut cluster = Cluster::init_with("nest", &["registration.mode=unthrottled"]);
    cluster.join("connection");
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    until(PATIENCE, "the well-known names", || {
        json(other, &["names", "list"])["rules"]
            .as_array()
            .is_some_and(|all| all.len() == 25)
    });
    for name in ["admin", "аdmin", "adrnin"] {
        let answer = register(one, name);
        assert!(
            answer.contains("not-acceptable") && answer.contains("reserved"),
            "{name}: {answer}"
        );
    }
    create(one, "the-boss@localhost", &[]).expect_success();
    let told = json(
        one,
        &["names", "reserve", "~boss", "*-bot", "--reason", "ours"],
    );
    assert_eq!(told["collisions"][0]["jid"], "the-boss@localhost");
    assert_eq!(told["collisions"][0]["rule"], "~boss");
    until(PATIENCE, "the other node knows", || {
        json(other, &["names", "list"])["version"] == told["version"]
    });
    for (node, name) in [(one, "my.bоss"), (other, "my.bоss"), (other, "spam-bot")] {
        let answer = register(node, name);
        assert!(answer.contains("not-acceptable"), "{name}: {answer}");
    }
    let told = create(one, "a-bot@localhost", &[]).expect_failure(1);
    assert!(told.contains("*-bot") && told.contains("--force"), "{told}");
    create(other, "a-bot@localhost", &["--force"]).expect_success();
    let told = json(one, &["names", "check", "b-bot@localhost"]);
    assert_eq!(
        (&told["free"], &told["rule"]),
        (&false.into(), &"*-bot".into())
    );
    one.admin(&["names", "release", "*-bot", "admin"])
        .expect_success();
    one.admin(&["names", "release", "*-bot"]).expect_failure(1);
    let told = json(one, &["names", "check", "b-bot@localhost"]);
    assert_eq!(told["free"], true);
    let metrics = program::server::http(one.port(5280), "/metrics");
    let words = [
        "rookery_names_refused_total{",
        "cause=\"reserved\"",
        "by=\"stranger\"",
    ];
    let counted = |line: &str| words.iter().all(|word| line.contains(word));
    assert!(metrics.lines().any(counted), "{metrics}");
}

#[test]
fn a_look_alike_is_refused_and_a_deleted_name_is_withheld_until_it_is_restored() {
    let more = ["registration.mode=unthrottled", "names.tombstones=forever"];
    let cluster = Cluster::init_with("nest", &more);
    let node = &cluster.nodes[0];
    let _ = register(node, "olga");
    assert!(register(node, "olga").contains("conflict"), "it exists");
    let answer = register(node, "0lga");
    assert!(answer.contains("looks too much like"), "{answer}");
    let told = create(node, "0lga@localhost", &[]).expect_failure(1);
    assert!(
        told.contains("looks like that of the account olga"),
        "{told}"
    );
    let told = json(node, &["names", "check", "0lga@localhost"]);
    assert_eq!(told["like"][0], "olga@localhost");
    node.admin(&["users", "delete", "olga@localhost", "--now"])
        .expect_success();
    assert!(register(node, "olga").contains("conflict"));
    create(node, "olga@localhost", &[]).expect_failure(1);
    let told = json(node, &["names", "tombstones"]);
    assert_eq!(told["tombstones"][0]["jid"], "olga@localhost");
    node.admin(&["names", "restore", "olga@localhost"])
        .expect_success();
    node.admin(&["names", "restore", "olga@localhost"])
        .expect_failure(1);
    create(node, "olga@localhost", &[]).expect_success();
}
