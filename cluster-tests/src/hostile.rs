//! What a stranger may send: every case ends in the error that the RFC names and a closed stream, and the server stays.
//!
//! The ids (x01 …) are those of the known holes of XMPP servers that `ARCHITECTURE.md` lists.

mod public;

use anyhow::{Result, ensure};

use crate::server::Server;
use crate::suite::{Case, Suite, Test, named};
use crate::wire::{HEADER, Wire};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "x01 dtd, entities, comments and instructions are restricted xml",
    "x02 connections that come and go leave no memory behind",
    "x03 floods of attributes, depth and text end in a stream error",
    "x04 what follows starttls in the clear is never used",
    "x04 bytes that are not utf-8 end the stream",
    "x07 nobody authenticates before tls",
    "x09 a stream does not change its host",
    "x10 an authorization id of somebody else is refused",
    "x12 a wrong password and a missing account look alike",
    "x16 a forged sender ends the stream",
    "x18 a roster push to somebody else is not served",
    "x30 a large roster that is asked for many times at once fills no memory",
    "a registration at somebody else's host is not done",
    "stanzas before binding end the stream",
    "an unknown host and a wrong namespace are named",
    "a client that reads nothing is bounded and closed",
    "a client that never logs in is closed",
    "bytes before tls that are no tls end the connection",
    "captchas of a network are counted over its connections",
    "registrations in vain are slowed",
    "strangers of a network leave places to others",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    let cases: [Case; 21] = [
        restricted_xml,
        connections_leave_no_memory,
        floods,
        starttls_injection,
        invalid_utf8,
        no_sasl_before_tls,
        changed_host,
        foreign_authzid,
        alike_failures,
        forged_sender,
        foreign_roster_push,
        greedy_client,
        registration_elsewhere,
        stanza_before_bind,
        wrong_header,
        deaf_client,
        idle_stranger,
        garbage_on_tls_port,
        public::captchas_of_a_network,
        public::registrations_in_vain,
        public::places_of_strangers,
    ];
    named(NAMES, &cases)
}

/// Sends this after the header, and expects this condition and the end.
fn refused(server: &Server, sent: &str, condition: &str) -> Result<()> {
    let mut wire = Wire::tls(server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.forget();
    wire.send(sent)?;
    let answer = wire.read_to_end()?;
    ensure!(
        answer.contains(condition),
        "{sent:.80}: no {condition} in {answer}"
    );
    Ok(())
}

fn still_serves(server: &Server) -> Result<()> {
    let mut wire = Wire::tls(server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    Ok(())
}

fn restricted_xml(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let bomb = "<!DOCTYPE a [<!ENTITY b 'bbbb'><!ENTITY c '&b;&b;'>]><a>&c;</a>";
    for sent in [bomb, "<!-- hello -->", "<?php echo 1 ?>", "<iq>&nbsp;</iq>"] {
        refused(&server, sent, "restricted-xml")?;
    }
    let mut wire = Wire::tls(&server)?;
    wire.send("<?xml version='1.0'?><!DOCTYPE stream:stream SYSTEM 'file:///etc/passwd'>")?;
    ensure!(
        wire.read_to_end()?.contains("restricted-xml"),
        "a DTD before the header"
    );
    still_serves(&server)
}

fn connections_leave_no_memory(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let come_and_go = |count: usize| -> Result<()> {
        for _ in 0..count {
            let mut wire = Wire::plain(&server)?;
            wire.send(HEADER)?;
            wire.send(&"x".repeat(512))?;
        }
        still_serves(&server)
    };
    come_and_go(2_000)?;
    let before = server.resident_bytes()?;
    come_and_go(6_000)?;
    let after = server.resident_bytes()?;
    let grown = after.saturating_sub(before);
    ensure!(
        grown < 4 << 20,
        "6,000 connections left {grown} bytes behind"
    );
    Ok(())
}

fn floods(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let attributes: String = (0..500).map(|n| format!(" a{n}='1'")).collect();
    refused(&server, &format!("<iq{attributes}/>"), "policy-violation")?;
    refused(&server, &"<a>".repeat(500), "policy-violation")?;
    refused(
        &server,
        &format!("<iq>{}</iq>", "x".repeat(9_000)),
        "policy-violation",
    )?;
    let (mut wire, _) = bound_as(&server, "flooder")?;
    wire.send("<message><body>")?;
    let text = "y".repeat(64 << 10);
    // The limit is 256 KiB; whether the last write still goes through does not matter.
    for _ in 0..5 {
        if wire.send(&text).is_err() {
            break;
        }
    }
    ensure!(
        wire.read_to_end()?.contains("policy-violation"),
        "a body of 320 KiB"
    );
    still_serves(&server)
}

fn starttls_injection(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let mut wire = Wire::plain(&server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.send(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><iq type='get' id='injected'>\
         <query xmlns='jabber:iq:register'/></iq>",
    )?;
    let answer = wire.read_to_end()?;
    ensure!(
        !answer.contains("injected"),
        "the injected request was answered: {answer}"
    );
    still_serves(&server)
}

fn invalid_utf8(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    for bytes in [
        &b"<a>\xC0\xAF</a>"[..],
        b"<a>\xED\xA0\x80</a>",
        b"<a>\xFF</a>",
        b"<a>\x00</a>",
    ] {
        let (mut wire, _) = bound_as(&server, &format!("bytes{}", bytes[3]))?;
        wire.send_bytes(bytes)?;
        let answer = wire.read_to_end()?;
        let named = ["not-well-formed", "bad-format", "unsupported-encoding"];
        ensure!(
            named.iter().any(|name| answer.contains(name)),
            "{bytes:?}: {answer}"
        );
    }
    still_serves(&server)
}

fn no_sasl_before_tls(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let mut wire = Wire::plain(&server)?;
    wire.send(HEADER)?;
    let features = wire.read_until("</stream:features>")?;
    ensure!(
        !features.contains("mechanism"),
        "SASL is offered in the clear: {features}"
    );
    wire.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>")?;
    let answer = wire.read_until("</failure>")?;
    ensure!(
        answer.contains("encryption-required") && !answer.contains("<success"),
        "{answer}"
    );
    Ok(())
}

fn changed_host(suite: &Suite) -> Result<()> {
    let set = "server.hosts=[\"localhost\",\"other.localhost\"]";
    let server = Server::start(suite, &["--unlimited", "--set", set])?;
    server.admin(&[
        "users",
        "create",
        "host@localhost",
        "--password",
        "changing-hosts",
    ])?;
    let mut wire = Wire::tls(&server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.send(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>\
         AGhvc3QAY2hhbmdpbmctaG9zdHM=</auth>",
    )?;
    wire.read_until("<success")?;
    wire.forget();
    wire.send(&HEADER.replace("to='localhost'", "to='other.localhost'"))?;
    let answer = wire.read_to_end()?;
    ensure!(answer.contains("<stream:error"), "{answer}");
    Ok(())
}

fn foreign_authzid(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    server.admin(&[
        "users",
        "create",
        "mallory@localhost",
        "--password",
        "changing-hosts",
    ])?;
    let mut wire = Wire::tls(&server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    // admin@localhost NUL mallory NUL changing-hosts
    wire.send(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>\
         YWRtaW5AbG9jYWxob3N0AG1hbGxvcnkAY2hhbmdpbmctaG9zdHM=</auth>",
    )?;
    let answer = wire.read_until("</failure>")?;
    ensure!(answer.contains("invalid-authzid"), "{answer}");
    Ok(())
}

fn alike_failures(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    server.admin(&[
        "users",
        "create",
        "here@localhost",
        "--password",
        "the right one",
    ])?;
    let mut answers = Vec::new();
    for initial in ["biwsbj1oZXJlLHI9YWJj", "biwsbj1nb25lLHI9YWJj"] {
        let mut wire = Wire::tls(&server)?;
        wire.send(HEADER)?;
        wire.read_until("</stream:features>")?;
        wire.forget();
        wire.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>{initial}</auth>"
        ))?;
        let challenge = wire.read_until("</challenge>")?;
        answers.push(challenge.len());
        wire.forget();
        wire.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>Yz1iaXdzLHI9YWJjLHA9YQ==</response>")?;
        let failure = wire.read_until("</failure>")?;
        answers.push(failure.len());
    }
    ensure!(
        answers[..2] == answers[2..],
        "the answers differ in length: {answers:?}"
    );
    Ok(())
}

fn forged_sender(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let (mut wire, _) = bound_as(&server, "forger")?;
    wire.send("<message from='admin@localhost' to='admin@localhost'><body>x</body></message>")?;
    ensure!(
        wire.read_to_end()?.contains("invalid-from"),
        "a forged from was taken"
    );
    Ok(())
}

fn foreign_roster_push(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let (mut wire, _) = bound_as(&server, "pusher")?;
    wire.send(
        "<iq type='set' id='p' to='admin@localhost'><query xmlns='jabber:iq:roster'>\
         <item jid='evil@localhost' subscription='both'/></query></iq>",
    )?;
    let answer = wire.read_until("</iq>")?;
    ensure!(
        answer.contains("type=\"error\"") || answer.contains("type='error'"),
        "{answer}"
    );
    Ok(())
}

/// Fills its roster and asks for it hundreds of times in one write.
fn greedy_client(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let (mut wire, _) = bound_as(&server, "greedy")?;
    let groups: String = (0..32)
        .map(|n| format!("<group>{n}{}</group>", "g".repeat(1_000)))
        .collect();
    for n in 0..40 {
        wire.forget();
        wire.send(&format!(
            "<iq type='set' id='fill'><query xmlns='jabber:iq:roster'>\
             <item jid='{n}@localhost'>{groups}</item></query></iq>"
        ))?;
        let answer = wire.read_until("id=\"fill\"")?;
        if answer.contains("error") {
            break;
        }
        ensure!(n < 39, "a roster of more than a megabyte was taken");
    }
    let before = server.resident_bytes()?;
    let ask = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
    wire.send(&ask.repeat(250))?;
    let mut largest = 0;
    for _ in 0..100 {
        still_serves(&server)?;
        largest = largest.max(server.resident_bytes()?);
    }
    let grown = largest.saturating_sub(before);
    ensure!(grown < 32 << 20, "250 requests cost {grown} bytes");
    Ok(())
}

fn registration_elsewhere(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let mut wire = Wire::tls(&server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.forget();
    wire.send(
        "<iq type='set' id='r' to='other.example'><query xmlns='jabber:iq:register'>\
         <username>elsewhere</username><password>correct horse</password></query></iq>",
    )?;
    let answer = wire.read_until("</iq>")?;
    ensure!(answer.contains("service-unavailable"), "{answer}");
    Ok(())
}

fn stanza_before_bind(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    refused(
        &server,
        "<message to='admin@localhost'><body>x</body></message>",
        "not-authorized",
    )
}

fn wrong_header(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    let cases = [
        (
            HEADER.replace("to='localhost'", "to='nowhere.example'"),
            "host-unknown",
        ),
        (
            HEADER.replace("jabber:client", "jabber:nonsense"),
            "invalid-namespace",
        ),
        (
            HEADER.replace("etherx.jabber.org", "etherx.example"),
            "invalid-namespace",
        ),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            "<stream:error",
        ),
    ];
    for (header, condition) in cases {
        let mut wire = Wire::tls(&server)?;
        wire.send(&header)?;
        let answer = wire.read_to_end()?;
        ensure!(
            answer.contains(condition),
            "{header}: no {condition} in {answer}"
        );
    }
    Ok(())
}

/// The reader's own messages come back to it; it never reads one.
fn deaf_client(suite: &Suite) -> Result<()> {
    let server = Server::start(
        suite,
        &["--unlimited", "--set", "connection.write_stall_ms=2000"],
    )?;
    let (mut deaf, jid) = bound_as(&server, "deaf")?;
    deaf.send("<presence/>")?;
    let (mut loud, _) = bound_as(&server, "loud")?;
    let before = server.resident_bytes()?;
    let message = format!(
        "<message to='{jid}'><body>{}</body></message>",
        "z".repeat(8_000)
    );
    for _ in 0..4_000 {
        loud.send(&message)?;
    }
    loud.send("<iq type='get' id='after' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    loud.read_until("after")?;
    let grown = server.resident_bytes()?.saturating_sub(before);
    ensure!(
        grown < 64 << 20,
        "a deaf client held {grown} bytes of 32 MB"
    );
    Ok(())
}

fn idle_stranger(suite: &Suite) -> Result<()> {
    let server = Server::start(
        suite,
        &[
            "--unlimited",
            "--set",
            "session.login_timeout_ms=1000",
            "--set",
            "login_guard.delay_ms_max=500",
        ],
    )?;
    for connect in [Wire::plain, Wire::tls] {
        let mut wire = connect(&server)?;
        wire.send(HEADER)?;
        let answer = wire.read_to_end()?;
        ensure!(answer.contains("connection-timeout"), "{answer}");
    }
    still_serves(&server)
}

fn garbage_on_tls_port(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    for bytes in [
        &[0x16, 3, 1, 0xFF, 0xFF, 0, 0, 0][..],
        b"GET / HTTP/1.0\r\n\r\n",
        &[0; 4_096],
    ] {
        let mut wire = Wire::plain_to_tls_port(&server)?;
        wire.send_bytes(bytes)?;
        wire.close_writing()?;
        wire.read_to_end()?;
    }
    still_serves(&server)
}

/// A bound session of an account that is made for it.
fn bound_as(server: &Server, name: &str) -> Result<(Wire, String)> {
    let jid = format!("{name}@localhost");
    server.admin(&["users", "create", &jid, "--password", "correct horse"])?;
    Wire::bound(server, name, "correct horse")
}
