//! The client: what it says next if it means well, and what else it may say.

use rookery_xmpp::element::Element;
use rookery_xmpp::ns;
use rookery_xmpp::xml::STREAM_CLOSE;
use rookery_xmpp::xml::testing::STANZAS;

use super::choices::Choices;
use super::corpus::{self, BINDING, FINAL, NONCE, PROOF};
use super::scram::{First, HashName, base64, decoded, escape, nonce_of};
use super::view::Seen;
use super::words;
use super::world::{Account, World, account, accounts_at};

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
    /// Whether it may register, and has asked how.
    may_register: bool,
    registers: bool,
    /// Who it wants to be, and whether the server agreed.
    account: Option<&'static Account>,
    authenticated: bool,
    /// What it says when something else is next, and keeps to for a while.
    pub(super) habit: usize,
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
                self.authenticated = true;
                Next::Open
            }
            (ns::SASL, "failure") => Next::LogIn,
            (ns::CLIENT, "iq") if element.child("bind", ns::BIND).is_some() => Next::Talk,
            (ns::CLIENT, "iq") if self.next == Next::Wait => {
                let registers = std::mem::take(&mut self.registers);
                if registers { Next::LogIn } else { Next::Bind }
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
        self.may_register = features.child("register", ns::REGISTER_FEATURE).is_some();
        Next::LogIn
    }

    /// What it says next if it means well; `None` while it waits.
    pub(super) fn speak(&mut self, choices: &mut Choices<'_>, world: &World) -> Option<Vec<u8>> {
        let said = match self.next {
            Next::Wait => return None,
            Next::Open => self.open(choices, world),
            Next::StartTls => Element::new("starttls", ns::TLS).to_bytes().to_vec(),
            Next::LogIn if self.may_register && choices.below(6) == 1 => {
                // One request is allowed everywhere.
                self.may_register = choices.odd() || choices.odd();
                self.registers = true;
                words::registration("get")
            }
            Next::LogIn => self.log_in(choices, world),
            Next::Respond => self.respond(choices, world),
            Next::Bind => words::bind(choices.pick(&[None, Some("garden"), Some("ｇarden")])),
            Next::Talk => return Some(choices.pick(STANZAS).as_bytes().to_vec()),
            Next::Close => STREAM_CLOSE.to_vec(),
        };
        self.next = Next::Wait;
        Some(said)
    }

    /// A stream's header, which names the client only if it is the one.
    fn open(&self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let known = self.account.filter(|_| self.authenticated);
        let from = known.filter(|_| choices.either()).map(|a| a.jid.as_str());
        words::open(Some(world.host), from)
    }

    fn log_in(&mut self, choices: &mut Choices<'_>, world: &World) -> Vec<u8> {
        let at = choices.below(self.mechanisms.len().max(1));
        let mechanism = self.mechanisms.get(at).cloned().unwrap_or_default();
        let account = choices.pick(&accounts_at(world.host));
        self.account = Some(account);
        let first = self.right_first(choices, &mechanism, account);
        self.auth(choices, &mechanism, first)
    }

    /// A first message that begins a login that will succeed.
    pub(super) fn right_first(
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
        let own = own.then(|| format!("a={}", escape(account.jid.as_str())));
        let (flag, authzid) = (self.right_flag(choices, mechanism), own.unwrap_or_default());
        let nonce = choices.pick(&["abc", "fyko+d2lbbFgONRv9qkxdawL", "!~"]);
        format!("{flag},{authzid},n={},r={nonce}", escape(name)).into_bytes()
    }

    /// What a client that can bind to the channel says of it (RFC 5802 6).
    fn right_flag(&self, choices: &mut Choices<'_>, mechanism: &str) -> String {
        let offered = self.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
        if mechanism.ends_with("-PLUS") {
            let at = choices.below(self.bindings.len().max(1));
            return format!(
                "p={}",
                self.bindings.get(at).map_or("tls-exporter", |name| name)
            );
        }
        let unbound = if offered || choices.either() {
            "n"
        } else {
            "y"
        };
        unbound.to_owned()
    }

    /// `<auth/>`, with its first message in it or held back until it is asked for.
    pub(super) fn auth(
        &mut self,
        choices: &mut Choices<'_>,
        mechanism: &str,
        first: Vec<u8>,
    ) -> Vec<u8> {
        let text = if choices.below(4) == 1 {
            String::new()
        } else {
            coded(choices, &first)
        };
        self.begin(mechanism, first);
        words::auth(mechanism, &text)
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
        words::response(&coded(choices, &message))
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
            return words::auth(mechanism, &base64(message));
        }
        let message = self.fill_in(message, world);
        words::response(&base64(&message))
    }
}

/// A message in base64, which somebody may have damaged.
pub(super) fn coded(choices: &mut Choices<'_>, message: &[u8]) -> String {
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
