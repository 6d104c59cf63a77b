//! Registrations that a moderator has to approve, on three processes.

mod program;

use std::time::Duration;

use program::cluster::{Cluster, Node, until};

const PATIENCE: Duration = Duration::from_secs(30);

const PASSWORD: &str = "something long";

fn awaiting(node: &Node) -> Vec<String> {
    let shown = node.shown(&["users", "awaiting"]);
    let users = shown.as_array().expect("a list").iter();
    users
        .map(|user| user["jid"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn nobody_uses_an_account_before_a_moderator_has_approved_it_and_only_so_many_wait() {
    let more = ["registration.per_address=off"];
    let mut cluster = Cluster::init_with("nest", &more);
    cluster.join("connection");
    cluster.join("connection");
    let (router, near, far) = (&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]);
    let set = ["registration", "set", "--awaiting-max"];
    let told = near.admin(&[&set[..], &["0"]].concat()).expect_failure(1);
    assert!(told.contains("`awaiting_max` cannot be 0"), "{told}");
    let most = ["2", "--awaiting-days", "3", "--mode", "approval", "--force"];
    near.admin(&[&set[..], &most].concat()).expect_success();
    let shown = far.shown(&["registration", "show"]);
    assert_eq!(
        (&shown["mode"], &shown["awaiting_max"]),
        (&"approval".into(), &2.into())
    );
    assert_eq!(shown["awaiting_days"], 3);
    let told = far.admin(&["registration", "show"]).expect_success();
    assert!(told.contains("awaiting       2 accounts at most"), "{told}");
    // The stream's feature, and the form, follow the policy.
    until(PATIENCE, "the mode is known", || {
        near.register("olga", PASSWORD).contains("type=\"result\"")
    });
    let told = far.client().try_plain("olga", PASSWORD);
    assert!(
        told.contains("account-disabled") && told.contains("awaits approval"),
        "{told}"
    );
    let (wrong, nobody) = (
        far.client().try_plain("olga", "wrong"),
        far.client().try_plain("nobody", "wrong"),
    );
    assert_eq!(
        wrong, nobody,
        "who does not know the password learns nothing"
    );

    until(PATIENCE, "the mode is known there", || {
        far.register("igor", PASSWORD).contains("type=\"result\"") || awaiting(router).len() == 2
    });
    for node in [near, far] {
        let told = node.register("boris", PASSWORD);
        assert!(
            told.contains("resource-constraint") && told.contains("await approval"),
            "{told}"
        );
    }
    assert_eq!(awaiting(router), ["igor@localhost", "olga@localhost"]);

    far.admin(&["users", "approve", "olga@localhost"])
        .expect_success();
    near.client().log_in("olga", PASSWORD);
    let told = far
        .admin(&["users", "approve", "olga@localhost"])
        .expect_failure(1);
    assert!(told.contains("in use"), "{told}");
    near.admin(&["users", "deny", "igor@localhost", "--reason", "spam"])
        .expect_success();
    assert_eq!(awaiting(router), Vec::<String>::new());
    for name in ["boris", "igor"] {
        let told = far.register(name, PASSWORD);
        assert!(told.contains("type=\"result\""), "there is room: {told}");
    }
}
