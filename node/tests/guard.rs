//! Failed logins and floods of real processes: what one node sees holds on all.

mod program;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use program::client::{Client, HEADER, connect_from};
use program::cluster::{Cluster, Node, until};
use program::server::Server;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);

/// Where the account's owner is, in a prefix of her own.
const HOME: [u8; 4] = [127, 0, 0, 1];

/// What a node answers to one login from there; empty if it lets nobody in.
fn login(node: &Node, from: [u8; 4], password: &str) -> String {
    let client = Client::connect_from(node.dir(), node.port(5223), from);
    client.map_or_else(String::new, |mut client| {
        client.try_plain("juliet", password)
    })
}

/// The first count that a node shows of somebody.
fn count(node: &Node, target: &str) -> Value {
    let shown = node.admin(&["guard", "show", target, "--json"]);
    let shown: Value = serde_json::from_str(&shown.expect_success()).expect("JSON");
    shown["counts"][0].clone()
}

#[test]
fn an_account_that_is_guessed_at_on_all_nodes_is_open_to_its_owner_only() {
    let options = [
        "login_guard.enabled=false",
        "guard.address_failures_max=0",
        "guard.prefix_failures_max=0",
        "guard.account_failures_max=6",
    ];
    let mut cluster = Cluster::init_with("nest", &options);
    cluster.join_with("connection", &options);
    cluster.join_with("connection", &options);
    let [one, two, three] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    one.create_account("juliet@localhost", "something long");
    until(PATIENCE, "the owner logs in", || {
        login(one, HOME, "something long").contains("<success")
    });
    for (number, node) in [two, three, two, three, two, three].into_iter().enumerate() {
        let from = [127, 0, 10 + u8::try_from(number).expect("small"), 1];
        let answer = login(node, from, "guess");
        assert!(answer.contains("not-authorized"), "{answer}");
    }
    until(PATIENCE, "the account is blocked", || {
        count(two, "juliet@localhost")["blocked_until_ms"].is_u64()
    });
    for node in [one, two, three] {
        until(PATIENCE, "the node has heard of it", || {
            login(node, [127, 0, 20, 1], "guess").contains("temporary-auth-failure")
        });
        let answer = login(node, [127, 0, 20, 1], "something long");
        assert!(answer.contains("temporary-auth-failure"), "{answer}");
    }
    assert!(login(one, HOME, "something long").contains("<success"));
    until(PATIENCE, "the owner is let in where she never was", || {
        login(three, HOME, "something long").contains("<success")
    });
    let seen = count(one, "juliet@localhost");
    // Guesses that a node let through before it had heard count as well.
    assert!(
        seen["failures"].as_u64() >= Some(6) && seen["known"] == 1,
        "{seen}"
    );

    let told = three.admin(&["guard", "reset"]).expect_failure(64);
    assert!(told.contains("--all"), "{told}");
    three
        .admin(&["guard", "reset", "juliet@localhost"])
        .expect_success();
    for node in [one, two, three] {
        until(PATIENCE, "everybody may try again", || {
            login(node, [127, 0, 20, 1], "something long").contains("<success")
        });
    }
}

/// A change of password that names the old one.
fn change(old: &str) -> String {
    let field =
        |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
    let form = "jabber:iq:register:changepassword";
    format!(
        "<iq type='set' id='c' to='localhost'><query xmlns='jabber:iq:register'>\
         <x xmlns='jabber:x:data' type='submit'>{}{}{}{}</x></query></iq>",
        field("FORM_TYPE", form),
        field("username", "juliet"),
        field("old_password", old),
        field("password", "something new"),
    )
}

#[test]
fn each_wrong_old_password_is_a_failed_login_though_its_client_hangs_up_at_once() {
    let options = ["passwords.old_asked_after_s=0"];
    let mut cluster = Cluster::init_with("nest", &options);
    cluster.join_with("connection", &options);
    let [one, two] = &cluster.nodes[..] else {
        panic!("two nodes");
    };
    one.create_account("juliet@localhost", "something long");
    until(PATIENCE, "the owner logs in", || {
        login(two, HOME, "something long").contains("<success")
    });
    // The account is on the first node, its sessions are on both.
    for (node, from) in [(one, [127, 0, 40, 1]), (two, [127, 0, 50, 1])] {
        for _ in 0..2 {
            let client = Client::connect_from(node.dir(), node.port(5223), from);
            let mut client = client.expect("let in");
            client.log_in("juliet", "something long");
            client.send(&change("a guess"));
            drop(client);
        }
        let address = from.map(|part| part.to_string()).join(".");
        until(PATIENCE, "both are counted for the address", || {
            count(one, &address)["failures"] == 2
        });
    }
    assert_eq!(count(two, "juliet@localhost")["failures"], 4);
    let metrics = program::server::http(two.port(5280), "/metrics");
    let failed = "rookery_client_logins_total{mechanism=\"OLD-PASSWORD\",outcome=\"failed\"} 2";
    assert!(metrics.contains(failed), "{metrics}");
    let mut client = two.client();
    client.log_in("juliet", "something long");
    client.send(&change("something long"));
    assert!(
        client.heard("/>").contains("result"),
        "it was never changed"
    );
}

#[test]
fn an_address_that_fails_too_often_is_refused_as_it_connects() {
    let server = Server::start(&[
        "--set",
        "login_guard.enabled=false",
        "--set",
        "guard.address_failures_max=3",
        "--set",
        "guard.block_time=1h",
    ]);
    let stranger = [127, 0, 30, 1];
    let connect = |from| Client::connect_from(server.dir(), server.port(5223), from);
    let mut client = connect(stranger).expect("let in");
    for name in ["a", "b", "c"] {
        client.try_plain(name, "guess");
    }
    until(PATIENCE, "the address is refused", || {
        connect(stranger).is_none()
    });
    assert!(connect([127, 0, 30, 2]).is_some(), "its neighbour is not");
    let shown = server
        .admin(&["guard", "show", "127.0.30.1"])
        .expect_success();
    assert!(
        shown.contains("127.0.30.1  3") && shown.contains("for 5"),
        "{shown}"
    );
    let metrics = server.http("/metrics");
    for line in [
        "rookery_connections_refused_total{cause=\"guarded\"}",
        "rookery_guard_blocks{kind=\"network\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    let told = server
        .admin(&["guard", "reset", "example.org"])
        .expect_failure(1);
    assert!(told.contains("neither a network"), "{told}");
    server.admin(&["guard", "reset", "--all"]).expect_success();
    until(PATIENCE, "the address is let in", || {
        connect(stranger).is_some()
    });
}

/// Whether a connection is served, on a port for TLS with an alert: otherwise it is reset, and leaves nothing behind.
fn is_served(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = [0];
    let answered = stream
        .write_all(HEADER.as_bytes())
        .and_then(|()| stream.read(&mut answer));
    match answered {
        Ok(read) => read > 0,
        Err(error) => {
            let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            assert!(reset.contains(&error.kind()), "{error}");
            false
        }
    }
}

#[test]
fn who_knocks_too_often_is_refused_before_any_tls_and_neighbours_are_not() {
    let server = Server::start(&[
        "--set",
        "flood.connects_per_address=5/1d",
        "--set",
        "flood.connects_per_prefix=8/1d",
    ]);
    let port = server.port(5223);
    let knock = |from| connect_from(port, from).is_ok_and(is_served);
    let served = (0..20).filter(|_| knock([127, 0, 40, 1])).count();
    assert_eq!(served, 5);
    let served = (0..20).filter(|_| knock([127, 0, 40, 2])).count();
    assert_eq!(served, 3, "what the prefix has left");
    assert!(is_served(
        connect_from(server.port(5222), [127, 0, 41, 1]).expect("a port")
    ));
    let metrics = server.http("/metrics");
    for (cause, count) in [("connects_address", 15), ("connects_prefix", 17)] {
        let line = format!("rookery_connections_refused_total{{cause=\"{cause}\"}} {count}");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[test]
fn who_comes_from_elsewhere_finds_a_place_though_the_networks_of_one_provider_hold_them_all() {
    let server = Server::start(&["--set", "connection.handshakes_max=8"]);
    let connect = |from| connect_from(server.port(5222), from).expect("a listener");
    let refused = |cause: &str| {
        let line = format!("rookery_connections_refused_total{{cause=\"{cause}\"}}");
        server.http("/metrics").contains(&line)
    };
    let idle: Vec<_> = (0..30).map(|net| connect([127, 1, net, 1])).collect();
    until(PATIENCE, "no place is free", || refused("handshakes"));
    for other in 70..75 {
        assert!(is_served(connect([127, other, 0, 1])), "{other}");
    }
    assert!(refused("gave_way"), "of those that were there first");
    drop(idle);
}

#[test]
fn tries_to_log_in_are_counted_whether_they_are_right_or_wrong() {
    let server = Server::start(&["--set", "flood.logins_per_address=4/1d"]);
    let create = [
        "users",
        "create",
        "juliet@localhost",
        "--password",
        "something long",
    ];
    server.admin(&create).expect_success();
    let login = |password| {
        let client = Client::connect(server.dir(), server.port(5223));
        client.expect("let in").try_plain("juliet", password)
    };
    for _ in 0..2 {
        assert!(login("something long").contains("<success"));
        assert!(login("guess").contains("not-authorized"));
    }
    assert!(login("something long").contains("temporary-auth-failure"));
    let metrics = server.http("/metrics");
    assert!(metrics.contains("outcome=\"flooded\""), "{metrics}");
}

/// Whether a load balancer's connection is served, with this header in front of the stream.
fn is_passed_on(port: u16, header: &str) -> bool {
    let mut stream = connect_from(port, [127, 0, 0, 1]).expect("a listener");
    stream.write_all(header.as_bytes()).expect("sent");
    is_served(stream)
}

#[test]
fn behind_a_load_balancer_clients_are_counted_and_the_balancer_is_not() {
    let server = Server::start(&[
        "--set",
        "connection.proxy_trusted=[\"127.0.0.1/32\"]",
        "--set",
        "flood.connects_per_address=3/1d",
        "--set",
        "connection.connections_per_address_max=3",
    ]);
    let port = server.port(5222);
    let client = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 5222\r\n";
    let served = (0..8).filter(|_| is_passed_on(port, client)).count();
    assert_eq!(served, 3);
    let neighbour = "PROXY TCP4 192.0.2.8 198.51.100.1 56324 5222\r\n";
    assert!(is_passed_on(port, neighbour));
    assert!((0..8).all(|_| is_passed_on(port, "PROXY UNKNOWN\r\n")));
}
