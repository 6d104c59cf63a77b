//! Traffic budgets of real processes: one alone, and a cluster that shares them out.

mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use program::Run;
use program::cluster::{Cluster, Node, until};
use program::server::Server;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

const HEADER: &str = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams'>";

/// A client that has opened its stream and read what it is offered.
fn client(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
    stream.write_all(HEADER.as_bytes()).expect("sent");
    let mut features = [0; 4_096];
    let read = stream.read(&mut features).expect("an answer");
    assert!(read > 0, "the stream is open");
    stream
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.expect_success()).expect("JSON")
}

#[test]
fn a_network_that_used_up_its_budget_is_not_read_until_there_is_some_or_it_is_reset() {
    let server = Server::start(&[
        "--set",
        "quota.prefix_rate=400b/s",
        "--set",
        "quota.prefix_burst=2s",
    ]);
    let show = || json(&server.admin(&["quota", "show", "prefix:127.0.0.1", "--json"]));
    assert_eq!(show()["budgets"][0]["bytes_per_second"], 400);
    let mut stream = client(server.port(5222));
    let seen = show();
    let prefix = &seen["keys"][0];
    assert_eq!(prefix["key"], "prefix:127.0.0.0/24");
    assert!(prefix["read_bytes"].as_u64() >= Some(HEADER.len() as u64));
    assert_eq!(prefix["waits"], 0);
    stream.write_all(&[b' '; 7_000]).expect("sent");
    until(PATIENCE, "the reader waits", || {
        show()["keys"][0]["waits"].as_u64() > Some(0)
    });
    let level = |seen: &Value| seen["keys"][0]["level_bytes"].as_i64().expect("a level");
    assert!(level(&show()) < 0);
    server
        .admin(&["quota", "reset", "prefix:127.0.0.1"])
        .expect_success();
    assert!(level(&show()) > 0);
    let told = server
        .admin(&["quota", "reset", "juliet"])
        .expect_failure(1);
    assert!(told.contains("account:juliet@example.org"), "{told}");
    let metrics = server.http("/metrics");
    assert!(
        metrics.contains("rookery_quota_waits_total{kind=\"prefix\"}"),
        "{metrics}"
    );
}

fn floors(node: &Node) -> Vec<u64> {
    let shown = json(&node.admin(&["quota", "show", "--json"]));
    let floors = shown["floors"].as_array().expect("a list").iter();
    floors
        .map(|floor| floor["billionths"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn connection_nodes_share_out_floors_as_they_come_and_go() {
    let budget = ["quota.account_rate=30kb/s"];
    let mut cluster = Cluster::init_with("nest", &budget);
    cluster.join_with("connection", &budget);
    for node in 0..2 {
        until(PATIENCE, "two equal floors", || {
            floors(&cluster.nodes[node]) == [250_000_000; 2]
        });
    }
    cluster.nodes[1].kill();
    cluster.nodes[1].start();
    until(PATIENCE, "the node is back with its floor", || {
        floors(&cluster.nodes[0]) == [250_000_000; 2]
    });
    cluster.nodes[1].kill();
    cluster.nodes[0]
        .admin(&["nodes", "remove", "2", "--force"])
        .expect_success();
    until(PATIENCE, "one floor", || {
        floors(&cluster.nodes[0]) == [500_000_000]
    });
}
