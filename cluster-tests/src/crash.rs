//! Crashes: what was answered is there afterwards, and a full disk refuses instead of losing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::server::Server;
use crate::suite::{Suite, Test, wait_for};
use crate::wire::Wire;

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "kill -9 loses no account, contact, document or waiting message that was answered for",
    "kill -9 loses nothing that was acknowledged to its sender and not by its recipient, be it archived or not",
    "a full disk refuses new durable work, and recovers by itself",
    "an orderly end tells clients system-shutdown",
    "a second server on the same data is refused",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    vec![
        (
            NAMES[0],
            Box::new(|suite| kill_and_look(suite, &["--unlimited"])),
        ),
        (NAMES[1], Box::new(kill_between)),
        (NAMES[2], Box::new(full_disk)),
        (NAMES[3], Box::new(orderly_end)),
        (NAMES[4], Box::new(second_server)),
    ]
}

const PASSWORD: &str = "correct horse";

/// Changes things, kills the server, looks for them; several times over.
pub(crate) fn kill_and_look(suite: &Suite, arguments: &[&str]) -> Result<()> {
    let mut server = Server::start(suite, arguments)?;
    create(&server, "absent")?;
    let mut waiting = 0;
    for round in 0..6 {
        let name = format!("owner{round}");
        create(&server, &name)?;
        let (mut wire, _) = Wire::bound(&server, &name, PASSWORD)?;
        change_things(&mut wire, round)?;
        waiting += 5;
        until_waiting(&server, waiting)?;
        server.kill()?;
        server.restart()?;
        for earlier in 0..=round {
            look(&server, earlier)?;
        }
        until_waiting(&server, waiting)?;
    }
    collect(&server, waiting)
}

/// Everything here is answered before the next line, but for the messages: those are counted by the operator.
pub(crate) fn change_things(wire: &mut Wire, round: u32) -> Result<()> {
    wire.send(&format!(
        "<iq type='set' id='r{round}'><query xmlns='jabber:iq:roster'>\
         <item jid='friend{round}@localhost' name='Friend {round}'/></query></iq>"
    ))?;
    wire.read_until(&format!("r{round}\""))?;
    wire.send(&format!(
        "<iq type='set' id='p{round}'><query xmlns='jabber:iq:private'>\
         <note xmlns='urn:test:note'>kept {round}</note></query></iq>"
    ))?;
    wire.read_until(&format!("p{round}\""))?;
    for number in 0..5 {
        wire.send(&format!(
            "<message to='absent@localhost' type='chat'><body>round {round} number {number}</body></message>"
        ))?;
    }
    Ok(())
}

/// Finds what [`change_things`] changed.
pub(crate) fn look(server: &Server, round: u32) -> Result<()> {
    let (mut wire, _) = Wire::bound(server, &format!("owner{round}"), PASSWORD)?;
    wire.send("<iq type='get' id='g1'><query xmlns='jabber:iq:roster'/></iq>")?;
    wire.read_until(&format!("friend{round}@localhost"))?;
    wire.send(
        "<iq type='get' id='g2'><query xmlns='jabber:iq:private'><note xmlns='urn:test:note'/></query></iq>",
    )?;
    wire.read_until(&format!("kept {round}"))?;
    Ok(())
}

fn collect(server: &Server, waiting: u64) -> Result<()> {
    let (mut wire, _) = Wire::bound(server, "absent", PASSWORD)?;
    wire.send("<presence/>")?;
    let text = wire.read_until("round 5 number 4")?;
    let mut at = 0;
    for round in 0..6 {
        for number in 0..5 {
            let body = format!("round {round} number {number}<");
            let found = text[at..]
                .find(&body)
                .with_context(|| format!("{body} is lost or late"))?;
            at += found;
        }
    }
    ensure!(
        text.matches("<body>").count() as u64 == waiting,
        "a message came twice"
    );
    Ok(())
}

/// Waits until so many messages wait for the absent one.
pub(crate) fn until_waiting(server: &Server, waiting: u64) -> Result<()> {
    wait_for("the messages are stored", Duration::from_secs(10), || {
        (waiting_messages(server).ok()? == waiting).then_some(())
    })
}

fn waiting_messages(server: &Server) -> Result<u64> {
    let shown = server.admin(&["users", "show", "absent@localhost", "--json"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    shown["offline_messages"]
        .as_u64()
        .context("offline_messages")
}

/// Creates an account.
pub(crate) fn create(server: &Server, name: &str) -> Result<()> {
    server.admin(&[
        "users",
        "create",
        &format!("{name}@localhost"),
        "--password",
        PASSWORD,
    ])?;
    Ok(())
}

/// A small file system in memory, so that a disk can be filled.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "rookery-test"])
            .arg(folder.path())
            .status()?;
        ensure!(
            mounted.success(),
            "a tmpfs cannot be mounted here; this test must run as root"
        );
        Ok(Self(folder))
    }

    fn fill(&self) -> Result<()> {
        let status = Command::new("dd")
            .args(["if=/dev/zero", "bs=4k", "status=none"])
            .arg(format!("of={}", self.filler().display()))
            .stderr(std::process::Stdio::null())
            .status()?;
        ensure!(!status.success(), "the disk did not get full");
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.path().join("filler")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, so that a process that still dies does not keep it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// The recipient is here and acknowledges some; the sender is told that all were received; then the process dies.
fn kill_between(suite: &Suite) -> Result<()> {
    for archives in ["never", "always"] {
        let option = format!("archive.default={archives}");
        let mut server = Server::start(suite, &["--unlimited", "--set", &option])?;
        create(&server, "romeo")?;
        create(&server, "juliet")?;
        let (mut juliet, _) = Wire::bound(&server, "juliet", PASSWORD)?;
        juliet.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
        juliet.read_until("<enabled")?;
        juliet.send("<presence/>")?;
        juliet.read_until("<presence")?;
        let (mut romeo, _) = Wire::bound(&server, "romeo", PASSWORD)?;
        romeo.send("<enable xmlns='urn:xmpp:sm:3'/>")?;
        romeo.read_until("<enabled")?;
        let message =
            |n| format!("<message to='juliet@localhost' type='chat'><body>n{n}.</body></message>");
        let all: String = (0..20).map(message).collect();
        romeo.send(&all)?;
        wait_for("all are acknowledged", Duration::from_secs(20), || {
            romeo.forget();
            let asked = romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
            let answer = asked.and_then(|()| romeo.read_until("<a "));
            match answer.map(|answer| answer.contains("h=\"20\"")) {
                Ok(true) => Some(Ok(())),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            }
        })??;
        juliet.read_until("n19.")?;
        // Her own presence, and five messages.
        juliet.send("<a xmlns='urn:xmpp:sm:3' h='6'/><r xmlns='urn:xmpp:sm:3'/>")?;
        juliet.read_until("<a ")?;
        server.kill()?;
        server.restart()?;
        let (mut next, _) = Wire::bound(&server, "juliet", PASSWORD)?;
        next.send("<presence/>")?;
        let received = next.read_until("n19.")?;
        for n in 6..20 {
            let times = received.matches(&format!("<body>n{n}.")).count();
            ensure!(
                times == 1,
                "{archives}: n{n} came {times} times: {received}"
            );
        }
    }
    Ok(())
}

fn full_disk(suite: &Suite) -> Result<()> {
    let disk = SmallDisk::mount()?;
    let server = Server::start_in(suite, &disk.path().join("data"), &["--unlimited"])?;
    create(&server, "writer")?;
    let (mut wire, _) = Wire::bound(&server, "writer", PASSWORD)?;
    disk.fill()?;
    let refused = set_until(&mut wire, 2_000, |answer| {
        answer.contains("resource-constraint")
    })?;
    ensure!(refused, "a full disk took 2,000 documents");
    wire.send("<iq type='get' id='alive' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    wire.read_until("alive")?;
    disk.free()?;
    let taken = set_until(&mut wire, 200, |answer| answer.contains("type=\"result\""))?;
    ensure!(taken, "the disk has room again, but nothing is taken");
    Ok(())
}

/// Writes documents until an answer fits, at most so many times.
fn set_until(wire: &mut Wire, tries: u32, fits: impl Fn(&str) -> bool) -> Result<bool> {
    for number in 0..tries {
        wire.forget();
        wire.send(&format!(
            "<iq type='set' id='w{number}'><query xmlns='jabber:iq:private'>\
             <note{} xmlns='urn:test:note'>{}</note{}></query></iq>",
            number % 50,
            "w".repeat(30_000),
            number % 50
        ))?;
        let answer = wire.read_until(&format!("w{number}\""))?;
        let answer = if answer.contains("type=\"error\"") {
            wire.read_until("</iq>")?
        } else {
            answer
        };
        if fits(&answer) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn orderly_end(suite: &Suite) -> Result<()> {
    let mut server = Server::start(suite, &["--unlimited"])?;
    create(&server, "guest")?;
    let (mut wire, _) = Wire::bound(&server, "guest", PASSWORD)?;
    let reader = std::thread::spawn(move || wire.read_to_end());
    server.stop()?;
    let Ok(last_words) = reader.join() else {
        bail!("the reading thread panicked")
    };
    let last_words = last_words?;
    ensure!(last_words.contains("system-shutdown"), "{last_words}");
    ensure!(last_words.contains("</stream:stream>"), "{last_words}");
    server.restart()?;
    Wire::bound(&server, "guest", PASSWORD)?;
    Ok(())
}

fn second_server(suite: &Suite) -> Result<()> {
    let server = Server::start(suite, &["--unlimited"])?;
    match Server::start_in(suite, server.folder(), &["--unlimited"]) {
        Ok(_) => bail!("two servers share one folder"),
        Err(error) => {
            let text = error.to_string();
            ensure!(text.contains("ended with"), "{text}");
            Ok(())
        }
    }
}
