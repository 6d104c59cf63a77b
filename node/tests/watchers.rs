//! What happens is told to those who watch, once, also by the node that takes over.

mod program;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use program::client::Client;
use program::cluster::{Cluster, Node, until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

fn register(node: &Node, name: &str) {
    let mut client = Client::connect(node.dir(), node.port(5223)).expect("it is let in");
    client.send(&format!(
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
         <password>something long</password></query></iq>"
    ));
    let answer = client.heard(">");
    assert!(answer.contains("result"), "{answer}");
}

fn told(node: &Node) -> (u64, u64) {
    let shown = node.admin(&["events", "list", "--json"]).expect_success();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let number = |key: &str| shown[key].as_u64().expect("a number");
    (number("newest"), number("told"))
}

#[test]
fn a_watcher_hears_of_each_registration_and_of_a_flood_in_one_message() {
    let cluster = Cluster::init_with(
        "nest",
        &[
            "registration.mode=unthrottled",
            "watchers.jids=[\"juliet@localhost\"]",
            "watchers.kinds=[\"registered\"]",
            "watchers.template={account} is new ({address})",
            "watchers.singles=2",
            "watchers.digest_every=2s",
        ],
    );
    let node = &cluster.nodes[0];
    node.create_account("juliet@localhost", "something long");
    let mut juliet = Client::connect(node.dir(), node.port(5223)).expect("let in");
    juliet.log_in("juliet", "something long");
    juliet.send("<presence/>");
    register(node, "romeo");
    let message = juliet.heard("</message>");
    assert!(message.contains("from=\"localhost\""), "{message}");
    assert!(
        message.contains("romeo@localhost is new (127.0.0.1)"),
        "{message}"
    );
    for name in ["paris", "tybalt", "nurse", "mercutio", "benvolio"] {
        register(node, name);
    }
    let mut heard = String::new();
    while !heard.contains("events from") {
        heard += &juliet.heard("</message>");
    }
    assert!(heard.contains("registered from 127.0.0.1"), "{heard}");
    until(PATIENCE, "all is told", || {
        let (newest, told) = told(node);
        newest == told
    });
}

/// Answers one request with this, and gives what was posted.
fn answer(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let (mut heard, mut buffer) = (String::new(), [0; 4_096]);
    while !heard.ends_with('}') {
        let read = stream.read(&mut buffer).expect("a request");
        assert!(read > 0, "{heard}");
        heard += std::str::from_utf8(&buffer[..read]).expect("UTF-8");
    }
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).expect("answered");
    heard
}

#[test]
fn a_webhook_is_posted_again_until_it_has_the_event_and_a_new_start_does_not_repeat_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hook = format!(
        "watchers.webhook=http://{}/hook",
        listener.local_addr().expect("an address")
    );
    let kinds = "watchers.kinds=[\"banned\"]";
    let mut cluster = Cluster::init_with("nest", &[&hook, kinds]);
    let ban = |cluster: &Cluster, domain: &str| {
        let words = ["bans", "add", domain, "--reason", "spam"];
        cluster.nodes[0].admin(&words).expect_success();
    };
    ban(&cluster, "spam.example");
    let first = answer(&listener, "503 Busy");
    let second = answer(&listener, "204 No Content");
    let body = |heard: &str| heard.split("\r\n\r\n").nth(1).map(str::to_owned);
    assert_eq!(body(&first), body(&second), "the same again");
    let posted: Value = serde_json::from_str(&body(&second).expect("a body")).expect("JSON");
    assert_eq!(posted["text"], "banned: spam.example: spam");
    assert_eq!(posted["events"][0]["kind"], "banned");
    until(PATIENCE, "it is told", || {
        let (newest, told) = told(&cluster.nodes[0]);
        newest == told
    });
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    ban(&cluster, "more.example");
    let third = answer(&listener, "200 OK");
    assert!(
        third.contains("more.example") && !third.contains("spam.example"),
        "{third}"
    );
}
