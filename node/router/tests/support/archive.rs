//! Queries of archives, and an archive to ask.

use super::{Client, World};

/// The field that says what a query's form is.
pub(crate) const FORM: &str =
    "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>";

/// What a query brought: ids and bodies of the results, and the answer.
pub(crate) struct Got {
    pub(crate) ids: Vec<String>,
    pub(crate) bodies: Vec<usize>,
    pub(crate) answer: String,
}

/// What stands between two texts.
pub(crate) fn part(text: &str, before: &str, after: &str) -> Option<String> {
    let rest = text.split(before).nth(1)?;
    Some(rest.split(after).next()?.to_owned())
}

/// Asks, with these fields of the form and more.
pub(crate) fn query(
    world: &mut World,
    client: &Client,
    fields: &[(&str, &str)],
    rest: &str,
) -> Got {
    ask(world, client, fields, rest);
    got(client)
}

/// The same, and the answer may come later.
pub(crate) fn ask(world: &mut World, client: &Client, fields: &[(&str, &str)], rest: &str) {
    let field =
        |(var, value): &(&str, &str)| format!("<field var='{var}'><value>{value}</value></field>");
    let fields: String = fields.iter().map(field).collect();
    world.send(
        client,
        &format!(
            "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' queryid='f27'>\
         <x xmlns='jabber:x:data' type='submit'>{FORM}{fields}</x>{rest}</query></iq>"
        ),
    );
}

/// What a query has brought.
pub(crate) fn got(client: &Client) -> Got {
    let mut stanzas = client.stanzas();
    let answer = stanzas.pop().expect("an answer");
    assert!(answer.starts_with("<iq"), "the answer comes last: {answer}");
    for result in &stanzas {
        assert!(result.contains("queryid=\"f27\""), "{result}");
        assert!(
            result.contains("<message xmlns=\"jabber:client\""),
            "{result}"
        );
        assert!(
            result.contains("<delay xmlns=\"urn:xmpp:delay\" stamp=\"2023-11-14T"),
            "{result}"
        );
    }
    let id = |it: &String| part(it, " id=\"0", "\"").map(|rest| format!("0{rest}"));
    let body = |it: &String| part(it, "<body>", "<")?.parse().ok();
    Got {
        ids: stanzas.iter().filter_map(id).collect(),
        bodies: stanzas.iter().filter_map(body).collect(),
        answer,
    }
}

/// A `<set/>` with this in it.
pub(crate) fn rsm(content: &str) -> String {
    format!("<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>")
}

impl Got {
    pub(crate) fn is_complete(&self) -> bool {
        self.answer.contains("complete=\"true\"")
    }

    pub(crate) fn end(&self, name: &str) -> String {
        part(&self.answer, &format!("<{name}>"), "<").unwrap_or_default()
    }
}

/// Juliet with an archive: 40 messages of Romeo and Paris in turns, one a second; each fifth is her own, to Romeo.
pub(crate) fn filled() -> (World, Client) {
    let mut world = World::archiving(&["romeo", "juliet", "paris"]);
    let juliet = world.online("juliet", "balcony");
    let romeo = world.online("romeo", "orchard");
    let paris = world.online("paris", "house");
    for number in 0..40 {
        let (from, to) = match (number % 5, number % 2) {
            (4, _) => (&juliet, "romeo@localhost"),
            (_, 0) => (&romeo, "juliet@localhost"),
            _ => (&paris, "juliet@localhost/balcony"),
        };
        world.send(
            from,
            &format!("<message to='{to}' type='chat'><body>{number}</body></message>"),
        );
        world.tick();
    }
    juliet.stanzas();
    (world, juliet)
}
