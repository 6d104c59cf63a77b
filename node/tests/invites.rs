//! Invitations on real processes: made on one node they are good on all, as often as they say and not once more.

mod program;

use std::net::TcpListener;
use std::sync::Barrier;
use std::time::Duration;

use program::client::{Client, https};
use program::cluster::{Cluster, Node, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// A request before login, and its answer.
fn ask(client: &mut Client, id: &str, payload: &str) -> String {
    client.send(&format!("<iq type='set' id='{id}'>{payload}</iq>"));
    let begun = client.heard(">");
    match begun.ends_with("/>") {
        true => begun,
        false => begun + &client.heard("</iq>"),
    }
}

fn show(client: &mut Client, token: &str) -> String {
    let payload = format!("<preauth xmlns='urn:xmpp:pars:0' token='{token}'/>");
    ask(client, "p", &payload)
}

fn register(client: &mut Client, name: &str) -> String {
    let payload = format!(
        "<query xmlns='jabber:iq:register'><username>{name}</username><password>something long</password></query>"
    );
    ask(client, "r", &payload)
}

/// A token that this node makes.
fn token(node: &Node, more: &[&str]) -> String {
    let made = node.shown(&[&["invites", "create"], more].concat());
    let token = made["invites"][0]["token"].as_str();
    token.expect("a token").to_owned()
}

fn good(answer: &str) -> bool {
    answer.contains("type='result'") || answer.contains("type=\"result\"")
}

#[test]
fn twenty_guests_race_over_three_nodes_for_five_accounts_and_five_get_one() {
    let mut cluster = Cluster::init_with("nest", &["registration.mode=invite"]);
    cluster.join("control,connection");
    cluster.join("connection");
    let nodes = &cluster.nodes;
    nodes[0].create_account("first@localhost", "something long");
    let token = token(&nodes[1], &["--uses", "5"]);
    let together = Barrier::new(20);
    let answers: Vec<String> = std::thread::scope(|scope| {
        let guests: Vec<_> = (0..20)
            .map(|guest| {
                let (node, token, together) = (&nodes[guest % 3], &token, &together);
                scope.spawn(move || {
                    let mut client = node.client();
                    let shown = show(&mut client, token);
                    together.wait();
                    assert!(good(&shown), "{shown}");
                    register(&mut client, &format!("guest{guest}"))
                })
            })
            .collect();
        guests
            .into_iter()
            .map(|it| it.join().expect("an answer"))
            .collect()
    });
    let made = answers.iter().filter(|answer| good(answer)).count();
    assert_eq!(made, 5, "{answers:#?}");
    let late = answers
        .iter()
        .filter(|answer| answer.contains("item-not-found"));
    assert_eq!(late.count(), 15, "{answers:#?}");
    for node in nodes {
        let all = node.shown(&["invites", "list"]);
        let it = &all["invites"][0];
        assert_eq!((&it["used"], &it["taken"]), (&5.into(), &0.into()), "{all}");
        assert!(!all.to_string().contains(&token), "{all}");
    }
    let shown = show(&mut nodes[2].client(), &token);
    assert!(shown.contains("item-not-found"), "{shown}");
}

#[test]
fn only_the_invited_register_and_a_name_is_kept_for_its_guest() {
    let cluster = Cluster::init_with("nest", &["registration.mode=closed"]);
    let node = &cluster.nodes[0];
    node.create_account("taken@localhost", "something long");
    node.admin(&["registration", "set", "--mode", "invite"])
        .expect_success();
    until(PATIENCE, "it is for the invited", || {
        register(&mut node.client(), "stranger").contains("needs an invitation")
    });
    let mut guesser = node.client();
    for guess in ["", "aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert!(show(&mut guesser, guess).contains("item-not-found"));
    }
    assert!(register(&mut guesser, "stranger").contains("needs an invitation"));
    let metrics = program::server::http(node.port(5280), "/metrics");
    let failed = "rookery_client_logins_total{mechanism=\"PREAUTH\",outcome=\"failed\"} 2";
    assert!(metrics.contains(failed), "{metrics}");

    let named = token(node, &["--name", "Juliet"]);
    let mut guest = node.client();
    assert!(good(&show(&mut guest, &named)));
    assert!(register(&mut guest, "romeo").contains("another username"));
    let open = token(node, &["--uses", "2"]);
    let mut other = node.client();
    assert!(good(&show(&mut other, &open)));
    assert!(register(&mut other, "juliet").contains("reserved"));
    assert!(
        register(&mut other, "taken").contains("conflict"),
        "it costs no use"
    );
    assert!(good(&register(&mut guest, "juliet")));
    assert!(good(&register(&mut other, "romeo")));
    let shown = |jid| node.shown(&["users", "show", jid])["invited_by"].clone();
    assert_eq!(shown("romeo@localhost"), "operator");
    assert!(shown("taken@localhost").is_null());
    for (words, why) in [
        (&["--name", "juliet"][..], "there is an account"),
        (&["--name", "admin"], "reserved by the rule"),
        (&["--name", "a", "--uses", "2"], "for one account"),
        (&["--uses", "10001"], "10000 at most"),
        (&["--expires", "400d"], "a year at most"),
        (&["--host", "b.example"], "not served here"),
    ] {
        let told = node
            .admin(&[&["invites", "create"], words].concat())
            .expect_failure(1);
        assert!(told.contains(why), "{told}");
    }
    node.admin(&["invites", "revoke", &open]).expect_success();
    node.admin(&["invites", "revoke", &open]).expect_failure(1);
    assert!(register(&mut other, "benvolio").contains("item-not-found"));
    node.admin(&["registration", "set", "--mode", "closed"])
        .expect_success();
    let log = node.logged();
    assert!(log.contains("account made by an invitation"), "{log}");
    assert!(!log.contains(&open) && !log.contains(&named), "{log}");
}

/// A node with public pages, and their port.
fn with_pages() -> (Cluster, u16) {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let listen = format!("web.listen=[\"127.0.0.1:{port}\"]");
    let more = [
        "registration.mode=invite",
        &listen,
        "web.base_url=https://localhost/",
        "invites.by_users=contacts",
        "web.proxy_trusted=[\"127.0.0.1/32\"]",
        "web.requests_per_address=20/1m",
        "contact.security=[\"mailto:security@example.org\"]",
    ];
    (Cluster::init_with("nest", &more), port)
}

/// What a page answers to somebody behind the proxy.
fn get(node: &Node, port: u16, path: &str, from: &str) -> String {
    let forwarded = format!("x-forwarded-for: {from}\r\n");
    https(node.dir(), port, path, &forwarded)
}

#[test]
fn a_page_tells_what_an_invitation_is_worth_and_takes_nothing() {
    let (cluster, port) = with_pages();
    let node = &cluster.nodes[0];
    node.create_account("first@localhost", "something long");
    let made = node.shown(&["invites", "create"]);
    let token = made["invites"][0]["token"].as_str().expect("a token");
    let url = made["invites"][0]["url"].as_str().expect("a page");
    let path = url.strip_prefix("https://localhost").expect("the base");
    for _ in 0..3 {
        let page = get(node, port, path, "192.0.2.1");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        let address = format!("xmpp:localhost?register;preauth={token}");
        assert!(page.contains(&address), "{page}");
        for header in [
            "content-security-policy: default-src 'none'",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
        ] {
            assert!(page.contains(header), "{header}: {page}");
        }
    }
    let mut guest = node.client();
    assert!(good(&show(&mut guest, token)), "looking takes nothing");
    assert!(good(&register(&mut guest, "juliet")));
    let over = get(node, port, path, "192.0.2.1");
    assert!(over.starts_with("HTTP/1.1 410"), "{over}");
    assert!(!over.contains(token), "{over}");
    let log = node.logged();
    assert!(!log.contains(token), "{log}");
}

#[test]
fn a_page_says_what_registration_says_once_the_inviter_is_gone() {
    let (cluster, port) = with_pages();
    let node = &cluster.nodes[0];
    node.create_account("romeo@localhost", "something long");
    let mut romeo = node.client();
    romeo.log_in("romeo", "something long");
    let command =
        "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite'/>";
    romeo.send(&format!(
        "<iq type='set' id='i' to='localhost'>{command}</iq>"
    ));
    let made = romeo.heard("</iq>");
    let (_, token) = made.split_once("preauth=").expect("an invitation");
    let path = format!("/invite/{}", &token[..26]);
    let page = |status: &str| {
        let page = get(node, port, &path, "192.0.2.3");
        assert!(page.starts_with(&format!("HTTP/1.1 {status}")), "{page}");
        let shown = show(&mut node.client(), &token[..26]);
        assert_eq!(good(&shown), status == "200", "{shown}");
    };
    page("200");
    node.admin(&["users", "disable", "romeo@localhost"])
        .expect_success();
    page("404");
    node.admin(&["users", "enable", "romeo@localhost"])
        .expect_success();
    page("200");
    node.admin(&["registration", "set", "--mode", "closed"])
        .expect_success();
    page("403");
    node.admin(&["registration", "set", "--mode", "invite"])
        .expect_success();
    node.admin(&["users", "delete", "romeo@localhost"])
        .expect_success();
    page("404");
    node.admin(&["users", "restore", "romeo@localhost"])
        .expect_success();
    page("200");
}

#[test]
fn pages_are_few_and_one_address_sees_so_many_at_once() {
    let (cluster, port) = with_pages();
    let node = &cluster.nodes[0];
    for nothing in [
        "/invite/abc",
        "/invite/aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "/",
        "/.well-known/host-meta",
    ] {
        let page = get(node, port, nothing, "192.0.2.2");
        assert!(page.starts_with("HTTP/1.1 404"), "{nothing}: {page}");
        assert!(page.contains("referrer-policy"), "{page}");
    }
    let security = get(node, port, "/.well-known/security.txt", "192.0.2.2");
    for line in [
        "Contact: mailto:security@example.org\n",
        "Expires: ",
        "Canonical: https://localhost/.well-known",
    ] {
        assert!(security.contains(line), "{security}");
    }
    let answers = (0..30).map(|_| get(node, port, "/style.css", "198.51.100.1"));
    let refused = answers.filter(|page| page.starts_with("HTTP/1.1 429"));
    assert!((1..=10).contains(&refused.count()));
    let other = get(node, port, "/style.css", "198.51.100.2");
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    let metrics = program::server::http(node.port(5280), "/metrics");
    assert!(
        metrics.contains("rookery_web_requests_total{status=\"429\"}"),
        "{metrics}"
    );
}
