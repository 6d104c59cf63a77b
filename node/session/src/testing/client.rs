//! The client: what it says next if it means well, and what else it may say.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::stanza::Content;
use rookery_xmpp::xml::testing::{Generator, STANZAS};
use rookery_xmpp::xml::{STREAM_CLOSE, StreamOpen, write_stream_open};

use super::choices::Choices;
use super::corpus::{self, BINDING, FINAL, FIRST, MECHANISMS, NONCE, PLAIN, PROOF};
use super::scram::{First, HashName, base64, decoded, escape, nonce_of};
use super::view::Seen;
use super::world::{Account, HOSTS, World, account, accounts_at};

/// A client at one end of a connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    next: Next,
    mechanisms: Vec<String>,
    bindings: Vec<String>,
    mechanism: String,
    /// Its first message in the login that is going on.
    first: Vec<u8>,
    challenge: String,
    /// What the server must prove in the end.
    wanted: Option<String>,
    /// What the server said that a client who means well would not take.
    pub(super) complaint: Option<String>,
}

/// What a client does next if it means well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    /// It waits for an answer.
    Wait,
    #[default]
    Open,
    StartTls,
    LogIn,
    Respond,
    Bind,
    Talk,
    Close,
}

impl Client {
    /// Looks at what the server sent.
    pub(super) fn see(&mut self, seen: &Seen) {
        let element = match seen {
            Seen::Open(_) => return,
            Seen::Close => return self.next = Next::Close,
            Seen::Element(element) => element,
        };
        self.next = match (element.ns(), element.name()) {
            (ns::STREAMS, "features") => self.see_features(element),
            (ns::TLS, "proceed") => Next::Open,
            (ns::SASL, "challenge") => {
                let text = decoded(&element.text()).unwrap_or_default();
                self.challenge = String::from_utf8(text).unwrap_or_default();
                Next::Respond
            }
            (ns::SASL, "success") => {
                let last = decoded(&element.text()).and_then(|text| String::from_utf8(text).ok());
                if self.wanted.is_some() && self.wanted != last {
                    self.complaint = Some(format!("the server did not prove itself: {last:?}"));
                }
                Next::Open
            }
            (ns::SASL, "failure") => Next::LogIn,
            (ns::CLIENT, "iq") if element.child("bind", ns::BIND).is_some() => Next::Talk,
            (ns::CLIENT, "iq")
                if self.next == Next::Wait && element.attr("type") == Some("error") =>
            {
                Next::Bind
            }
            _ => self.next,
        };
    }

    fn see_features(&mut self, features: &Element) -> Next {
        let texts = |name, ns| {
            let list = features.child(name, ns).into_iter();
            list.flat_map(Element::elements)
        };
        if features.child("starttls", ns::TLS).is_some() {
            return Next::StartTls;
        }
        if features.child("bind", ns::BIND).is_some() {
            return Next::Bind;
        }
        self.mechanisms = texts("mechanisms", ns::SASL).map(Element::text).collect();
        self.bindings = texts("sasl-channel-binding", ns::SASL_CHANNEL_BINDING)
            .filter_map(|binding| binding.attr("type").map(str::to_owned))
            .collect();
        Next::LogIn
    }

    /// What it says next if it means well; `None` while it waits.
    pub(super) fn speak(&mut self, choices: &mut Choices<'_>, world: &World) -> Option<Vec<u8>> {
        let said = match self.next {
            Next::Wait => return None,
            Next::Open => open(Some(world.host)),
            Next::StartTls => Element::new("starttls", ns::TLS).to_bytes().to_vec(),
            Next::LogIn => self.log_in(choices, world),
            Next::Respond => self.respond(choices, world),
            Next::Bind => bind(choices.pick(&[None, Some("garden"), Some("ｇarden")])),
            Next::Talk => return Some(choices.pick(STANZAS).as_bytes().to_vec()),
            Next::Close => STREAM_CLOSE.to_vec(),
        };
        self.next = Next::Wait;
        Some(said)
    }

    fn log_in(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let at = choices.below(self.mechanisms.len().max(1));
        let mechanism = self.mechanisms.get(at).cloned().unwrap_or_default();
        let account = choices.pick(&accounts_at(world.host));
        let first = self.right_first(choices, &mechanism, account);
        self.auth(choices, &mechanism, first)
    }

    /// A first message that begins a login that will succeed.
    fn right_first(
        &self,
        choices: &mut Choices<'_>,
        mechanism: &str,
        account: &Account,
    ) -> Vec<u8> {
        let name = account.jid.local().unwrap_or_default();
        let own = choices.either();
        if mechanism == "PLAIN" {
            let authzid = if own { account.jid.as_str() } else { "" };
            return format!("{authzid}\0{name}\0{}", account.password).into_bytes();
        }
        let plus = self.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
        let flag = match mechanism.ends_with("-PLUS") {
            true => format!(
                "p={}",
                choices.pick(&self.bindings.iter().collect::<Vec<_>>())
            ),
            false if plus || choices.either() => "n".to_owned(),
            false => "y".to_owned(),
        };
        let authzid = if own {
            format!("a={}", escape(account.jid.as_str()))
        } else {
            String::new()
        };
        let nonce = choices.pick(&["abc", "fyko+d2lbbFgONRv9qkxdawL", "!~"]);
        format!("{flag},{authzid},n={},r={nonce}", escape(name)).into_bytes()
    }

    /// `<auth/>`, with its first message in it or held back until it is asked for.
    fn auth(&mut self, choices: &mut Choices<'_>, mechanism: &str, first: Vec<u8>) -> Vec<u8> {
        let text = if choices.below(4) == 1 {
            String::new()
        } else {
            coded(choices, &first)
        };
        self.begin(mechanism, first);
        auth(mechanism, &text)
    }

    fn begin(&mut self, mechanism: &str, first: Vec<u8>) {
        self.mechanism = mechanism.to_owned();
        self.wanted = None;
        self.challenge.clear();
        self.first = first;
    }

    fn respond(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let message = if self.challenge.is_empty() {
            self.first.clone()
        } else {
            let template = choices.pick(&[FINAL[0], FINAL[1], FINAL[2]]);
            self.fill_in(template, world)
        };
        response(choices, &message)
    }

    /// A last message out of a template.
    pub(super) fn fill_in(&mut self, template: &[u8], world: &World) -> Vec<u8> {
        let binding = binding_of(First::read(&self.first).as_ref(), world);
        let nonce = nonce_of(&self.challenge)
            .unwrap_or_default()
            .as_bytes()
            .to_vec();
        let mut message = Vec::new();
        for byte in template {
            match *byte {
                NONCE => message.extend_from_slice(&nonce),
                BINDING => message.extend_from_slice(binding.as_bytes()),
                PROOF => {
                    let proof = self.proof(&message, world);
                    message.extend(proof.unwrap_or_default().into_bytes());
                }
                other => message.push(other),
            }
        }
        message
    }

    /// The right proof for the last message as it is so far.
    fn proof(&mut self, message: &[u8], world: &World) -> Option<String> {
        let hash = HashName::of(&self.mechanism)?;
        let first = First::read(&self.first)?;
        let unproven = std::str::from_utf8(message).ok()?;
        let unproven = unproven.strip_suffix(",p=").unwrap_or(unproven);
        let known = first.account(world.host).and_then(|jid| account(&jid));
        let password = known.map_or("pencil", |account| account.password);
        let message = format!("{},{},{unproven}", first.bare, self.challenge);
        self.wanted = Some(hash.server_final(password, &message));
        Some(base64(&hash.proof(password, &message)))
    }

    /// Says this message: at first as the beginning of a login, then where the last one failed or ended as another
    /// beginning, else as a response.
    pub(super) fn say(&mut self, message: &[u8], mechanism: &str, world: &World) -> Vec<u8> {
        if self.next == Next::LogIn {
            self.next = Next::Wait;
            self.begin(mechanism, message.to_vec());
            return auth(mechanism, &base64(message));
        }
        let message = self.fill_in(message, world);
        Element::new("response", ns::SASL)
            .with_text(&base64(&message))
            .to_bytes()
            .to_vec()
    }

    /// Something else than what is next.
    pub(super) fn blurt(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let mut said = match choices.below(12) {
            0 | 1 => self.odd_auth(choices),
            2 | 3 => self.odd_response(choices, world),
            4 => choices.pick(ODDITIES).as_bytes().to_vec(),
            5 => open(choices.pick(&[
                Some(HOSTS[0]),
                Some(HOSTS[1]),
                Some("other.example"),
                Some("a b"),
                None,
            ])),
            6 => bind(choices.pick(&[None, Some("r"), Some("\u{200b}"), Some(" ")])),
            7 => choices.pick(STANZAS).as_bytes().to_vec(),
            8 => registration(choices),
            9 => Generator::new(choices.entropy()).element(),
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

    fn odd_auth(&mut self, choices: &mut Choices<'_>) -> Vec<u8> {
        let mechanism = choices.pick(MECHANISMS);
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
        response(choices, &message)
    }
}

/// Elements that are not expected anywhere, or only somewhere.
const ODDITIES: &[&str] = &[
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
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

/// A stream's header.
pub(super) fn open(to: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let open = StreamOpen {
        to,
        ..StreamOpen::default()
    };
    write_stream_open(&mut out, Content::Client, &open);
    out
}

fn auth(mechanism: &str, text: &str) -> Vec<u8> {
    let auth = Element::new("auth", ns::SASL).with_attr("mechanism", mechanism);
    auth.with_text(text).to_bytes().to_vec()
}

fn bind(resource: Option<&str>) -> Vec<u8> {
    let resource = resource.map(|text| Element::new("resource", ns::BIND).with_text(text));
    let bind = Element::new("bind", ns::BIND).with_children(resource);
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", "set")
        .with_attr("id", "b");
    iq.with_child(bind).to_bytes().to_vec()
}

fn registration(choices: &mut Choices<'_>) -> Vec<u8> {
    let kind = choices.pick(&["get", "set", "result"]);
    let query = Element::new("query", ns::REGISTER);
    let iq = Element::new("iq", ns::CLIENT)
        .with_attr("type", kind)
        .with_attr("id", "r");
    iq.with_child(query).to_bytes().to_vec()
}

fn response(choices: &mut Choices<'_>, message: &[u8]) -> Vec<u8> {
    let text = coded(choices, message);
    Element::new("response", ns::SASL)
        .with_text(&text)
        .to_bytes()
        .to_vec()
}

/// A message in base64, which somebody may have damaged.
fn coded(choices: &mut Choices<'_>, message: &[u8]) -> String {
    let mut text = base64(message);
    if choices.odd() && choices.either() {
        corpus::damage(choices, &mut text);
    }
    text
}

/// What `c=` must say, as far as the client knows, in base64.
fn binding_of(first: Option<&First<'_>>, world: &World) -> String {
    let Some(first) = first else {
        return String::new();
    };
    let data = first
        .binding_name()
        .and_then(|name| world.binding_data(name));
    base64(&[first.gs2_header.as_bytes(), &data.unwrap_or_default()].concat())
}
