//! The judge: looks on a server for everything that was promised before it was killed.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::load::{PASSWORD, Promised, SENDERS, acknowledged, body, managed};
use crate::server::Server;
use crate::wire::{HEADER, Wire, between};

/// What is lost of what was promised, one line each. Messages that wait are looked for as those of `round`.
pub(super) fn losses(
    server: &Server,
    promised: &Promised,
    round: u32,
    archived: bool,
) -> Result<Vec<String>> {
    let mut lost = control(server, promised)?;
    for name in &promised.accounts {
        if !logs_in(server, name)? {
            lost.push(format!("account {name}"));
        }
    }
    lost.extend(roster(server, promised)?);
    for sender in 0..SENDERS {
        let waiting = waiting(server, round, sender)?;
        lost.extend(missing(promised, sender, Some(round), &waiting, "the log"));
        ensure_once(&waiting, round)?;
        if archived {
            for name in [format!("sender{sender}"), format!("reader{sender}")] {
                let archive = archive(server, &name)?;
                lost.extend(missing(promised, sender, None, &archive, &name));
            }
        }
    }
    Ok(lost)
}

fn missing(
    promised: &Promised,
    sender: u32,
    round: Option<u32>,
    found: &[String],
    place: &str,
) -> Vec<String> {
    let rounds = promised.messages.iter();
    rounds
        .filter(|((of, from), _)| *from == sender && round.is_none_or(|round| round == *of))
        .flat_map(|((of, from), count)| (0..*count).map(|number| body(*of, *from, number)))
        .filter(|body| !found.contains(body))
        .map(|body| format!("message {body} in {place}"))
        .collect()
}

/// Those of this round, each once and in order: earlier ones were given before, and are forgotten or not.
fn ensure_once(waiting: &[String], round: u32) -> Result<()> {
    let ours = waiting
        .iter()
        .filter(|body| body.starts_with(&format!("round {round} ")));
    let numbers: Vec<u32> = ours
        .filter_map(|body| between(body, ": ", ".")?.parse().ok())
        .collect();
    ensure!(
        numbers.is_sorted_by(|a, b| a < b),
        "not once and in order: {numbers:?}"
    );
    Ok(())
}

/// What waits for the reader, all of it: the last word is said when he is not yet there.
fn waiting(server: &Server, round: u32, sender: u32) -> Result<Vec<String>> {
    // That of an earlier round may come once more.
    let last = format!("the last word of round {round}.");
    let mut voice = managed(server, &format!("sender{sender}"))?;
    voice.send(&format!(
        "<message to='reader{sender}@localhost' type='chat'><body>{last}</body></message>"
    ))?;
    while acknowledged(&mut voice)? == 0 {}
    let (mut reader, _) = Wire::bound(server, &format!("reader{sender}"), PASSWORD)?;
    reader.send("<presence/>")?;
    Ok(bodies(&reader.read_until(&last)?))
}

/// All messages of an archive, page by page.
fn archive(server: &Server, name: &str) -> Result<Vec<String>> {
    let (mut wire, _) = Wire::bound(server, name, PASSWORD)?;
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        wire.forget();
        wire.send(&format!(
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>100</max>{after}</set></query></iq>"
        ))?;
        let page = wire.read_until("</fin></iq>")?;
        all.extend(bodies(&page));
        if page.contains("complete=\"true\"") {
            return Ok(all);
        }
        let last = between(&page, "<last>", "</last>").context("the last of a page")?;
        after = format!("<after>{last}</after>");
    }
}

fn bodies(text: &str) -> Vec<String> {
    text.split("<body>")
        .skip(1)
        .filter_map(|rest| rest.split_once("</body>"))
        .map(|(body, _)| body.to_owned())
        .collect()
}

fn logs_in(server: &Server, name: &str) -> Result<bool> {
    let mut wire = Wire::tls(server)?;
    wire.send(HEADER)?;
    wire.read_until("</stream:features>")?;
    wire.forget();
    let token = STANDARD.encode(format!("\0{name}\0{PASSWORD}"));
    wire.send(&format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
    ))?;
    // Either answer names it.
    let answer = wire.read_until("urn:ietf:params:xml:ns:xmpp-sasl")?;
    Ok(answer.contains("<success"))
}

fn roster(server: &Server, promised: &Promised) -> Result<Vec<String>> {
    let (mut wire, _) = Wire::bound(server, "keeper", PASSWORD)?;
    wire.send("<iq type='get' id='all'><query xmlns='jabber:iq:roster'/></iq>")?;
    wire.send("<iq type='get' id='note'><query xmlns='jabber:iq:private'><note xmlns='urn:test:note'/></query></iq>")?;
    wire.read_until("id=\"note\"")?;
    wire.send("<iq type='get' id='end' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    let text = wire.read_until("id=\"end\"")?;
    let found = |contact: &&String| text.contains(&format!("jid=\"{contact}\""));
    let contacts = promised.contacts.iter().filter(|it| !found(it));
    let mut lost: Vec<_> = contacts
        .map(|contact| format!("contact {contact}"))
        .collect();
    // The next one may have come through unanswered.
    let note = between(&text, ">note ", ".").and_then(|note| note.parse().ok());
    if note.unwrap_or(0) < promised.note {
        lost.push(format!("note {}, there is {note:?}", promised.note));
    }
    Ok(lost)
}

/// What the control group decided: bans, and how many registrations the throttle counted.
fn control(server: &Server, promised: &Promised) -> Result<Vec<String>> {
    let bans: serde_json::Value =
        serde_json::from_str(&server.admin(&["bans", "list", "--json"])?)?;
    let bans = bans.to_string();
    let found = |network: &str| bans.contains(&format!("\"{}\"", network.trim_end_matches("/32")));
    let lost = promised.bans.iter().filter(|network| !found(network));
    let mut lost: Vec<_> = lost.map(|network| format!("ban {network}")).collect();
    let shown = server.admin(&["throttle", "show", "address:127.0.0.1", "--json"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    let used = shown["windows"][0]["used"].as_u64().unwrap_or(0);
    if used < promised.accounts.len() as u64 {
        let count = promised.accounts.len();
        lost.push(format!("throttle: {used} of {count} registrations"));
    }
    Ok(lost)
}
