//! Bans of real processes: given on one node, they hold on all.

mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use program::client::{Client, HEADER};
use program::cluster::{Cluster, Node, until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// A client that has opened its stream, if it was let in.
fn client(node: &Node) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port(5222))).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(HEADER.as_bytes()).ok()?;
    let mut features = [0; 4_096];
    let read = stream.read(&mut features).unwrap_or(0);
    (read > 0).then_some(stream)
}

fn list(node: &Node) -> Value {
    let shown = node.admin(&["bans", "list", "--json"]).expect_success();
    serde_json::from_str(&shown).expect("JSON")
}

#[test]
fn a_ban_on_one_node_closes_and_refuses_on_every_other_until_it_is_lifted() {
    let mut cluster = Cluster::init("nest");
    cluster.join("connection");
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut here = client(other).expect("let in");
    one.admin(&[
        "bans",
        "add",
        "127.0.0.0/24",
        "spam.example",
        "--reason",
        "flood",
        "--expires",
        "7d",
    ])
    .expect_success();
    let mut told = String::new();
    // It ends when the ban has come to the other node.
    here.read_to_string(&mut told).expect("an end");
    assert!(told.contains("policy-violation"), "{told}");
    for node in [one, other] {
        until(PATIENCE, "the list", || list(node)["version"] == 2);
        assert_eq!(list(node)["bans"][0]["target"], "127.0.0.0/24");
        assert!(client(node).is_none());
    }
    let told = one
        .admin(&["bans", "add", "0.0.0.0/0", "--reason", "oops"])
        .expect_failure(1);
    assert!(told.contains("too wide"), "{told}");
    for (target, reason) in [
        ("300.1.1.1", "no address"),
        ("juliet@localhost/balcony", "names one session"),
        ("LocalHost", "is a host of this server"),
    ] {
        let told = one.admin(&["bans", "add", target, "--reason", "oops"]);
        let told = told.expect_failure(1);
        assert!(told.contains(reason), "{told}");
    }
    other
        .admin(&["bans", "remove", "127.0.0.0/24"])
        .expect_success();
    let told = other
        .admin(&["bans", "remove", "127.0.0.0/24", "spam.example"])
        .expect_failure(1);
    assert!(
        told.contains("1 ban lifted; not banned: 127.0.0.0/24:"),
        "{told}"
    );
    for node in [one, other] {
        until(PATIENCE, "the client is let in", || client(node).is_some());
    }

    // A node that was away hears what it has missed.
    cluster.nodes[1].kill();
    cluster.nodes[0]
        .admin(&["bans", "add", "127.0.0.1", "--reason", "again"])
        .expect_success();
    cluster.nodes[1].start();
    until(PATIENCE, "the other node has heard", || {
        client(&cluster.nodes[1]).is_none()
    });
}

/// What the node answers to a login of `juliet@localhost` by PLAIN, over direct TLS.
fn login(node: &Node) -> String {
    let client = Client::connect(node.dir(), node.port(5223));
    client
        .expect("let in")
        .try_plain("juliet", "something long")
}

#[test]
fn a_banned_account_cannot_log_in_and_is_not_told_why() {
    let cluster = Cluster::init("nest");
    let node = &cluster.nodes[0];
    node.create_account("juliet@localhost", "something long");
    assert!(login(node).contains("<success"), "her password is right");
    node.admin(&["bans", "add", "juliet@localhost", "--reason", "spam"])
        .expect_success();
    let mut told = String::new();
    until(PATIENCE, "the ban is known", || {
        told = login(node);
        !told.contains("<success")
    });
    assert!(
        told.contains("<failure") && !told.contains("banned"),
        "{told}"
    );
    let show = ["users", "show", "juliet@localhost"];
    let told = node.admin(&show).expect_success();
    let shown = "banned            for ever, as juliet@localhost: spam";
    assert!(told.contains(shown), "{told}");
    assert_eq!(node.shown(&show)["ban"]["target"], "juliet@localhost");
    node.admin(&["bans", "remove", "juliet@localhost"])
        .expect_success();
    until(PATIENCE, "she may again", || {
        login(node).contains("<success")
    });
    assert!(node.shown(&show)["ban"].is_null());
}
