//! Resumption of streams (XEP-0198 5), byte for byte: what a client that comes back is given, and who is refused.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::server::Server;
use crate::suite::{Case, Suite, Test, named, wait_for};
use crate::wire::{Wire, between};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "a client that comes back is given what it has not got, once and in order",
    "what a client had sent before it was lost counts when it comes back",
    "who takes a stream over ends the stream before with a conflict",
    "a stream is resumed by its own account, by its name, and within what was sent",
    "a client that does not come back in time leaves what it had not got to the next",
    "a client that closes its stream has no stream to resume",
    "what does not fit while a client is away comes behind the rest when it is back",
    "a stream that was resumed is resumed again",
    "who takes the place of a client that is away is given what that had not got",
    "only so many sessions wait for their clients",
    "streams are resumed when the server has started again, of clients that were away and of those that were not",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    let cases: [Case; 11] = [
        comes_back,
        had_sent,
        taken_over,
        refused,
        too_late,
        closed,
        more_than_fits,
        again,
        replaced,
        too_many,
        stopped,
    ];
    named(NAMES, &cases)
}

const SM: &str = "urn:xmpp:sm:3";

const DEADLINE: Duration = Duration::from_secs(20);

/// Two accounts, a session of the first, and a stream of the second that can be resumed.
struct Stage {
    server: Server,
    romeo: Wire,
    juliet: Wire,
    id: String,
}

impl Stage {
    fn set(suite: &Suite, options: &[&str]) -> Result<Self> {
        let server = Server::start(suite, &[&["--unlimited"], options].concat())?;
        for jid in ["romeo@localhost", "juliet@localhost"] {
            server.admin(&["users", "create", jid, "--password", "secret"])?;
        }
        let (romeo, _) = Wire::bound(&server, "romeo", "secret")?;
        let (mut juliet, _) = Wire::bound(&server, "juliet", "secret")?;
        let id = enable(&mut juliet)?;
        juliet.send("<presence/>")?;
        juliet.read_until("<presence")?;
        Ok(Self {
            server,
            romeo,
            juliet,
            id,
        })
    }

    fn say(&mut self, texts: std::ops::Range<u32>) -> Result<()> {
        let message =
            |n| format!("<message to='juliet@localhost' type='chat'><body>n{n}.</body></message>");
        let all: String = texts.map(message).collect();
        self.romeo.send(&all)?;
        // They are with her, or wait for her, when this comes behind them.
        self.romeo.send(
            "<iq type='get' id='p' to='juliet@localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
        )?;
        self.romeo.read_until("id=\"p\"")?;
        self.romeo.forget();
        Ok(())
    }

    /// Another connection of the account, which asks for the stream.
    fn back(&self, h: u32) -> Result<Wire> {
        resume(&self.server, "juliet", &self.id, h)
    }
}

fn resume(server: &Server, name: &str, id: &str, h: u32) -> Result<Wire> {
    let mut wire = Wire::authenticated(server, name, "secret")?;
    wire.send(&format!("<resume xmlns='{SM}' previd='{id}' h='{h}'/>"))?;
    Ok(wire)
}

fn enable(wire: &mut Wire) -> Result<String> {
    wire.send(&format!("<enable xmlns='{SM}' resume='true'/>"))?;
    let answer = wire.read_until("max=")?;
    ensure!(answer.contains("resume=\"true\""), "{answer}");
    let id = between(&answer, "id=\"", "\"")
        .context("a name")?
        .to_owned();
    wire.forget();
    Ok(id)
}

/// That these came, each once, in this order, and none before them.
fn came(received: &str, texts: std::ops::Range<u32>) -> Result<()> {
    let bodies = received.split("<body>").skip(1);
    let bodies: Vec<_> = bodies.filter_map(|rest| rest.split('.').next()).collect();
    let wanted: Vec<_> = texts.map(|n| format!("n{n}")).collect();
    ensure!(
        bodies == wanted,
        "{wanted:?} were to come, and {bodies:?} did"
    );
    Ok(())
}

fn comes_back(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    stage.say(0..4)?;
    stage.juliet.read_until("n3.")?;
    // Her own presence, and one of the four, are acknowledged; she has got one more.
    stage.juliet.send(&format!("<a xmlns='{SM}' h='2'/>"))?;
    let lost = std::mem::replace(
        &mut stage.juliet,
        Wire::bound(&stage.server, "romeo", "secret")?.0,
    );
    drop(lost);
    stage.say(4..8)?;
    let mut back = stage.back(3)?;
    let received = back.read_until("n7.")?;
    ensure!(received.contains("<resumed"), "{received}");
    came(&received, 2..8)?;
    ensure!(
        !received.contains("urn:xmpp:delay"),
        "nothing came from the log: {received}"
    );
    // Both counts go on: one stanza before, one now.
    back.forget();
    stage.romeo.send("<presence/>")?;
    stage.romeo.read_until("<presence")?;
    let message = "<message to='romeo@localhost'><body>!</body></message>";
    back.send(&format!(
        "<a xmlns='{SM}' h='9'/>{message}<r xmlns='{SM}'/>"
    ))?;
    back.read_until("h=\"2\"")?;
    stage.romeo.read_until("<body>!")?;
    Ok(())
}

fn had_sent(suite: &Suite) -> Result<()> {
    let location = "session.resume_location=node1.example.org:5222";
    let mut stage = Stage::set(suite, &["--set", location])?;
    let (mut other, _) = Wire::bound(&stage.server, "romeo", "secret")?;
    other.send(&format!("<enable xmlns='{SM}' resume='true'/>"))?;
    other.read_until("location=\"node1.example.org:5222\"")?;
    let message = "<message to='romeo@localhost'><body>!</body></message>".repeat(5);
    stage.romeo.send("<presence/>")?;
    stage.romeo.read_until("<presence")?;
    stage.juliet.send(&message)?;
    stage.romeo.read_until("!</body>")?;
    let session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>";
    stage
        .juliet
        .send(&format!("<iq type='set' id='s'>{session}</iq>"))?;
    stage.juliet.read_until("id=\"s\"")?;
    let received = stage.back(1)?.read_until("<resumed")?;
    // Her presence, the messages, the request.
    ensure!(received.contains("h=\"7\""), "{received}");
    Ok(())
}

fn taken_over(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    stage.say(0..2)?;
    stage.juliet.read_until("n1.")?;
    let mut back = stage.back(1)?;
    let received = back.read_until("n1.")?;
    came(&received, 0..2)?;
    let ended = stage.juliet.read_to_end()?;
    ensure!(ended.contains("<conflict"), "{ended}");
    back.forget();
    stage.say(2..4)?;
    came(&back.read_until("n3.")?, 2..4)
}

fn refused(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    stage.say(0..1)?;
    stage.juliet.read_until("n0.")?;
    let foreign = resume(&stage.server, "romeo", &stage.id, 0)?.read_until("</failed>")?;
    ensure!(
        foreign.contains("<item-not-found") && !foreign.contains("h="),
        "{foreign}"
    );
    let guessed = resume(&stage.server, "juliet", "guessed", 0)?.read_until("</failed>")?;
    ensure!(guessed.contains("<item-not-found"), "{guessed}");
    let mut too_high = stage.back(3)?;
    let answer = too_high.read_until("</failed>")?;
    ensure!(
        answer.contains("<item-not-found") && answer.contains("h=\"1\""),
        "{answer}"
    );
    too_high.forget();
    too_high.bind()?;
    for wrong in ["", "previd='x'", "h='0'", "previd='x' h='-1'"] {
        let mut wire = Wire::authenticated(&stage.server, "juliet", "secret")?;
        wire.send(&format!("<resume xmlns='{SM}' {wrong}/>"))?;
        let answer = wire.read_until("</failed>")?;
        ensure!(answer.contains("<bad-request"), "{wrong}: {answer}");
    }
    came(&stage.back(1)?.read_until("n0.")?, 0..1)
}

fn too_late(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &["--set", "router.resume_s=1"])?;
    let (next, _) = Wire::bound(&stage.server, "juliet", "secret")?;
    stage.say(0..3)?;
    stage.juliet.read_until("n2.")?;
    let lost = std::mem::replace(&mut stage.juliet, next);
    drop(lost);
    stage.juliet.send("<presence/>")?;
    let received = stage.juliet.read_until("n2.")?;
    came(&received, 0..3)?;
    let answer = stage.back(1)?.read_until("</failed>")?;
    // What it has sent is known: its presence.
    ensure!(
        answer.contains("<item-not-found") && answer.contains("h=\"1\""),
        "{answer}"
    );
    Ok(())
}

fn closed(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    stage.say(0..3)?;
    stage.juliet.read_until("n2.")?;
    stage.juliet.send("</stream:stream>")?;
    stage.juliet.read_to_end()?;
    let answer = stage.back(1)?.read_until("</failed>")?;
    ensure!(answer.contains("<item-not-found"), "{answer}");
    let (mut next, _) = Wire::bound(&stage.server, "juliet", "secret")?;
    next.send("<presence/>")?;
    came(&next.read_until("n2.")?, 0..3)
}

fn more_than_fits(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &["--set", "router.resume_stanzas_max=20"])?;
    let (other, _) = Wire::bound(&stage.server, "romeo", "secret")?;
    drop(std::mem::replace(&mut stage.juliet, other));
    for at in 0..10 {
        stage.say(at * 10..at * 10 + 10)?;
    }
    let mut back = stage.back(1)?;
    let mut got;
    // A client acknowledges what it is asked for.
    let received = loop {
        let received = back.read_until("<r ")?;
        got = 1 + received.matches("<body>").count();
        back.send(&format!("<a xmlns='{SM}' h='{got}'/>"))?;
        if received.contains("n99.") {
            break received;
        }
        let asked = received.matches("<r ").count();
        back.read_until_more("<r ", asked)?;
    };
    ensure!(got == 101, "{got} came");
    came(&received, 0..100)
}

fn again(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    for round in 0..4 {
        stage.say(round..round + 1)?;
        let back = stage.back(round + 1)?;
        drop(std::mem::replace(&mut stage.juliet, back));
        let received = stage.juliet.read_until(&format!("n{round}."))?;
        came(&received, round..round + 1)?;
        stage.juliet.forget();
    }
    Ok(())
}

fn replaced(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    let bind = |wire: &mut Wire| -> Result<()> {
        wire.send(
            "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>balcony</resource></bind></iq>",
        )?;
        wire.read_until("</iq>").map(|_| wire.forget())
    };
    let mut first = Wire::authenticated(&stage.server, "juliet", "secret")?;
    bind(&mut first)?;
    enable(&mut first)?;
    // Only the first is left that takes messages.
    stage.juliet.send("<presence type='unavailable'/>")?;
    first.send("<presence/>")?;
    first.read_until("<presence")?;
    stage.say(0..2)?;
    first.read_until("n1.")?;
    drop(first);
    stage.say(2..4)?;
    let mut second = Wire::authenticated(&stage.server, "juliet", "secret")?;
    bind(&mut second)?;
    second.send("<presence/>")?;
    came(&second.read_until("n3.")?, 0..4)
}

fn too_many(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &["--set", "connection.sessions_waiting_max=1"])?;
    let (mut second, _) = Wire::bound(&stage.server, "juliet", "secret")?;
    let second_id = enable(&mut second)?;
    let (other, _) = Wire::bound(&stage.server, "romeo", "secret")?;
    drop(std::mem::replace(&mut stage.juliet, other));
    drop(second);
    wait_for("one session of the two", DEADLINE, || {
        let sessions = stage.server.admin(&["sessions", "list"]);
        match sessions.map(|list| list.matches("juliet@localhost/").count()) {
            Ok(1) => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    })??;
    let mut resumed = 0;
    for id in [&stage.id, &second_id] {
        let answer = resume(&stage.server, "juliet", id, 0)?.read_until(SM)?;
        resumed += answer.matches("<resumed").count();
    }
    ensure!(resumed == 1, "{resumed} were resumed");
    Ok(())
}

fn stopped(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite, &[])?;
    let of_romeo = enable(&mut stage.romeo)?;
    stage.romeo.send("<presence/>")?;
    stage.romeo.read_until("<presence")?;
    stage.say(0..2)?;
    stage.juliet.read_until("n1.")?;
    let (other, _) = Wire::bound(&stage.server, "juliet", "secret")?;
    stage.say(2..3)?;
    // It has not read all: its system resets the connection.
    drop(std::mem::replace(&mut stage.juliet, other));
    stage.say(3..4)?;
    stage.server.stop()?;
    let ended = stage.romeo.read_to_end()?;
    ensure!(ended.contains("<system-shutdown"), "{ended}");
    stage.server.restart()?;
    // She was away before, and has got one message; he was there. Each goes on.
    let mut juliet = stage.back(2)?;
    let received = juliet.read_until("n3.")?;
    ensure!(received.contains("<resumed"), "{received}");
    came(&received, 1..4)?;
    let mut romeo = resume(&stage.server, "romeo", &of_romeo, 1)?;
    // His presence, four messages, and three pings.
    let received = romeo.read_until("<resumed")?;
    ensure!(received.contains("h=\"8\""), "{received}");
    romeo.send("<message to='juliet@localhost' type='chat'><body>n4.</body></message>")?;
    let received = juliet.read_until("n4.")?;
    came(&received, 1..5)?;
    for text in ["n1.", "n2.", "n3."] {
        let times = received.matches(text).count();
        ensure!(times == 1, "{text} came {times} times: {received}");
    }
    // It is over with the second stop: nobody comes back to it twice.
    juliet.send("</stream:stream>")?;
    juliet.read_to_end()?;
    stage.server.stop()?;
    stage.server.restart()?;
    let answer = stage.back(5)?.read_until(SM)?;
    ensure!(answer.contains("<item-not-found"), "{answer}");
    Ok(())
}
