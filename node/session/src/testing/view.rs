//! What a client sees of what the machine sends.

use rookery_xmpp::element::Element;
use rookery_xmpp::stanza::Content;
use rookery_xmpp::xml::{Item, Reader, StreamHeader, XmlLimits};

/// One item of the server's stream.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It opened its stream.
    Open(StreamHeader),
    /// It sent an element.
    Element(Element),
    /// It ended its stream.
    Close,
}

/// The reader at the client's end.
#[derive(Debug)]
pub(super) struct View(Reader);

impl View {
    pub(super) fn new() -> Self {
        Self(Reader::new(Content::Client, XmlLimits::default()))
    }

    /// A new stream follows.
    pub(super) fn reset(&mut self) {
        self.0.reset();
    }

    /// Reads what was sent at once: whole items only, so that no client waits for the rest of one.
    ///
    /// # Errors
    /// No client could read it.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<Vec<Seen>, String> {
        let mut seen = Vec::new();
        loop {
            let mut out = Vec::new();
            let item = self.0.next(&mut bytes, &mut out);
            let item = item.map_err(|error| format!("nobody can read what was sent: {error:?}"))?;
            seen.push(match item {
                None => break,
                Some(Item::Open(header)) => Seen::Open(header),
                Some(Item::Close) => Seen::Close,
                Some(Item::Stanza(header)) => {
                    let element = Element::parse(header.whole.of(&out));
                    Seen::Element(element.map_err(|_| "not canonical".to_owned())?)
                }
            });
        }
        if !self.0.is_idle() {
            return Err("half an element was sent".to_owned());
        }
        Ok(seen)
    }
}
