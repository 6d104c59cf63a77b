//! Who opens registration to strangers must be reachable.

mod program;

use program::client::Client;
use program::cluster::Cluster;

#[test]
fn registration_is_not_opened_to_strangers_while_there_is_nobody_to_complain_to() {
    let closed = [
        "contact.forced=false",
        "registration.mode=closed",
        "contact.mailbox_jids=[\"juliet@localhost\"]",
    ];
    let cluster = Cluster::init_with("nest", &closed);
    let node = &cluster.nodes[0];
    let open = ["registration", "set", "--mode", "on"];
    let told = node.admin(&open).expect_failure(1);
    assert!(told.contains("contact.abuse"), "{told}");
    let window = ["registration", "set", "--window", "per_address=1/1h"];
    node.admin(&window).expect_success();
    node.admin(&[&open[..], &["--force"]].concat())
        .expect_success();

    node.create_account("juliet@localhost", "something long");
    node.create_account("romeo@localhost", "something long");
    let mut romeo = Client::connect(node.dir(), node.port(5223)).expect("let in");
    romeo.log_in("romeo", "something long");
    let mut juliet = Client::connect(node.dir(), node.port(5223)).expect("let in");
    juliet.log_in("juliet", "something long");
    juliet.send("<presence/>");
    romeo.send("<message to='abuse@localhost' type='chat'><body>Help!</body></message>");
    let message = juliet.heard("</message>");
    assert!(
        message.contains("romeo@localhost wrote to abuse@localhost"),
        "{message}"
    );
}
