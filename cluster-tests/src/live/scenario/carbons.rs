//! One account with a session on each connection node: what the one sends and gets, the other gets copies of
//! (XEP-0280), with the ids of their places in the account's archive (XEP-0359), where it also sees what was retracted
//! (XEP-0424).

use anyhow::{Context, Result, bail, ensure};

use super::{Judge, Scenario};
use crate::live::stage::{Ground, Stage};
use crate::wire::{Wire, between};

pub(super) const CARBONS: Scenario = Scenario {
    name: "carbons",
    allows: "one account on two connection nodes: each message is copied to the other once, with its id in the \
             archive; none that is private or says so, and none that was retracted is shown",
    ground: Ground::Loopback,
    quick: true,
    restores: true,
    play,
};

/// Romeo at both nodes, and Juliet at the second.
struct Lovers {
    home: Wire,
    garden: Wire,
    juliet: Wire,
}

fn play(stage: &mut Stage<'_>) -> Result<Judge> {
    let router = &stage.cluster.nodes[stage.cluster.find("router1")?];
    for name in ["romeo", "juliet"] {
        let account = format!("{name}@localhost");
        let words = ["users", "create", &account, "--password", "correct horse"];
        router.admin(&stage.cluster.settings, &words)?;
    }
    let mut lovers = Lovers {
        home: session(stage, "connection1", "romeo", "home")?,
        garden: session(stage, "connection2", "romeo", "garden")?,
        juliet: session(stage, "connection2", "juliet", "balcony")?,
    };
    lovers.received()?;
    let id = lovers.sent()?;
    lovers.not_copied()?;
    lovers.goes_on_behind(&id)?;
    lovers.retracted()?;
    Ok(Judge::default())
}

/// A session that archives, gets copies and is available.
fn session(stage: &Stage<'_>, node: &str, name: &str, resource: &str) -> Result<Wire> {
    let node = &stage.cluster.nodes[stage.cluster.find(node)?];
    let port = node.ports.direct_tls.context("a port for clients")?;
    let address = (node.place.address, port).into();
    let mut wire = Wire::authenticated_at(address, &node.authority(), name, "correct horse")?;
    for (id, request) in [
        (
            "b",
            format!(
                "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>"
            ),
        ),
        (
            "p",
            "<prefs xmlns='urn:xmpp:mam:2' default='always'/>".to_owned(),
        ),
        ("c", "<enable xmlns='urn:xmpp:carbons:2'/>".to_owned()),
    ] {
        wire.send(&format!("<iq type='set' id='{id}'>{request}</iq>"))?;
        let answer = wire.read_until(&format!("id=\"{id}\""))?;
        ensure!(!answer.contains("type=\"error\""), "{answer}");
    }
    wire.send("<presence/>")?;
    wire.read_until("<presence")?;
    wire.forget();
    Ok(wire)
}

impl Lovers {
    /// What is for one session comes to the other node as a copy.
    fn received(&mut self) -> Result<()> {
        let message =
            "<message to='romeo@localhost/home' type='chat'><body>what man</body></message>";
        self.juliet.send(message)?;
        let got = self.home.read_until("what man")?;
        ensure!(!got.contains("<received"), "home got a copy: {got}");
        let copy = self.garden.read_until("what man</body>")?;
        ensure!(
            copy.contains("<received xmlns=\"urn:xmpp:carbons:2\""),
            "garden got no copy: {copy}"
        );
        let own = archive_id(&copy, "romeo").context("an id in the copy")?;
        ensure!(archive_id(&got, "romeo") == Some(own), "{got}");
        self.forget();
        Ok(())
    }

    /// What one session sends comes to the other node as a copy, with its id in the sender's archive.
    fn sent(&mut self) -> Result<String> {
        self.home.send(
            "<message to='juliet@localhost' type='chat' id='m1'><body>fair saint</body></message>",
        )?;
        let got = self.juliet.read_until("</body>")?;
        ensure!(archive_id(&got, "romeo").is_none(), "his id: {got}");
        ensure!(archive_id(&got, "juliet").is_some(), "not hers: {got}");
        let copy = self.garden.read_until("</sent>")?;
        let id = archive_id(&copy, "romeo").context("an id in the copy")?;
        self.forget();
        Ok(id)
    }

    /// What is not to be copied is known by what comes behind it.
    fn not_copied(&mut self) -> Result<()> {
        let private = "<private xmlns='urn:xmpp:carbons:2'/>";
        let hint = "<no-copy xmlns='urn:xmpp:hints'/>";
        let message = |to, text, more| {
            format!("<message to='{to}' type='chat'><body>{text}</body>{more}</message>")
        };
        for more in [private, hint] {
            self.home
                .send(&message("juliet@localhost", "hidden", more))?;
        }
        self.home.send(&message("juliet@localhost", "shown", ""))?;
        let got = self.juliet.read_until("shown")?;
        ensure!(got.matches("hidden").count() == 2, "she got: {got}");
        let copies = self.garden.read_until("shown")?;
        ensure!(!copies.contains("hidden"), "garden got: {copies}");
        self.forget();
        for more in [private, hint] {
            let hidden = message("romeo@localhost/home", "hidden", more);
            self.juliet.send(&hidden)?;
        }
        self.juliet
            .send(&message("romeo@localhost/home", "shown", ""))?;
        let got = self.home.read_until("shown")?;
        ensure!(got.matches("hidden").count() == 2, "home got: {got}");
        let copies = self.garden.read_until("shown")?;
        ensure!(!copies.contains("hidden"), "garden got: {copies}");
        self.forget();
        Ok(())
    }

    /// The id in a copy is a place to go on from.
    fn goes_on_behind(&mut self, id: &str) -> Result<()> {
        let after =
            format!("<set xmlns='http://jabber.org/protocol/rsm'><after>{id}</after></set>");
        let page = ask_until(&mut self.garden, &after, |page| count(page, "<result") >= 6)?;
        ensure!(!page.contains("fair saint"), "behind it: {page}");
        ensure!(count(&page, "<result") == 6, "more came: {page}");
        Ok(())
    }

    /// What one session retracts is gone from both archives.
    fn retracted(&mut self) -> Result<()> {
        self.home.send(
            "<message to='juliet@localhost' type='chat' id='r1'>\
             <retract xmlns='urn:xmpp:message-retract:1' id='m1'/></message>",
        )?;
        self.juliet.read_until("<retract ")?;
        self.garden.read_until("</sent>")?;
        for wire in [&mut self.garden, &mut self.juliet] {
            let page = ask_until(wire, "", |page| !page.contains("fair saint"))?;
            let stones = count(&page, "<retracted ");
            ensure!(stones == 1, "{stones} tombstones: {page}");
        }
        Ok(())
    }

    fn forget(&mut self) {
        for wire in [&mut self.home, &mut self.garden, &mut self.juliet] {
            wire.forget();
        }
    }
}

/// Asks an archive until it is as it must be: what is delivered may be on its way into it, and so may what another
/// session has retracted. An id that it does not know yet is answered with an error.
fn ask_until(wire: &mut Wire, rest: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let mut page = String::new();
    for _ in 0..ASKED_MAX {
        wire.forget();
        wire.send(&format!(
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>{rest}</query></iq>"
        ))?;
        page = wire.read_until("</iq>")?;
        if page.contains("</fin></iq>") && wanted(&page) {
            return Ok(page);
        }
    }
    bail!("the archive stays as it was: {page}")
}

fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

/// What an account's archive calls the message.
fn archive_id(stanza: &str, name: &str) -> Option<String> {
    let before = format!("<stanza-id xmlns=\"urn:xmpp:sid:0\" by=\"{name}@localhost\" id=\"");
    between(stanza, &before, "\"").map(str::to_owned)
}

/// Each is a round trip through three nodes and the database.
const ASKED_MAX: usize = 1_000;
