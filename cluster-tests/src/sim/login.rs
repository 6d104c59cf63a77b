//! What a client writes to be let in or to come back to its stream, and what it reads of its stream.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rookery_xmpp::element::Element;
use rookery_xmpp::jid::Jid;
use rookery_xmpp::ns;

use super::process::HOST;

/// A client that logs in.
pub(crate) struct Login {
    user: String,
    resource: &'static str,
    is_known: bool,
    /// The stream that it wants to go on with.
    resumption: Option<Resumption>,
    presence: Presence,
}

/// Who sits before the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// A client.
    Here,
    /// One that is gone as soon as it has asked to resume its stream.
    Leaving,
    /// Nobody.
    Gone,
}

/// How a client comes back to its stream (XEP-0198 5).
#[derive(Clone, Debug)]
pub(crate) struct Resumption {
    /// The name of the stream.
    pub(crate) id: String,
    /// How many stanzas it has read.
    pub(crate) h: u32,
    /// It says first that it has read many more.
    pub(crate) lies: bool,
}

/// What a client reads of its stream.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// Its stream is managed, and may be resumed if it has a name.
    Enabled(Option<String>),
    /// It goes on with its stream; so many of its stanzas count.
    Resumed(u32),
    /// It does not; perhaps so many of its stanzas count. It binds anew.
    Failed(Option<u32>),
    /// It had lied, and was told how many of its stanzas count.
    Exposed(Option<u32>),
    /// It had lied, and nobody has noticed.
    Believed,
    /// So many of its stanzas count.
    Acked(u32),
    /// It is asked how many it has read.
    Asked,
    /// Its stream is over.
    Over,
}

impl Login {
    /// Of an account, for a resource or for an earlier stream.
    pub(crate) fn new(
        account: &Jid,
        resource: &'static str,
        resumption: Option<Resumption>,
    ) -> Self {
        Self {
            user: account.local().unwrap_or_default().to_owned(),
            resource,
            is_known: false,
            resumption,
            presence: Presence::Here,
        }
    }

    /// The same, but the client is gone as soon as it has asked to resume its stream.
    pub(crate) fn leaving(self) -> Self {
        Self {
            presence: Presence::Leaving,
            ..self
        }
    }

    /// Nobody reads any more.
    pub(crate) fn goes_silent(&mut self) {
        self.presence = Presence::Gone;
    }

    /// The server has said something: what the client makes of it, and what it writes.
    pub(crate) fn told(&mut self, said: &str, is_bound: bool, write: &mut String) -> Option<Said> {
        if self.presence == Presence::Gone {
            return None;
        }
        if let Ok(element) = Element::parse(said.as_bytes())
            && element.ns() == ns::STREAM_MANAGEMENT
        {
            return self.managed(&element, write);
        }
        if said.contains("<success") {
            self.is_known = true;
            write.push_str(&header());
        } else if said.contains("<stream:features") && self.is_known {
            self.enter(write);
        } else if said.contains("<stream:features") {
            let proof = STANDARD.encode(format!("\0{}\0{PASSWORD}", self.user));
            let auth = format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"
            );
            write.push_str(&auth);
        } else if said.contains("<failure")
            || said.contains("</stream:stream>")
            || !is_bound && said.contains("type=\"error\"")
        {
            // It tries again with a stream of its own.
            return Some(Said::Over);
        }
        None
    }

    fn enter(&mut self, write: &mut String) {
        let Some(Resumption { id, h, lies }) = &self.resumption else {
            let bind = format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{}</resource></bind></iq>",
                self.resource
            );
            return write.push_str(&bind);
        };
        let h = if *lies { h.wrapping_add(LIE) } else { *h };
        let resume = format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>");
        write.push_str(&resume);
        if self.presence == Presence::Leaving {
            self.presence = Presence::Gone;
        }
    }

    /// XEP-0198.
    fn managed(&mut self, element: &Element, write: &mut String) -> Option<Said> {
        let h = element.attr("h").and_then(|h| h.parse().ok());
        match element.name() {
            "enabled" => Some(Said::Enabled(element.attr("id").map(str::to_owned))),
            "resumed" => match self.resumption.take() {
                Some(Resumption { lies: true, .. }) => Some(Said::Believed),
                _ => h.map(Said::Resumed),
            },
            "failed" => match &mut self.resumption {
                Some(resumption) if resumption.lies => {
                    resumption.lies = false;
                    self.enter(write);
                    Some(Said::Exposed(h))
                }
                _ if element.child("item-not-found", ns::STANZA_ERRORS).is_none() => {
                    // Nobody knows: it comes back later.
                    Some(Said::Over)
                }
                _ => {
                    self.resumption = None;
                    self.enter(write);
                    Some(Said::Failed(h))
                }
            },
            "a" => h.map(Said::Acked),
            "r" => Some(Said::Asked),
            _ => None,
        }
    }
}

/// The password of all accounts that have clients.
pub(crate) const PASSWORD: &str = "secret";

/// The beginning of a client's stream.
pub(crate) fn header() -> String {
    format!(
        "<stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

/// How many stanzas a client claims to have read that it was never sent.
const LIE: u32 = 1_000;
