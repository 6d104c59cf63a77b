//! A stream that is managed, as its client counts it (XEP-0198 4).
//!
//! ```text
//! client ── stanzas, <r/> ──► server     each stanza is kept until it is acknowledged
//! client ◄── <a h='…'/> ───── server     so many are: they are the server's now
//! client ◄── stanzas, <r/> ── server
//! client ── <a h='…'/> ─────► server     so many came
//! ```

use std::collections::VecDeque;

use super::session::Resumable;
use super::stanza;

/// A managed stream, with what its client keeps of each stanza until it is acknowledged.
#[derive(Debug)]
pub(crate) struct Managed<T> {
    stream: Resumable,
    /// What was sent and is not acknowledged, the oldest first.
    kept: VecDeque<T>,
    /// How many of what was sent are acknowledged.
    acknowledged: u32,
    /// The server has asked how many came.
    is_asked: bool,
}

impl<T> Managed<T> {
    /// A stream on which nothing has come or gone since it was enabled.
    pub(crate) fn new(stream: Resumable) -> Self {
        Self {
            stream,
            kept: VecDeque::new(),
            acknowledged: 0,
            is_asked: false,
        }
    }

    /// Another stream, on which all that this one keeps is to be sent again.
    pub(crate) fn replaced(self, stream: Resumable) -> Self {
        Self {
            kept: self.kept,
            ..Self::new(stream)
        }
    }

    /// What it is resumed with.
    pub(crate) fn stream(&self) -> &Resumable {
        &self.stream
    }

    /// A stanza is sent.
    pub(crate) fn sends(&mut self, kept: T) {
        self.kept.push_back(kept);
    }

    /// What is not acknowledged, the oldest first.
    pub(crate) fn unacknowledged(&self) -> impl ExactSizeIterator<Item = &T> {
        self.kept.iter()
    }

    /// An element has come: gives what it acknowledges.
    pub(crate) fn takes(&mut self, element: &[u8]) -> impl Iterator<Item = T> + '_ {
        let mut h = None;
        if is_stanza(element) {
            self.stream.came = self.stream.came.wrapping_add(1);
        } else if stanza::is(element, "r") {
            self.is_asked = true;
        } else if stanza::is(element, "a") {
            h = h_of(element);
        }
        self.settles(h.unwrap_or(self.acknowledged))
    }

    /// So many of all that was sent are acknowledged: gives what is not kept any more.
    pub(crate) fn settles(&mut self, h: u32) -> impl Iterator<Item = T> + '_ {
        let news = h.wrapping_sub(self.acknowledged) as usize;
        // More than was sent is nonsense, and less than before as well.
        let news = if news > self.kept.len() { 0 } else { news };
        self.acknowledged = self.acknowledged.wrapping_add(news as u32);
        self.kept.drain(..news)
    }

    /// Answers the server, if it has asked.
    pub(crate) fn answer(&mut self, out: &mut Vec<u8>) -> bool {
        if self.is_asked {
            let answer = format!("<a xmlns='{NS}' h='{}'/>", self.stream.came);
            out.extend_from_slice(answer.as_bytes());
        }
        std::mem::take(&mut self.is_asked)
    }
}

/// The namespace.
pub(crate) const NS: &str = "urn:xmpp:sm:3";

/// Asks the server how many have come.
pub(crate) const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";

/// How many stanzas the server says have come.
pub(crate) fn h_of(element: &[u8]) -> Option<u32> {
    let h = stanza::attribute(element, "h")?;
    std::str::from_utf8(h).ok()?.parse().ok()
}

fn is_stanza(element: &[u8]) -> bool {
    let names = ["message", "presence", "iq"];
    names.iter().any(|name| stanza::is(element, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed(sent: u32) -> Managed<u32> {
        let mut managed = Managed::new(Resumable {
            id: "x".to_owned(),
            jid: "a@b/c".to_owned(),
            came: 0,
        });
        (0..sent).for_each(|number| managed.sends(number));
        managed
    }

    fn taken(managed: &mut Managed<u32>, element: &str) -> Vec<u32> {
        managed.takes(element.as_bytes()).collect()
    }

    #[test]
    fn what_the_server_acknowledges_is_kept_no_longer_and_nonsense_is_passed_over() {
        let mut managed = managed(5);
        assert_eq!(
            taken(&mut managed, "<a xmlns='urn:xmpp:sm:3' h='2'/>"),
            [0, 1]
        );
        assert_eq!(
            taken(&mut managed, "<a xmlns='urn:xmpp:sm:3' h='2'/>"),
            [0; 0]
        );
        assert_eq!(
            taken(&mut managed, "<a xmlns='urn:xmpp:sm:3' h='9'/>"),
            [0; 0]
        );
        assert_eq!(
            taken(&mut managed, "<a xmlns='urn:xmpp:sm:3' h='1'/>"),
            [0; 0]
        );
        assert_eq!(
            taken(&mut managed, "<a xmlns='urn:xmpp:sm:3' h='4'/>"),
            [2, 3]
        );
        let left: Vec<_> = managed.unacknowledged().copied().collect();
        assert_eq!(left, [4]);
    }

    #[test]
    fn stanzas_are_counted_and_nothing_else_and_who_asks_is_told_once() {
        let mut managed = managed(0);
        for element in ["<message/>", "<presence/>", "<iq/>", "<other/>", "<r/>"] {
            assert_eq!(taken(&mut managed, element), [0; 0]);
        }
        let mut out = Vec::new();
        assert!(managed.answer(&mut out) && !managed.answer(&mut out));
        assert_eq!(out, b"<a xmlns='urn:xmpp:sm:3' h='3'/>");
        assert_eq!(managed.stream().came, 3);
    }
}
