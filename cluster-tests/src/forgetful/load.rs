//! A bounded load by clients that note what they were promised, until their server is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::server::Server;
use crate::suite::wait_for;
use crate::wire::{HEADER, Wire, between};

/// The password of every account.
pub(super) const PASSWORD: &str = "correct horse";

/// Who sends, each to a reader of his own.
pub(super) const SENDERS: u32 = 3;

/// The accounts that there must be: whoever sends, reads, and changes his roster.
pub(super) fn create(server: &Server) -> Result<()> {
    let pairs = (0..SENDERS).flat_map(|n| [format!("sender{n}"), format!("reader{n}")]);
    for name in pairs.chain(["keeper".to_owned()]) {
        let jid = format!("{name}@localhost");
        server.admin(&["users", "create", &jid, "--password", PASSWORD])?;
    }
    Ok(())
}

/// What clients and the operator were promised.
#[derive(Clone, Debug, Default)]
pub(super) struct Promised {
    /// How many messages of a sender were acknowledged to him, by round and sender: so many from the first on.
    pub(super) messages: BTreeMap<(u32, u32), u32>,
    /// Accounts that were registered.
    pub(super) accounts: Vec<String>,
    /// Contacts that were pushed to their owner.
    pub(super) contacts: Vec<String>,
    /// The number of the last private note that was stored.
    pub(super) note: u32,
    /// Networks that were banned.
    pub(super) bans: Vec<String>,
}

impl Promised {
    fn count(&self) -> usize {
        let messages: u32 = self.messages.values().sum();
        messages as usize + self.accounts.len() + self.contacts.len() + self.bans.len()
    }
}

/// The body of a message.
pub(super) fn body(round: u32, sender: u32, number: u32) -> String {
    format!("round {round} of {sender}: {number}.")
}

/// Puts load on the server until so many things more were promised, and kills it while more are under way.
pub(super) fn until_killed(
    server: &mut Server,
    round: u32,
    promised: Promised,
    more: usize,
) -> Result<Promised> {
    let enough = promised.count() + more;
    // Of each kind there is something, or its loss could not be noticed.
    let each = |now: &Promised| {
        let of_round = now.messages.iter().filter(|((of, _), _)| *of == round);
        of_round.count() == SENDERS as usize
            && now.accounts.len() > promised.accounts.len()
            && now.note > promised.note
            && now.bans.len() > promised.bans.len()
    };
    let ledger = Ledger {
        promised: Mutex::new(promised.clone()),
        ends: AtomicBool::new(false),
        failed: AtomicBool::new(false),
    };
    // Reads nothing and acknowledges nothing: what is given to it is still owed.
    let mut deaf = managed(server, "reader0")?;
    deaf.send("<presence/>")?;
    deaf.read_until("<presence")?;
    let waited = std::thread::scope(|scope| {
        let (ledger, from) = (&ledger, &*server);
        let mut tasks: Vec<_> = (0..SENDERS)
            .map(|sender| scope.spawn(move || ledger.run(|| send(from, ledger, round, sender))))
            .collect();
        tasks.push(scope.spawn(|| ledger.run(|| register(from, ledger, round))));
        tasks.push(scope.spawn(|| ledger.run(|| change(from, ledger, round))));
        tasks.push(scope.spawn(|| ledger.run(|| ban(from, ledger, round))));
        let waited = wait_for("enough is promised", Duration::from_secs(60), || {
            let now = ledger.now();
            let enough = now.count() >= enough && each(&now);
            (enough || ledger.failed.load(Ordering::SeqCst)).then_some(())
        });
        // From here on whatever a client meets is the end of its server.
        ledger.ends.store(true, Ordering::SeqCst);
        waited.and_then(|()| server.kill_in_use()).and_then(|()| {
            let ends = tasks.into_iter().map(|task| task.join());
            ends.map(|end| end.unwrap_or_else(|_| bail!("a client panicked")))
                .collect::<Result<Vec<_>>>()
        })
    });
    server.kill()?;
    waited?;
    Ok(ledger.now().clone())
}

/// What the clients share.
struct Ledger {
    promised: Mutex<Promised>,
    ends: AtomicBool,
    failed: AtomicBool,
}

impl Ledger {
    fn now(&self) -> MutexGuard<'_, Promised> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a client, whose errors are none once the server ends.
    fn run(&self, client: impl FnOnce() -> Result<()>) -> Result<()> {
        match client() {
            Err(error) if !self.ends.load(Ordering::SeqCst) => {
                self.failed.store(true, Ordering::SeqCst);
                Err(error)
            }
            _ => Ok(()),
        }
    }
}

/// A session that manages its stream.
pub(super) fn managed(server: &Server, name: &str) -> Result<Wire> {
    let (mut wire, _) = Wire::bound(server, name, PASSWORD)?;
    wire.send("<enable xmlns='urn:xmpp:sm:3'/>")?;
    wire.read_until("<enabled")?;
    wire.forget();
    Ok(wire)
}

/// How many stanzas the server says that it has dealt with.
pub(super) fn acknowledged(wire: &mut Wire) -> Result<u32> {
    wire.forget();
    wire.send("<r xmlns='urn:xmpp:sm:3'/>")?;
    wire.read_until("<a ")?;
    let answer = wire.read_until("/>")?;
    let h = answer
        .split_once("<a ")
        .and_then(|(_, rest)| between(rest, "h=\"", "\""));
    Ok(h.context("a count")?.parse()?)
}

fn send(server: &Server, ledger: &Ledger, round: u32, sender: u32) -> Result<()> {
    let mut wire = managed(server, &format!("sender{sender}"))?;
    let mut sent = 0;
    loop {
        // Fewer than the reader's session may owe, so that what it does not read is not sent back.
        if sent < MESSAGES_MAX {
            let message = |number| {
                let body = body(round, sender, number);
                format!(
                    "<message to='reader{sender}@localhost' type='chat'><body>{body}</body></message>"
                )
            };
            let some: String = (sent..sent + 5).map(message).collect();
            wire.send(&some)?;
            sent += 5;
        }
        let count = acknowledged(&mut wire)?;
        if count > 0 {
            ledger.now().messages.insert((round, sender), count);
        }
    }
}

fn register(server: &Server, ledger: &Ledger, round: u32) -> Result<()> {
    for number in 0.. {
        let name = format!("new{round}x{number}");
        let mut wire = Wire::tls(server)?;
        wire.send(HEADER)?;
        wire.read_until("</stream:features>")?;
        wire.forget();
        wire.send(&format!(
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>{name}</username>\
             <password>{PASSWORD}</password></query></iq>"
        ))?;
        let answer = wire.read_until("id=\"r\"")?;
        if !answer.contains("type=\"result\"") {
            bail!("{name} is not registered: {answer}");
        }
        ledger.now().accounts.push(name);
    }
    Ok(())
}

/// Changes a roster, and a private note in between.
fn change(server: &Server, ledger: &Ledger, round: u32) -> Result<()> {
    let (mut wire, _) = Wire::bound(server, "keeper", PASSWORD)?;
    wire.send("<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>")?;
    wire.read_until("id=\"all\"")?;
    for number in 0.. {
        let contact = format!("c{round}x{number}@localhost");
        wire.forget();
        wire.send(&format!(
            "<iq type='set' id='c{number}'><query xmlns='jabber:iq:roster'><item jid='{contact}'/></query></iq>"
        ))?;
        // The push names it; the answer does not.
        wire.read_until(&contact)?;
        ledger.now().contacts.push(contact);
        let note = round * 100_000 + number + 1;
        wire.send(&format!(
            "<iq type='set' id='n{number}'><query xmlns='jabber:iq:private'>\
             <note xmlns='urn:test:note'>note {note}.</note></query></iq>"
        ))?;
        wire.read_until(&format!("n{number}\""))?;
        ledger.now().note = note;
    }
    Ok(())
}

fn ban(server: &Server, ledger: &Ledger, round: u32) -> Result<()> {
    for number in 0..250 {
        let network = format!("198.51.{round}.{number}/32");
        server.admin(&["bans", "add", &network, "--reason", "a test"])?;
        ledger.now().bans.push(network);
    }
    Ok(())
}

const MESSAGES_MAX: u32 = 400;
