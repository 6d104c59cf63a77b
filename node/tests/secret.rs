//! A name without an account looks the same on every node, so that nobody can tell it from one that has one.

mod program;

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use program::client::Client;
use program::cluster::{Cluster, Node, until};
use program::rookery;
use program::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// Salt and iterations that a node shows for a name (RFC 5802 5.1).
fn shown(node: &Node, name: &str) -> (String, String) {
    shown_at(node.dir(), node.port(5223), name)
}

fn shown_at(dir: &Path, port: u16, name: &str) -> (String, String) {
    let mut client = Client::connect(dir, port).expect("let in");
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

#[test]
fn a_name_without_an_account_looks_the_same_behind_a_backup_and_a_restore() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let backup = home.path().join("backup");
    let backup = backup.to_str().expect("UTF-8");
    let nobody = |server: &Server| shown_at(server.dir(), server.port(5223), "nobody");
    let server = Server::start(&[]);
    let before = nobody(&server);
    let socket = server.dir().join("admin.sock");
    let socket = socket.to_str().expect("UTF-8");
    rookery(["backup", backup, "--socket", socket]).expect_success();
    rookery(["verify", backup, "--server", "--socket", socket]).expect_success();

    let empty = tempfile::tempdir().expect("a temporary folder");
    let into = format!("server.data_dir={}", empty.path().display());
    rookery(["restore", backup, "--set", &into]).expect_success();
    rookery(["verify", backup, "--set", &into]).expect_success();
    let mut restored = Server::start_in(empty, &[]);
    assert_eq!(nobody(&restored), before);
    let kept =
        |server: &Server| std::fs::read(server.dir().join("decoy.secret")).expect("a secret");
    until(PATIENCE, "it keeps the secret", || {
        kept(&restored) == kept(&server)
    });
    restored.signal(rustix::process::Signal::TERM);
    assert!(restored.ended().success());
    restored.restart(&[]);
    assert_eq!(nobody(&restored), before);
}
