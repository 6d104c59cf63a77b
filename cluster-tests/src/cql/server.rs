//! The whole server on the database.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::ring::Ring;
use crate::backup::{back_up, furnish, restore_and_log_in, rookery};
use crate::crash;
use crate::server::Server;
use crate::suite::{Suite, wait_for};
use crate::wire::{HEADER, Wire};

/// Kill -9 again and again; everything that was answered is there.
pub(super) fn kill_and_look(suite: &Suite, ring: &Ring) -> Result<()> {
    let options = options(ring, "killed_server");
    crash::kill_and_look(suite, &arguments(&options))
}

/// While the database hangs the server is not ready, and says why; then it is again, by itself.
pub(super) fn readiness(suite: &Suite, ring: &mut Ring) -> Result<()> {
    let options = options(ring, "readiness");
    let server = Server::start(suite, &arguments(&options))?;
    let answers = |status: &'static str, word: &'static str| {
        wait_for(status, DEADLINE, || {
            let answer = readyz(&server).ok()?;
            (answer.starts_with(status) && answer.contains(word)).then_some(())
        })
    };
    answers("HTTP/1.1 200", "store: ok")?;
    ring.hang(0)?;
    let noticed = answers("HTTP/1.1 503", "store: not ready");
    let refused = noticed.and_then(|()| no_new_accounts(&server));
    ring.wake(0)?;
    refused?;
    answers("HTTP/1.1 200", "store: ok")
}

/// A stranger is told to come again, and the operator's program that the server cannot do it now.
fn no_new_accounts(server: &Server) -> Result<()> {
    let mut wire = Wire::tls(server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.forget();
    wire.send(
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>late</username>\
         <password>correct horse</password></query></iq>",
    )?;
    let answer = wire.read_until("</iq>")?;
    let waits = answer.contains("resource-constraint") && answer.contains("type=\"wait\"");
    ensure!(waits, "{answer}");
    let refused = server.admin(&["users", "create", "late@localhost", "--password", "horse"]);
    let said = refused.err().context("an account was made")?.to_string();
    ensure!(said.contains("out of reach"), "{said}");
    Ok(())
}

/// `rookery check` asks the database.
pub(super) fn check(suite: &Suite, ring: &Ring) -> Result<()> {
    let live = options(ring, "checked");
    let found = findings(suite, &live)?;
    ensure!(found.contains("there is no keyspace checked"), "{found}");
    ensure!(!found.contains("cannot be used"), "{found}");
    drop(Server::start(suite, &arguments(&live))?);
    let found = findings(suite, &live)?;
    ensure!(!found.contains("keyspace"), "{found}");
    let mut dead = live;
    dead[1] = "scylla.nodes=[\"127.0.0.1:1\"]".to_owned();
    let found = findings(suite, &dead)?;
    ensure!(found.contains("the database cannot be used"), "{found}");
    Ok(())
}

/// A server on the embedded store becomes one on CQL, and one on the embedded store again.
pub(super) fn moved(suite: &Suite, ring: &Ring) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (first, second) = (home.path().join("first"), home.path().join("second"));
    let mut server = Server::start(suite, &["--unlimited"])?;
    furnish(&server)?;
    back_up(suite, &server, &first)?;
    server.stop()?;

    let options = options(ring, "moved");
    let store: Vec<&str> = options.iter().flat_map(|it| ["--set", it]).collect();
    let path = first.to_string_lossy();
    let with_store = |command| [&[command, &*path], &*store].concat();
    rookery(suite, &with_store("restore"))?;
    let told = rookery(suite, &with_store("verify"))?;
    ensure!(told.starts_with("equal: "), "{told}");
    let refused = rookery(suite, &with_store("restore"));
    ensure!(refused.is_err(), "restored into a store that is not empty");

    let server = Server::start(suite, &arguments(&options))?;
    back_up(suite, &server, &second)?;
    drop(server);
    let told = rookery(suite, &["verify", &path, &second.to_string_lossy()])?;
    ensure!(told.starts_with("equal: "), "{told}");
    restore_and_log_in(suite, &second, &home.path().join("third"))
}

fn options(ring: &Ring, keyspace: &str) -> Vec<String> {
    vec![
        "store.backend=scylla".to_owned(),
        format!("scylla.nodes={:?}", ring.addresses()),
        format!("scylla.keyspace={keyspace}"),
        format!("scylla.copies={}", ring.addresses().len()),
    ]
}

fn arguments(options: &[String]) -> Vec<&str> {
    let set = options.iter().flat_map(|option| ["--set", option]);
    ["--unlimited"].into_iter().chain(set).collect()
}

fn findings(suite: &Suite, options: &[String]) -> Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), "[server]\nhosts = [\"localhost\"]\n")?;
    let output = Command::new(&suite.rookery)
        .args(["check", "--no-dns", "--config"])
        .arg(file.path())
        .args(options.iter().flat_map(|option| ["--set", option]))
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

fn readyz(server: &Server) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.http_port()))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("an answer")?;
    Ok(answer)
}

const DEADLINE: Duration = Duration::from_secs(30);
