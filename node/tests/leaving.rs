//! Accounts that are removed, on three processes: they can be restored until their grace is over, and are gone then.

mod program;

use std::time::Duration;

use program::cluster::{Cluster, Node, until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

const PASSWORD: &str = "something long";

const REMOVE: &str =
    "<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>";

fn stands(node: &Node, jid: &str) -> Value {
    node.shown(&["users", "show", jid])["standing"].clone()
}

#[test]
fn a_removed_account_is_refused_on_every_node_restored_from_any_and_gone_behind_its_grace() {
    let more = ["accounts.removal_grace=\"10m\"", "names.tombstones=forever"];
    let mut cluster = Cluster::init_with("nest", &more);
    cluster.join("connection");
    cluster.join("connection");
    let (router, near, far) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    router.create_account("juliet@localhost", PASSWORD);
    let mut juliet = near.client();
    juliet.log_in("juliet", PASSWORD);
    juliet.send(REMOVE);
    assert!(juliet.heard("</stream:stream>").contains("type=\"result\""));
    for node in [router, near, far] {
        let told = node.client().try_plain("juliet", PASSWORD);
        assert!(
            told.contains("account-disabled") && told.contains("was removed"),
            "{told}"
        );
        let (wrong, nobody) = (
            node.client().try_plain("juliet", "wrong"),
            node.client().try_plain("nobody", "wrong"),
        );
        assert_eq!(
            wrong, nobody,
            "who does not know the password learns nothing"
        );
    }
    let shown = router.shown(&["users", "show", "juliet@localhost"]);
    assert_eq!(
        (&shown["standing"], &shown["removed_by"]),
        (&"leaving".into(), &"owner".into())
    );
    let listed = router.shown(&["users", "list", "--leaving"]);
    assert_eq!(listed[0]["jid"], "juliet@localhost");
    let told = router
        .admin(&[
            "users",
            "create",
            "juliet@localhost",
            "--password",
            PASSWORD,
        ])
        .expect_failure(1);
    assert!(told.contains("exists already"), "{told}");

    far.admin(&["users", "restore", "juliet@localhost"])
        .expect_success();
    let told = far
        .admin(&["users", "restore", "juliet@localhost"])
        .expect_failure(1);
    assert!(told.contains("in use"), "{told}");
    assert_eq!(stands(router, "juliet@localhost"), "member");
    near.client().log_in("juliet", PASSWORD);

    let told = near
        .admin(&["users", "delete", "juliet@localhost"])
        .expect_success();
    assert!(told.contains("users restore juliet@localhost"), "{told}");
    near.admin(&["users", "delete", "juliet@localhost", "--now"])
        .expect_success();
    near.admin(&["users", "show", "juliet@localhost"])
        .expect_failure(1);
    let told = router.shown(&["names", "tombstones"]);
    assert_eq!(told["tombstones"][0]["jid"], "juliet@localhost");
}

#[test]
fn the_sweeper_deletes_whose_grace_is_over_also_behind_a_restart() {
    let mut cluster = Cluster::init_with("nest", &["accounts.removal_grace=\"3s\""]);
    cluster.nodes[0].create_account("juliet@localhost", PASSWORD);
    cluster.nodes[0].create_account("romeo@localhost", PASSWORD);
    let node = &cluster.nodes[0];
    node.admin(&["users", "delete", "juliet@localhost"])
        .expect_success();
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    let node = &cluster.nodes[0];
    until(PATIENCE, "she is gone", || {
        let listed = node.shown(&["users", "list"]);
        let all = listed.as_array().expect("a list").iter();
        let mut names = all.map(|user| user["jid"].as_str().unwrap_or_default());
        !names.any(|name| name == "juliet@localhost")
    });
    assert_eq!(stands(node, "romeo@localhost"), "member");
    let metrics = program::server::http(node.port(5280), "/metrics");
    let words = ["rookery_accounts_standing_total{", "step=\"deleted\""];
    let counted = |line: &str| words.iter().all(|word| line.contains(word));
    assert!(metrics.lines().any(counted), "{metrics}");
}
