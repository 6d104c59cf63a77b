//! Names on real processes: reserved on one node they are refused on all, and a deleted name stays withheld.

mod program;

use std::time::Duration;

use program::cluster::{Cluster, Node, until};

const PATIENCE: Duration = Duration::from_secs(30);

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
        other.shown(&["names", "list"])["rules"]
            .as_array()
            .is_some_and(|all| all.len() == 25)
    });
    for name in ["admin", "аdmin", "adrnin", "ad.min"] {
        let answer = one.register(name, "something long");
        assert!(
            answer.contains("not-acceptable") && answer.contains("reserved"),
            "{name}: {answer}"
        );
    }
    create(one, "the-boss@localhost", &[]).expect_success();
    let told = one.shown(&["names", "reserve", "~boss", "*-bot", "--reason", "ours"]);
    assert_eq!(told["collisions"][0]["jid"], "the-boss@localhost");
    assert_eq!(told["collisions"][0]["rule"], "~boss");
    until(PATIENCE, "the other node knows", || {
        other.shown(&["names", "list"])["version"] == told["version"]
    });
    for (node, name) in [(one, "my.bоss"), (other, "my.bоss"), (other, "spam-bot")] {
        let answer = node.register(name, "something long");
        assert!(answer.contains("not-acceptable"), "{name}: {answer}");
    }
    let told = create(one, "a-bot@localhost", &[]).expect_failure(1);
    assert!(told.contains("*-bot") && told.contains("--force"), "{told}");
    create(other, "a-bot@localhost", &["--force"]).expect_success();
    let told = one.shown(&["names", "check", "b-bot@localhost"]);
    assert_eq!(
        (&told["free"], &told["rule"]),
        (&false.into(), &"*-bot".into())
    );
    one.admin(&["names", "release", "*-bot", "admin"])
        .expect_success();
    one.admin(&["names", "release", "*-bot"]).expect_failure(1);
    let told = one.shown(&["names", "check", "b-bot@localhost"]);
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
    let _ = node.register("olga", "something long");
    assert!(
        node.register("olga", "something long").contains("conflict"),
        "it exists"
    );
    let answer = node.register("0lga", "something long");
    assert!(answer.contains("looks too much like"), "{answer}");
    let told = create(node, "0lga@localhost", &[]).expect_failure(1);
    assert!(
        told.contains("looks like that of the account olga"),
        "{told}"
    );
    let told = node.shown(&["names", "check", "0lga@localhost"]);
    assert_eq!(told["like"][0], "olga@localhost");
    node.admin(&["users", "delete", "olga@localhost", "--now"])
        .expect_success();
    assert!(node.register("olga", "something long").contains("conflict"));
    create(node, "olga@localhost", &[]).expect_failure(1);
    let told = node.shown(&["names", "tombstones"]);
    assert_eq!(told["tombstones"][0]["jid"], "olga@localhost");
    node.admin(&["names", "restore", "olga@localhost"])
        .expect_success();
    node.admin(&["names", "restore", "olga@localhost"])
        .expect_failure(1);
    create(node, "olga@localhost", &[]).expect_success();
}
