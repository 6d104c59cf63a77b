//! A name without an account looks the same on every node, so that nobody can tell it from one that has one.

mod program;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use program::client::Client;
use program::cluster::{Cluster, Node, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// Salt and iterations that a node shows for a name (RFC 5802 5.1).
fn shown(node: &Node, name: &str) -> (String, String) {
    let mut client = Client::connect(node.dir(), node.port(5223)).expect("let in");
    let first = STANDARD.encode(format!("n,,n={name},r=fyko+d2lbbFgONRv9qkxdawL"));
    client.send(&format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    let answer = client.heard("</challenge>");
    let inner = answer.trim_end_matches("</challenge>").rsplit('>').next();
    let challenge = STANDARD
        .decode(inner.expect("a challenge"))
        .expect("base64");
    let challenge = String::from_utf8(challenge).expect("UTF-8");
    let mut parts = challenge.split(',');
    let (_, salt, iterations) = (parts.next(), parts.next(), parts.next());
    (
        salt.expect("a salt").to_owned(),
        iterations.expect("a count").to_owned(),
    )
}

#[test]
fn a_name_without_an_account_has_the_same_salt_on_every_node_and_after_a_new_start() {
    let mut cluster = Cluster::init("nest");
    cluster.join("connection");
    let before = shown(&cluster.nodes[0], "nobody");
    assert_ne!(before, shown(&cluster.nodes[0], "somebody"));
    until(PATIENCE, "the other node knows the secret", || {
        shown(&cluster.nodes[1], "nobody") == before
    });
    let kept = |node: &Node| std::fs::read(node.dir().join("decoy.secret")).expect("a secret");
    until(PATIENCE, "it keeps the secret", || {
        kept(&cluster.nodes[0]) == kept(&cluster.nodes[1])
    });
    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    assert_eq!(shown(&cluster.nodes[1], "nobody"), before);
}
