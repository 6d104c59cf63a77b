//! What a client says when something else is next.

use rookery_xmpp::xml::testing::{Generator, STANZAS};

use super::choices::Choices;
use super::client::{Client, coded};
use super::corpus::{self, FINAL, FIRST, MECHANISMS, PLAIN};
use super::words;
use super::world::{HOSTS, World, accounts_at};

impl Client {
    /// Something else than what is next.
    pub(super) fn blurt(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        if choices.either() {
            self.habit = choices.below(13);
        }
        let mut said = match self.habit {
            0 | 1 => self.odd_auth(choices, world),
            2 | 3 => self.odd_response(choices, world),
            4 => choices.pick(ODDITIES).as_bytes().to_vec(),
            5 => words::open(choices.pick(HOSTS_NAMED), choices.pick(NAMES)),
            6 => words::bind(choices.pick(&[None, Some("r"), Some("\u{200b}"), Some(" ")])),
            7 => choices.pick(STANZAS).as_bytes().to_vec(),
            8 => words::registration(choices.pick(&["get", "get", "set", "result"])),
            9 => Generator::new(choices.entropy()).element(),
            10 => ODDITIES[0].as_bytes().to_vec(),
            _ => self.speak(choices, world).unwrap_or_default(),
        };
        if choices.below(6) == 1 {
            Generator::new(choices.entropy()).mutate(&mut said);
        }
        if choices.below(6) == 1 {
            said.extend(self.speak(choices, world).unwrap_or_default());
        }
        said
    }

    fn odd_auth(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let mechanism = choices.pick(MECHANISMS);
        if choices.either() {
            let account = choices.pick(&accounts_at(world.host));
            let first = self.right_first(choices, mechanism, account);
            return self.auth(choices, mechanism, first);
        }
        let corpus = if mechanism == "PLAIN" { PLAIN } else { FIRST };
        let mut first = choices.pick(corpus).to_vec();
        if choices.either() {
            corpus::spoil(choices, &mut first);
        }
        self.auth(choices, mechanism, first)
    }

    fn odd_response(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let mut template = choices.pick(FINAL).to_vec();
        if choices.either() {
            corpus::spoil(choices, &mut template);
        }
        let mut message = self.fill_in(&template, world);
        if choices.either() {
            corpus::spoil(choices, &mut message);
        }
        words::response(&coded(choices, &message))
    }
}

/// Hosts to open a stream to.
const HOSTS_NAMED: &[Option<&str>] = &[
    Some(HOSTS[0]),
    Some(HOSTS[1]),
    Some("other.example"),
    Some("a b"),
    None,
];

/// Who may be said to open it.
const NAMES: &[Option<&str>] = &[
    None,
    Some("juliet@localhost"),
    Some("juliet@capulet.example/r"),
    Some("romeo@localhost"),
    Some("@"),
];

/// Elements that are not expected anywhere, or only somewhere.
const ODDITIES: &[&str] = &[
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'><x/></auth>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>",
    "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    "<iq type='get'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    "<iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    "<iq/>",
    "<x xmlns='urn:x'/>",
    "</stream:stream>",
    " ",
    "text",
    "<!-- x -->",
    "\0",
];
