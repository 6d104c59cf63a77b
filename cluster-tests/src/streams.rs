//! Stream management (XEP-0198), byte for byte: what is acknowledged, what becomes of the rest, and what is refused.

use anyhow::{Result, ensure};

use crate::server::Server;
use crate::suite::{Case, Suite, Test, named};
use crate::wire::{HEADER, Wire};

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "what a client sent is acknowledged when it was dealt with",
    "what a dead client has not acknowledged waits for the next, once and in order",
    "what a client has acknowledged is not given to the next",
    "what was left of one session goes to another one of the account",
    "a client that acknowledges nothing gets no more than fits, and the rest when it comes back",
    "more acknowledged than sent ends the stream and says by how much",
    "a count that is none ends the stream",
    "stream management is enabled once, behind login and binding, and nothing of before is resumed",
    "a flood of questions is answered and disturbs nobody",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    let cases: [Case; 9] = [
        acknowledged,
        left_to_the_next,
        acknowledged_is_gone,
        left_to_another,
        deaf,
        too_high,
        no_count,
        out_of_place,
        flood,
    ];
    named(NAMES, &cases)
}

const SM: &str = "urn:xmpp:sm:3";

/// Two accounts, and a session of the first.
struct Stage {
    server: Server,
    romeo: Wire,
}

impl Stage {
    fn set(suite: &Suite) -> Result<Self> {
        let server = Server::start(suite, &["--unlimited"])?;
        server.admin(&["users", "create", "romeo@localhost", "--password", "secret"])?;
        server.admin(&[
            "users",
            "create",
            "juliet@localhost",
            "--password",
            "secret",
        ])?;
        let (romeo, _) = Wire::bound(&server, "romeo", "secret")?;
        Ok(Self { server, romeo })
    }

    /// A session of the second account that reads messages.
    fn juliet(&self, managed: bool) -> Result<Wire> {
        let (mut juliet, _) = Wire::bound(&self.server, "juliet", "secret")?;
        if managed {
            enable(&mut juliet)?;
        }
        juliet.send("<presence/>")?;
        juliet.read_until("<presence")?;
        Ok(juliet)
    }

    fn say(&mut self, texts: impl IntoIterator<Item = String>) -> Result<()> {
        let message = |text| {
            format!("<message to='juliet@localhost' type='chat'><body>{text}</body></message>")
        };
        let all: String = texts.into_iter().map(message).collect();
        self.romeo.send(&all)
    }
}

fn enable(wire: &mut Wire) -> Result<()> {
    wire.send(&format!("<enable xmlns='{SM}'/>"))?;
    let answer = wire.read_until("<enabled")?;
    ensure!(!answer.contains("resume="), "nobody asked: {answer}");
    wire.forget();
    Ok(())
}

fn numbered(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|n| format!("n{n}."))
}

/// That these came, each once, in this order.
fn came_once(received: &str, texts: impl IntoIterator<Item = String>) -> Result<()> {
    let mut rest = received;
    for text in texts {
        ensure!(
            received.matches(&text).count() == 1,
            "{text} once in {received}"
        );
        let Some((_, behind)) = rest.split_once(&text) else {
            anyhow::bail!("{text} in its turn in {received}");
        };
        rest = behind;
    }
    Ok(())
}

fn acknowledged(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    enable(&mut stage.romeo)?;
    stage.say(numbered(0..3))?;
    // Answered by the stream itself, and counted with the others.
    let session = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>";
    stage.romeo.send(&format!(
        "<iq type='set' id='s'>{session}</iq><r xmlns='{SM}'/>"
    ))?;
    stage.romeo.read_until("h=\"4\"")?;
    let juliet = stage.juliet(false)?.read_until("n2.")?;
    came_once(&juliet, numbered(0..3))
}

fn left_to_the_next(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    let mut first = stage.juliet(true)?;
    stage.say(numbered(0..5))?;
    first.read_until("n4.")?;
    ensure!(
        first.text().contains("<r "),
        "it was asked: {}",
        first.text()
    );
    drop(first);
    let mut second = stage.juliet(false)?;
    let received = second.read_until("n4.")?;
    came_once(&received, numbered(0..5))?;
    ensure!(
        received.contains("urn:xmpp:delay"),
        "it came late: {received}"
    );
    Ok(())
}

fn acknowledged_is_gone(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    let mut first = stage.juliet(true)?;
    stage.say(numbered(0..3))?;
    first.read_until("n2.")?;
    // Its own presence, and two of the three.
    first.send(&format!("<a xmlns='{SM}' h='3'/>"))?;
    first.forget();
    // It is asked about the rest: the acknowledgement has come.
    first.read_until("<r ")?;
    drop(first);
    let received = stage.juliet(false)?.read_until("n2.")?;
    ensure!(!received.contains("n1."), "it has it: {received}");
    Ok(())
}

fn left_to_another(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    let (mut first, jid) = Wire::bound(&stage.server, "juliet", "secret")?;
    enable(&mut first)?;
    let mut other = stage.juliet(false)?;
    other.forget();
    let message = format!("<message to='{jid}' type='chat'><body>only you</body></message>");
    stage.romeo.send(&message)?;
    first.read_until("only you")?;
    ensure!(!other.text().contains("only you"), "it was for the first");
    drop(first);
    other.read_until("only you")?;
    Ok(())
}

fn deaf(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    let mut deaf = stage.juliet(true)?;
    let all = 900;
    stage.say(numbered(0..all))?;
    deaf.read_until("n450.")?;
    stage
        .romeo
        .send("<iq type='get' id='v' to='localhost'><query xmlns='jabber:iq:version'/></iq>")?;
    stage.romeo.read_until("id=\"v\"")?;
    let had = deaf.text().matches("<body>").count();
    ensure!(
        had <= 520,
        "{had} messages were sent to one that acknowledges none"
    );
    drop(deaf);
    let mut next = stage.juliet(false)?;
    let received = next.read_until(&format!("n{}.", all - 1))?;
    came_once(&received, numbered(0..all))
}

fn too_high(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    enable(&mut stage.romeo)?;
    stage.romeo.send(&format!("<a xmlns='{SM}' h='7'/>"))?;
    let received = stage.romeo.read_to_end()?;
    let detail = "<handled-count-too-high xmlns=\"urn:xmpp:sm:3\" h=\"7\" send-count=\"0\"/>";
    ensure!(
        received.contains("<undefined-condition") && received.contains(detail),
        "{received}"
    );
    Ok(())
}

fn no_count(suite: &Suite) -> Result<()> {
    for h in ["", " h='-1'", " h='one'", " h='4294967296'"] {
        let mut stage = Stage::set(suite)?;
        enable(&mut stage.romeo)?;
        stage.romeo.send(&format!("<a xmlns='{SM}'{h}/>"))?;
        let received = stage.romeo.read_to_end()?;
        ensure!(received.contains("<bad-format"), "{h}: {received}");
    }
    Ok(())
}

fn out_of_place(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    enable(&mut stage.romeo)?;
    for again in ["<enable", "<resume previd='x' h='0'"] {
        stage.romeo.send(&format!("{again} xmlns='{SM}'/>"))?;
        let answer = stage.romeo.read_until("</failed>")?;
        ensure!(answer.contains("<unexpected-request"), "{answer}");
        stage.romeo.forget();
    }
    for (mut stranger, asks) in [
        (Wire::plain(&stage.server)?, "<enable"),
        (Wire::tls(&stage.server)?, "<resume previd='x' h='0'"),
    ] {
        stranger.send(&format!("{HEADER}{asks} xmlns='{SM}'/>"))?;
        let received = stranger.read_until("</stream:stream>")?;
        ensure!(
            received.contains("<unexpected-request") && received.contains("<not-authorized"),
            "{asks}: {received}"
        );
    }
    let mut early = Wire::authenticated(&stage.server, "juliet", "secret")?;
    early.send(&format!("<enable xmlns='{SM}'/>"))?;
    let answer = early.read_until("</failed>")?;
    ensure!(answer.contains("<unexpected-request"), "{answer}");
    early.forget();
    early.send(&format!("<resume xmlns='{SM}' previd='guessed' h='0'/>"))?;
    let answer = early.read_until("</failed>")?;
    ensure!(answer.contains("<item-not-found"), "{answer}");
    early.bind()?;
    Ok(())
}

fn flood(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    enable(&mut stage.romeo)?;
    let mut juliet = stage.juliet(false)?;
    stage
        .romeo
        .send(&format!("<r xmlns='{SM}'/>").repeat(20_000))?;
    stage.say(["still here".to_owned()])?;
    juliet.read_until("still here")?;
    stage.romeo.send(&format!("<r xmlns='{SM}'/>"))?;
    stage.romeo.read_until("h=\"1\"")?;
    let grown = stage.server.resident_bytes()?;
    ensure!(grown < 400 << 20, "the server has {grown} bytes");
    Ok(())
}
