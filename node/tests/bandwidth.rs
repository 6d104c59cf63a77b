//! How fast a real process reads one stream: in bytes, in stanzas, and under limits that change while it is open.

mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio::time::Instant;

use program::client::{Client, HEADER};
use program::server::Server;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(40);

/// Opens a stream in clear, sends so many spaces and closes it: the server's own end comes when it has read all of
/// them.
fn flood(port: u16, spaces: usize) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a listener");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(HEADER.as_bytes()).expect("sent");
    stream.write_all(&vec![b' '; spaces]).expect("sent");
    stream.write_all(b"</stream:stream>").expect("sent");
    stream
}

fn ended(mut stream: TcpStream) {
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("an end");
    assert!(
        told.ends_with("</stream:stream>") && !told.contains("error"),
        "{told}"
    );
}

#[test]
fn a_stream_is_read_at_its_rate_within_3_percent_and_all_of_it_is_read() {
    let server = Server::start(&[
        "--set",
        "bandwidth.client_rate=20kb/s",
        "--set",
        "bandwidth.client_burst=1s",
    ]);
    let begun = Instant::now();
    ended(flood(server.port(5222), 140_000));
    let took = begun.elapsed().as_secs_f64();
    let all = (HEADER.len() + 140_000 + "</stream:stream>".len()) as f64;
    // The last read may overdraw the bucket by what a quarter of a second gives.
    let exact = (all - 20_000.0) / 20_000.0;
    let off = took - exact;
    assert!(
        (-0.25 - 0.03 * exact..0.03 * exact + 0.25).contains(&off),
        "{took} s, {exact} s"
    );
    let metrics = server.http("/metrics");
    assert!(
        metrics.contains("rookery_client_rests_total{by=\"bytes\"}"),
        "{metrics}"
    );
}

#[test]
fn an_open_stream_follows_limits_that_are_changed_by_a_reload() {
    let nest = tempfile::tempdir().expect("a temporary folder");
    let file = nest.path().join("rookery.toml");
    let write = |rate: &str| {
        let text = format!("[log]\nfilter = \"error\"\n[bandwidth]\nclient_rate = {rate}\n");
        std::fs::write(&file, text).expect("a file");
    };
    write("\"100b/s\"");
    let server = Server::serve(&file);
    let shown = || server.admin(&["quota", "show"]).expect_success();
    assert!(shown().contains("client     100b/s, burst 2s; 100 stanzas/s, burst 400"));
    let stream = flood(server.port(5222), 30_000);
    write("\"off\"");
    let told = server.admin(&["server", "reload"]).expect_success();
    assert!(told.contains("bandwidth.client_rate"), "{told}");
    // It would have taken five minutes.
    ended(stream);
    assert!(shown().contains("client     no limit in bytes; 100 stanzas/s"));
    write("\"3kbit\"");
    let told = server.admin(&["server", "reload"]).expect_failure(1);
    assert!(
        told.contains("rookery.toml:4") && told.contains("3kb/s"),
        "{told}"
    );
}

fn ping(id: usize) -> String {
    format!("<iq type='get' id='p{id}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
}

/// Sends so many pings at once and then one more, and says how long all answers took.
fn pings(server: &Server, name: &str, count: usize) -> Duration {
    let jid = format!("{name}@localhost");
    server
        .admin(&["users", "create", &jid, "--password", "something long"])
        .expect_success();
    let mut client = Client::connect(server.dir(), server.port(5223)).expect("let in");
    client.log_in(name, "something long");
    let begun = Instant::now();
    client.send(&(0..count).map(ping).collect::<String>());
    for _ in 0..count {
        client.heard("type=\"result\"/>");
    }
    client.send(&ping(count));
    client.heard("type=\"result\"/>");
    begun.elapsed()
}

#[test]
fn many_small_stanzas_are_all_answered_but_no_faster_than_they_may_come() {
    let server = Server::start(&[
        "--set",
        "bandwidth.client_rate=off",
        "--set",
        "bandwidth.client_stanzas_per_second=20",
        "--set",
        "bandwidth.client_stanzas_burst=10",
        "--set",
        "bandwidth.exempt=[\"bot@localhost\"]",
    ]);
    // All but the last fit into one read, or two; the last waits until the bucket is level.
    let took = pings(&server, "juliet", 100).as_secs_f64();
    assert!((4.0..10.0).contains(&took), "{took}");
    let metrics = server.http("/metrics");
    assert!(
        metrics.contains("rookery_client_rests_total{by=\"stanzas\"}"),
        "{metrics}"
    );
    assert!(pings(&server, "bot", 100) < Duration::from_secs(4));
    let shown = server.admin(&["quota", "show", "--json"]).expect_success();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["exempt"][0], "bot@localhost");
    assert_eq!(shown["streams"][0]["stanzas_per_second"], 20);
}
