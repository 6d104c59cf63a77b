//! A phone in a pocket (XEP-0352), against the release binary: what it is sent, in bytes.

use anyhow::{Result, ensure};

use crate::server::Server;
use crate::suite::{Case, Suite, Test, named};
use crate::wire::Wire;

/// The names of the tests.
pub(crate) const NAMES: &[&str] = &[
    "a client that does not look is sent a tenth of the bytes, and what matters at once",
    "a client that does not look and manages its stream is sent nothing until it matters, and then all, in order",
];

/// The tests.
pub(crate) fn tests() -> Vec<Test<'static>> {
    let cases: [Case; 2] = [fewer_bytes, nothing_until_it_matters];
    named(NAMES, &cases)
}

/// How much a chatty contact does meanwhile.
const ROUNDS: usize = 50;

/// A phone and a contact of its owner.
struct Stage {
    /// It lives as long as the stage.
    _server: Server,
    phone: Wire,
    contact: Wire,
    jid: String,
}

impl Stage {
    fn set(suite: &Suite) -> Result<Self> {
        let server = Server::start(suite, &["--unlimited"])?;
        for jid in ["romeo@localhost", "juliet@localhost"] {
            server.admin(&["users", "create", jid, "--password", "secret"])?;
        }
        let (contact, _) = Wire::bound(&server, "romeo", "secret")?;
        let (mut phone, jid) = Wire::bound(&server, "juliet", "secret")?;
        phone.send("<presence/>")?;
        phone.read_until("<presence")?;
        phone.forget();
        Ok(Self {
            _server: server,
            phone,
            contact,
            jid,
        })
    }

    /// What nobody must see at once: the contact's client is fidgety.
    fn fidget(&mut self) -> Result<()> {
        let to = &self.jid;
        for round in 0..ROUNDS {
            self.contact.send(&format!(
                "<presence to='{to}'><status>fidget {round}.</status></presence>\
                 <message to='{to}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
            ))?;
        }
        // What it is answered now comes behind all of it.
        self.contact
            .send("<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")?;
        self.contact.read_until("id=\"p\"")?;
        self.contact.forget();
        Ok(())
    }

    /// Something that matters; gives all that the phone was sent up to it.
    fn call(&mut self) -> Result<String> {
        let call = "<body>where are you?</body>";
        let to = &self.jid;
        self.contact
            .send(&format!("<message to='{to}' type='chat'>{call}</message>"))?;
        let received = self.phone.read_until(call)?;
        self.phone.forget();
        Ok(received)
    }
}

fn fewer_bytes(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    stage.fidget()?;
    let looking = stage.call()?;
    stage.phone.send("<inactive xmlns='urn:xmpp:csi:0'/>")?;
    stage.fidget()?;
    let pocketed = stage.call()?;
    ensure!(
        pocketed.len() * 10 < looking.len(),
        "{} bytes in the pocket, {} before the eyes",
        pocketed.len(),
        looking.len()
    );
    let last = format!("fidget {}.", ROUNDS - 1);
    ensure!(pocketed.contains(&last), "how it stands now: {pocketed}");
    stage.phone.send("<active xmlns='urn:xmpp:csi:0'/>")?;
    stage.fidget()?;
    let looking = stage.call()?;
    ensure!(looking.matches("fidget").count() == ROUNDS, "{looking}");
    Ok(())
}

fn nothing_until_it_matters(suite: &Suite) -> Result<()> {
    let mut stage = Stage::set(suite)?;
    let phone = &mut stage.phone;
    phone.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
    phone.read_until("<enabled")?;
    // The answer says that the state is known.
    phone.send("<inactive xmlns='urn:xmpp:csi:0'/><r xmlns='urn:xmpp:sm:3'/>")?;
    phone.read_until("<a ")?;
    phone.forget();
    stage.fidget()?;
    // What is answered to the client itself does not wait, and an answer of the stream wakes nothing else.
    stage.phone.send("<r xmlns='urn:xmpp:sm:3'/>")?;
    let received = stage.phone.read_until("<a ")?;
    ensure!(!received.contains("fidget"), "it was woken by {received}");
    stage.phone.forget();
    let received = stage.call()?;
    let told: Vec<_> = received.match_indices("fidget").collect();
    ensure!(told.len() == ROUNDS, "{} of {ROUNDS} came", told.len());
    for round in 0..ROUNDS {
        let (before, _) = received
            .split_once(&format!("fidget {round}."))
            .unwrap_or(("", ""));
        ensure!(
            before.matches("fidget").count() == round,
            "{round} in its turn"
        );
    }
    Ok(())
}
