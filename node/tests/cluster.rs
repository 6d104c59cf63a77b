//! A cluster of real processes, made with the commands of an operator.

mod program;

use std::time::Duration;

use program::cluster::{Cluster, until};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

/// What a joining node and an election may take here, where others use the cores as well.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a node ends that has nothing to finish.
const SOON: Duration = Duration::from_secs(5);

const ALL: &str = "control,connection";

fn three(name: &str) -> Cluster {
    let mut cluster = Cluster::init(name);
    cluster.join(ALL);
    cluster.join(ALL);
    for node in 0..3 {
        until(PATIENCE, "three voters", || {
            cluster.nodes[node].voters() == [1, 2, 3]
        });
    }
    cluster
}

fn set(cluster: &Cluster, node: usize, window: &str) -> Duration {
    let begun = Instant::now();
    let window = format!("in_all={window}");
    cluster.nodes[node]
        .admin(&["registration", "set", "--mode", "on", "--window", &window])
        .expect_success();
    begun.elapsed()
}

fn shows(cluster: &Cluster, node: usize, window: &str) -> bool {
    let shown = cluster.nodes[node]
        .admin(&["registration", "show"])
        .expect_success();
    shown
        .lines()
        .any(|line| line.starts_with("in_all") && line.ends_with(window))
}

#[test]
fn three_processes_agree_and_outlive_their_leader_and_a_removed_node_is_refused() {
    let mut cluster = three("nest");
    set(&cluster, 1, "11/1h");
    for node in 0..3 {
        assert!(shows(&cluster, node, "11/1h"), "node {node}");
    }

    let leader = cluster.leader(0);
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.nodes[leader].kill();
    let took = set(&cluster, one, "12/1h");
    assert!(
        took < Duration::from_secs(3),
        "a change after the leader's death took {took:?}"
    );
    println!("change after kill -9 of the leader: {took:?}");
    assert!(shows(&cluster, other, "12/1h"));
    let ordinary = set(&cluster, other, "13/1h");
    println!("ordinary change, the command included: {ordinary:?}");

    cluster.nodes[leader].start();
    until(PATIENCE, "the old leader follows", || {
        shows(&cluster, leader, "13/1h")
    });
    let to = (leader + 1).to_string();
    assert_eq!(
        cluster.nodes[one].control(&["transfer", &to])["leader"],
        leader + 1
    );
    let snapshot = cluster.nodes[one].control(&["snapshot"]);
    assert!(snapshot["index"].as_u64() > Some(5), "{snapshot}");
    assert_eq!(
        cluster.nodes[one].control(&["log"])["snapshot"],
        snapshot["index"]
    );

    removed(&mut cluster, leader, one);
}

/// The node that leads is removed, and comes again.
fn removed(cluster: &mut Cluster, gone: usize, by: usize) {
    let id = (gone + 1).to_string();
    let remove = ["nodes", "remove", &id, "--force"];
    let told = cluster.nodes[by].admin(&remove[..3]).expect_failure(1);
    for part in ["is alive", &format!("`nodes drain {id}`"), "`--force`"] {
        assert!(told.contains(part), "{told}");
    }
    cluster.nodes[by].admin(&remove).expect_success();
    until(PATIENCE, "two voters", || {
        cluster.nodes[by].voters().len() == 2
    });
    cluster.nodes[gone].kill();
    assert_eq!(cluster.nodes[gone].refused().code(), Some(78));
    let told = cluster.nodes[gone].logged();
    assert!(told.contains("join as a new node"), "{told}");
    cluster.nodes[gone]
        .admin(&["registration", "show"])
        .expect_failure(69);
}

/// Removes a node while another, which the group needs to let it go, stands still. The leader must not have missed that
/// one yet.
fn remove_while_one_stands_still(cluster: &Cluster, gone: usize, still: usize, by: usize) {
    let id = (gone + 1).to_string();
    until(PATIENCE, "the removal is taken", || {
        until(PATIENCE, "all members answer", || {
            let shown = cluster.nodes[by].control(&["members"]);
            let members = shown["members"].as_array().expect("a list");
            members.iter().all(|member| member["active"] == true)
        });
        cluster.nodes[still].signal(Signal::STOP);
        let removed = cluster.nodes[by].admin(&["nodes", "remove", &id, "--force"]);
        if !removed.succeeded() {
            cluster.nodes[still].signal(Signal::CONT);
        }
        removed.succeeded()
    });
}

#[test]
fn a_removed_member_that_the_group_still_needs_is_not_ready_and_says_why() {
    let mut cluster = three("needed");
    let leader = cluster.leader(0);
    let (gone, still) = ((leader + 1) % 3, (leader + 2) % 3);
    remove_while_one_stands_still(&cluster, gone, still, leader);
    let says_why = |cluster: &Cluster| {
        until(PATIENCE, "it says why", || {
            let shown = cluster.nodes[gone].admin(&["server", "status", "--json"]);
            shown.succeeded() && {
                let shown: Value = serde_json::from_str(&shown.output()).expect("JSON");
                let mut parts = shown["components"].as_array().expect("a list").iter();
                shown["ready"] == false && parts.any(|part| part["name"] == "membership")
            }
        });
        assert!(cluster.nodes[gone].http("/readyz").contains(" 503 "));
    };
    says_why(&cluster);
    cluster.nodes[gone].kill();
    cluster.nodes[gone].start_unready();
    says_why(&cluster);
    cluster.nodes[still].signal(Signal::CONT);
    assert_eq!(cluster.nodes[gone].ended().code(), Some(78));
    let said = std::fs::read_to_string(cluster.nodes[gone].said()).expect("a file");
    assert!(!said.lines().any(|line| line == "ready"), "{said}");
}

#[test]
fn a_cluster_of_two_versions_agrees_while_it_is_upgraded_node_by_node() {
    let mut cluster = Cluster::init("mixed");
    let mut old = cluster.machine(ALL);
    old.more = vec![
        "cluster.protocol_max=1".to_owned(),
        "link.version=2".to_owned(),
    ];
    old.join(&cluster.token(ALL)).expect_success();
    old.start();
    cluster.nodes.push(old);
    cluster.join(ALL);
    let known = |cluster: &Cluster, window: &str| {
        for node in 0..3 {
            until(PATIENCE, "the policy is known", || {
                shows(cluster, node, window)
            });
        }
    };
    for node in 0..3 {
        until(PATIENCE, "three voters", || {
            cluster.nodes[node].voters() == [1, 2, 3]
        });
    }
    // Whichever version leads, every node is heard and hears.
    for (leader, window) in [("2", "21/1h"), ("1", "22/1h")] {
        cluster.nodes[0].control(&["transfer", leader]);
        set(&cluster, 2, window);
        known(&cluster, window);
    }
    let logged = cluster.nodes[1].logged();
    assert!(
        logged.contains("protocol version refused"),
        "it was no mixture"
    );

    // What is new to the version before is refused until nobody speaks it any more.
    let remove = ["nodes", "remove", "2"];
    let told = cluster.nodes[0].admin(&remove).expect_failure(69);
    for part in ["being upgraded: member 2 speaks format", "`--force`"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!logged.contains("is newer than this build's"), "{logged}");

    cluster.nodes[1].kill();
    cluster.nodes[1].more.clear();
    cluster.nodes[1].start();
    until(PATIENCE, "the upgrade is over", || {
        cluster.nodes[0]
            .admin(&remove)
            .errors()
            .contains("node 2 is alive")
    });
    set(&cluster, 1, "23/1h");
    known(&cluster, "23/1h");
}

#[test]
fn a_node_with_another_number_of_shards_ends_and_the_others_say_how_many_have_an_owner() {
    let mut cluster = Cluster::init_with("count", &["router.shards=8"]);
    cluster.join_with("connection", &["router.shards=8"]);
    let mut other = cluster.machine("connection");
    other.more = vec!["router.shards=16".to_owned()];
    other.join(&cluster.token("connection")).expect_success();
    assert_eq!(other.refused().code(), Some(78));
    let told = other.logged();
    assert_eq!(told.matches("router.shards is 16").count(), 1, "{told}");
    assert!(told.contains("the cluster has 8 shards"), "{told}");
    let owned = cluster.nodes[1]
        .admin(&["server", "status"])
        .expect_success();
    assert!(owned.contains("8 of 8 have an owner"), "{owned}");
}

#[test]
fn a_node_is_emptied_until_it_starts_again_unless_its_operator_wants_it_empty() {
    let mut cluster = Cluster::init("rest");
    cluster.join("connection");
    let takes_clients = |cluster: &Cluster| {
        let port = cluster.nodes[1].port(5222);
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    };
    let drains = |cluster: &Cluster| {
        let listed = cluster.nodes[0].admin(&["nodes", "list", "--json"]);
        let listed: Value = serde_json::from_str(&listed.expect_success()).expect("JSON");
        listed["nodes"][1]["draining"] == true
    };
    let empty = |cluster: &mut Cluster| {
        let drain = ["server", "drain", "--within", "30"];
        let told = cluster.nodes[1].admin(&drain).expect_success();
        assert!(told.contains("empty, until it starts again"), "{told}");
        until(PATIENCE, "the ports are closed", || !takes_clients(cluster));
        assert!(drains(cluster));
        cluster.nodes[1].kill();
        cluster.nodes[1].start();
    };
    until(PATIENCE, "it is enlisted", || {
        cluster.nodes[1].logged().contains("enlisted")
    });
    empty(&mut cluster);
    until(PATIENCE, "it is in use again", || {
        !drains(&cluster) && takes_clients(&cluster)
    });

    cluster.nodes[0]
        .admin(&["nodes", "drain", "2"])
        .expect_success();
    until(PATIENCE, "the ports are closed", || {
        !takes_clients(&cluster)
    });
    let ready = cluster.nodes[1].http("/readyz");
    assert!(ready.contains(" 503 "), "{ready}");
    assert!(cluster.nodes[1].http("/healthz").contains(" 200 "));
    let status = cluster.nodes[1].admin(&["server", "status"]);
    let status = status.expect_success();
    assert!(status.contains(", draining, up "), "{status}");
    assert!(!status.contains("starttls"), "{status}");
    empty(&mut cluster);
    until(PATIENCE, "it is enlisted again", || {
        cluster.nodes[1].logged().matches("enlisted").count() == 3
    });
    until(PATIENCE, "it is still to be empty", || {
        !takes_clients(&cluster)
    });
    assert!(drains(&cluster));
}

#[test]
fn a_node_renews_its_certificate_while_it_runs_and_a_removed_one_does_not() {
    let mut cluster = Cluster::init("nest");
    cluster.join("connection");
    let read = |cluster: &Cluster, node: usize| {
        let file = cluster.nodes[node].dir().join("cluster/node.pem");
        std::fs::read_to_string(file).expect("a certificate")
    };
    for node in 0..2 {
        let before = read(&cluster, node);
        let told = cluster.nodes[node].renew(&["--unless", "90"]);
        assert!(told.expect_success().contains("is good until"));
        assert_eq!(read(&cluster, node), before);
        let told = cluster.nodes[node].renew(&[]).expect_success();
        assert!(told.contains("has a certificate until"), "{told}");
        assert_ne!(read(&cluster, node), before);
        cluster.nodes[node]
            .admin(&["server", "reload"])
            .expect_success();
    }
    set(&cluster, 1, "5/1h");
    assert!(shows(&cluster, 0, "5/1h"));
    // It starts with the new one, too.
    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    set(&cluster, 1, "6/1h");

    cluster.nodes[0]
        .admin(&["nodes", "remove", "2", "--force"])
        .expect_success();
    let before = read(&cluster, 1);
    let told = cluster.nodes[1].renew(&[]).expect_failure(1);
    assert!(told.contains("was removed"), "{told}");
    assert_eq!(read(&cluster, 1), before);
}

#[test]
fn a_node_is_ready_when_it_knows_who_serves_the_shards() {
    let mut cluster = Cluster::init_with("ready", &["server.roles=[\"control\"]"]);
    cluster.join("connection");
    let shown = |cluster: &Cluster, node: usize| {
        let shown = cluster.nodes[node].admin(&["server", "status", "--json"]);
        serde_json::from_str::<Value>(&shown.expect_success()).expect("JSON")
    };
    let part = |cluster: &Cluster, node: usize| {
        let status = shown(cluster, node);
        let mut parts = status["components"].as_array().expect("a list").iter();
        parts.find(|part| part["name"] == "shards").cloned()
    };
    assert_eq!(part(&cluster, 0), None, "a member needs no shards");
    assert_eq!(shown(&cluster, 0)["ready"], true);
    assert!(shown(&cluster, 0)["hosts"][0]["accounts"].is_null());
    let told = cluster.nodes[0].admin(&["users", "list"]).expect_failure(1);
    assert!(told.contains("keeps no accounts"), "{told}");
    let waits = part(&cluster, 1).expect("a part");
    assert_eq!(waits["healthy"], false, "{waits}");
    assert_eq!(shown(&cluster, 1)["ready"], false);
    cluster.nodes[1].signal(Signal::TERM);
    let told = Instant::now();
    assert!(cluster.nodes[1].ended().success());
    assert!(told.elapsed() < SOON, "it waits for the first map");
    cluster.nodes[1].start();

    cluster.nodes[0].kill();
    cluster.nodes[0].more.clear();
    cluster.nodes[0].start();
    for node in 0..2 {
        until(PATIENCE, "ready", || shown(&cluster, node)["ready"] == true);
        assert_eq!(
            part(&cluster, node).expect("a part")["healthy"],
            true,
            "node {node}"
        );
    }
}

#[test]
fn nodes_are_listed_as_they_live_and_shards_move_to_living_routers_only() {
    let mut cluster = Cluster::init_with("lives", &["cluster.lease_ms=2000"]);
    cluster.join("connection");
    let listed = |cluster: &Cluster| cluster.nodes[0].admin(&["nodes", "list"]).expect_success();
    until(PATIENCE, "both live", || {
        listed(&cluster).matches("alive").count() == 2
    });
    cluster.nodes[1].create_account("juliet@localhost", "something long");
    let shown = cluster.nodes[1].admin(&["users", "show", "juliet@localhost"]);
    let shown = shown.expect_success();
    assert!(shown.contains("juliet@localhost"), "{shown}");
    let told = cluster.nodes[1].admin(&["users", "show", "romeo@localhost"]);
    let told = told.expect_failure(1);
    assert!(
        told.contains("there is no account romeo@localhost"),
        "{told}"
    );
    let refused = |cluster: &Cluster, to: &str| {
        cluster.nodes[0]
            .admin(&["shards", "move", "0", to])
            .expect_failure(1)
    };
    let told = refused(&cluster, "2");
    assert!(
        told.contains("node 2 is no router: its roles are connection"),
        "{told}"
    );
    assert!(refused(&cluster, "9").contains("there is no node 9"));

    cluster.nodes[1].kill();
    until(PATIENCE, "its lease has ended", || {
        listed(&cluster).contains("lease ended")
    });
    cluster.nodes[0]
        .admin(&["nodes", "remove", "2"])
        .expect_success();
    let told = refused(&cluster, "2");
    assert!(told.contains("node 2 was removed"), "{told}");
    for words in [["nodes", "drain", "2"], ["nodes", "remove", "2"]] {
        let told = cluster.nodes[0].admin(&words).expect_failure(1);
        assert!(told.contains("node 2 was removed"), "{told}");
    }
    assert_eq!(cluster.nodes[1].refused().code(), Some(78));
    let told = cluster.nodes[1].check().output();
    assert!(told.contains("the cluster refuses this node"), "{told}");
    let told = cluster.nodes[0].admin(&["shards", "list", "--node", "99"]);
    assert!(told.expect_failure(1).contains("no node has the id 99"));
}

#[test]
fn what_names_nothing_that_there_is_or_cannot_be_done_here_is_refused_with_what_helps() {
    let mut cluster = Cluster::init("names");
    cluster.join("connection");
    cluster.nodes[1].create_account("juliet@localhost", "something long");
    let admin = |node: usize, words: &[&str]| cluster.nodes[node].admin(words);
    admin(1, &["shards", "owner", "juliet@localhost"]).expect_success();
    let told = admin(1, &["shards", "owner", "juliet@elsewhere.example"]).expect_failure(1);
    assert!(
        told.contains("`elsewhere.example` is not served here; the hosts are: localhost"),
        "{told}"
    );
    let reset = |budget: &str| admin(1, &["quota", "reset", budget]);
    reset("account:juliet@localhost").expect_success();
    let told = reset("account:romeo@localhost").expect_failure(1);
    assert!(
        told.contains("there is no account romeo@localhost"),
        "{told}"
    );
    let told = reset("account:juliet@elsewhere.example").expect_failure(1);
    assert!(told.contains("is not served here"), "{told}");
    // The port between nodes is of no use to an operator.
    let port = cluster.nodes[0].address.rsplit(':').next().expect("a port");
    let words: [&[&str]; 2] = [&["nodes", "remove", "2"], &["users", "list"]];
    for words in words {
        let told = admin(1, words).expect_failure(1);
        assert!(told.contains("the admin socket of node 1 (on"), "{told}");
        assert!(!told.contains(port), "{told}");
    }
    let told = admin(1, &["control", "leader"]).expect_success();
    assert!(told.contains("node 1 on 127.0.0.1 leads"), "{told}");
}

#[test]
fn a_member_without_a_quorum_says_that_what_it_shows_is_old() {
    let mut cluster = three("stale");
    let reads: [&[&str]; 3] = [
        &["nodes", "list"],
        &["control", "members"],
        &["bans", "list"],
    ];
    for words in reads {
        let run = cluster.nodes[0].admin(words);
        assert!(
            run.succeeded() && run.errors().is_empty(),
            "{}",
            run.errors()
        );
    }
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    for words in reads {
        let run = cluster.nodes[0].admin(words);
        run.expect_success();
        assert!(
            run.errors()
                .starts_with("STALE: control group has no quorum"),
            "{}",
            run.errors()
        );
    }
    let shown = cluster.nodes[0].admin(&["nodes", "list", "--json"]);
    let shown: Value = serde_json::from_str(&shown.expect_success()).expect("JSON");
    assert_eq!(shown["stale"], true, "{shown}");
}

#[test]
fn a_member_whose_log_is_gone_does_not_start() {
    let mut cluster = Cluster::init("gone");
    let node = &mut cluster.nodes[0];
    node.kill();
    std::fs::remove_dir_all(node.dir().join("control")).unwrap();
    assert_eq!(node.refused().code(), Some(78));
    assert!(node.logged().contains("its log in") && node.logged().contains("is gone"));
}

#[test]
fn a_token_is_good_once_and_strangers_are_refused() {
    let mut cluster = Cluster::init("nest");
    let token = cluster.token("connection");
    let first = cluster.machine("connection");
    first.join(&token).expect_success();
    let told = cluster.machine(ALL).join(&token).expect_failure(1);
    assert!(told.contains("has been used"), "{told}");
    let told = first.join(&token).expect_failure(78);
    assert!(told.contains("belongs to a node"), "{told}");
    until(PATIENCE, "the first node lives", || {
        let listed = cluster.nodes[0].admin(&["nodes", "list"]);
        listed.expect_success().contains("alive")
    });
    let mut twin = cluster.machine("connection");
    twin.address.clone_from(&cluster.nodes[0].address);
    let told = twin.join(&cluster.token("connection")).expect_failure(1);
    assert!(told.contains("node 1 lives at"), "{told}");

    // A node of another cluster does not get through TLS, nor does it believe who answers.
    let mut stranger = Cluster::init("elsewhere");
    stranger.nodes[0].kill();
    let mut intruder = cluster.machine(ALL);
    // Or it would first ask the member that it knows itself as.
    intruder.address.clone_from(&stranger.nodes[0].address);
    std::fs::create_dir_all(intruder.dir()).unwrap();
    for part in ["cluster", "control"] {
        let from = stranger.nodes[0].dir().join(part);
        std::fs::rename(from, intruder.dir().join(part)).unwrap();
    }
    intruder.start();
    until(PATIENCE, "the intruder is refused", || {
        cluster.nodes[0]
            .logged()
            .contains("cluster connection refused")
    });

    // What the certificate does not give, the node cannot be.
    let mut limited = first;
    limited.start();
    cluster.nodes.push(limited);
    set(&cluster, 1, "7/1h");
    assert!(shows(&cluster, 0, "7/1h") && shows(&cluster, 1, "7/1h"));
    assert_eq!(
        cluster.nodes[1].voters(),
        [1],
        "a node without the role is no member"
    );
}
