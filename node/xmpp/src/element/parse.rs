//! Reading the canonical form, and nothing but the canonical form.
//!
//! The bytes come from our reader or our writer, so a deviation is a fault or an attack and never
//! something to repair. Open elements lie on a stack of our own: input cannot exhaust the thread's.

use std::borrow::Cow;

use super::{Attr, Element, Node, Word};
use crate::escape::{Place, unescape_strict};
use crate::ns;

/// Elements inside one another, the top one included; as many as the reader lets through.
pub const DEPTH_MAX: usize = 64;

/// Attributes of one element as written, declarations included; as many as the reader lets through.
pub const ATTRIBUTES_MAX: usize = 64;

/// The bytes are not the canonical form of one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not canonical at byte {at}: {reason}")]
pub struct NotCanonical {
    /// Where, in bytes from the start; at most the length.
    pub at: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Reads one element.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, NotCanonical> {
    let mut parser = Parser { bytes, at: 0 };
    let mut open: Vec<Element> = Vec::new();
    loop {
        let parent_ns = open.last().map(|parent| &parent.ns);
        let (element, empty) = parser.start_tag(parent_ns)?;
        if !empty {
            if open.len() + 1 >= DEPTH_MAX {
                return parser.fail("too deep");
            }
            open.push(element);
        } else if let Some(parent) = open.last_mut() {
            parent.nodes.push(Node::Element(element));
        } else {
            return parser.end(element);
        }
        if let Some(done) = parser.content(&mut open)? {
            return parser.end(done);
        }
    }
}

/// Whether XML allows these bytes as a name without a prefix; only ASCII, as the reader.
pub(super) fn is_name(name: &[u8]) -> bool {
    let Some((first, rest)) = name.split_first() else {
        return false;
    };
    (first.is_ascii_alphabetic() || *first == b'_')
        && rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
}

/// Whether these bytes are a name, or one with the prefix `xml`.
pub(super) fn is_attribute_name(name: &[u8]) -> bool {
    is_name(name.strip_prefix(b"xml:").unwrap_or(name))
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    /// Character data and end tags, up to the next start tag. `Some` when the outermost element has
    /// ended.
    fn content(&mut self, open: &mut Vec<Element>) -> Result<Option<Element>, NotCanonical> {
        while let Some(parent) = open.last_mut() {
            let text = self.until(b'<')?;
            if !text.is_empty() {
                let Some(text) = unescape_strict(text, Place::Text) else {
                    return self.fail("text not in canonical spelling");
                };
                parent.nodes.push(Node::Text(text.into_owned()));
            }
            if !self.take(b"</") {
                return Ok(None);
            }
            if parent.nodes.is_empty() {
                return self.fail("an empty element has no end tag");
            }
            if !(self.take(parent.name.as_str().as_bytes()) && self.take(b">")) {
                return self.fail("end tag of another element");
            }
            let Some(done) = open.pop() else { break };
            match open.last_mut() {
                Some(parent) => parent.nodes.push(Node::Element(done)),
                None => return Ok(Some(done)),
            }
        }
        self.fail("nothing is open")
    }

    /// A whole start tag, and whether the element is empty.
    fn start_tag(&mut self, parent_ns: Option<&Word>) -> Result<(Element, bool), NotCanonical> {
        if !self.take(b"<") {
            return self.fail("start tag expected");
        }
        let name = self.name()?;
        let ns = self.namespace(parent_ns)?;
        let mut element = Element {
            name: name_word(name),
            ns,
            attrs: Vec::new(),
            nodes: Vec::new(),
        };
        self.attributes(&mut element)?;
        if self.take(b"/>") {
            Ok((element, true))
        } else if self.take(b">") {
            Ok((element, false))
        } else {
            self.fail("attribute or end of tag expected")
        }
    }

    /// The default namespace's declaration, which stands exactly where the namespace changes.
    fn namespace(&mut self, parent_ns: Option<&Word>) -> Result<Word, NotCanonical> {
        let inherited = parent_ns.cloned().unwrap_or_else(|| Word::from(ns::CLIENT));
        if !self.take(b" xmlns=\"") {
            return Ok(inherited);
        }
        let uri = self.namespace_name()?;
        if uri == inherited.as_str() {
            return self.fail("namespace declared again");
        }
        Ok(namespace_word(uri))
    }

    fn attributes(&mut self, element: &mut Element) -> Result<(), NotCanonical> {
        let mut declared: Vec<Word> = Vec::new();
        let mut unused = false;
        while self.take(b" ") {
            if element.attrs.len() + declared.len() >= ATTRIBUTES_MAX {
                return self.fail("too many attributes");
            }
            if self.take(b"xmlns:") {
                if unused {
                    return self.fail("prefix declared without use");
                }
                let word = self.declaration(&declared)?;
                declared.push(word);
                unused = true;
                continue;
            }
            let attr = self.attribute(&declared, unused)?;
            unused = false;
            if element
                .attrs
                .iter()
                .any(|other| other.ns == attr.ns && other.name == attr.name)
            {
                return self.fail("attribute twice");
            }
            element.attrs.push(attr);
        }
        if unused {
            self.fail("prefix declared without use")
        } else {
            Ok(())
        }
    }

    /// `aN="uri"` of a declaration, behind `xmlns:`.
    fn declaration(&mut self, declared: &[Word]) -> Result<Word, NotCanonical> {
        if !(self.take(format!("a{}", declared.len()).as_bytes()) && self.take(b"=\"")) {
            return self.fail("prefixes are a0, a1 and so on");
        }
        let uri = self.namespace_name()?;
        if uri.is_empty() || declared.iter().any(|word| word.as_str() == uri) {
            return self.fail("declaration of nothing, or again");
        }
        Ok(namespace_word(uri))
    }

    /// One attribute. If a prefix was declared just before, it must be this attribute's.
    fn attribute(&mut self, declared: &[Word], fresh: bool) -> Result<Attr, NotCanonical> {
        let start = self.at;
        let mut name = self.name()?;
        let mut ns = None;
        if self.take(b":") {
            let local = self.name()?;
            if name == "xml" {
                name = self.slice_text(start)?;
            } else {
                ns = prefix_number(name)
                    .and_then(|number| declared.get(number))
                    .cloned();
                if ns.is_none() {
                    return self.fail("prefix not declared");
                }
                name = local;
            }
        } else if name == "xmlns" {
            return self.fail("xmlns not first");
        }
        if fresh && ns.as_ref() != declared.last() {
            return self.fail("prefix declared without use");
        }
        if !self.take(b"=\"") {
            return self.fail("=\" expected");
        }
        let Some(value) = unescape_strict(self.until(b'"')?, Place::Value) else {
            return self.fail("value not in canonical spelling");
        };
        self.at += 1;
        Ok(Attr {
            ns,
            name: name_word(name),
            value: value.into_owned(),
        })
    }

    /// A namespace's name up to and with the closing quote.
    fn namespace_name(&mut self) -> Result<Cow<'a, str>, NotCanonical> {
        let raw = self.until(b'"')?;
        let Some(uri) = unescape_strict(raw, Place::Value) else {
            return self.fail("namespace not in canonical spelling");
        };
        let unfit = |byte: u8| byte <= b' ' || byte == 0x7f;
        if uri.bytes().any(unfit) || uri == ns::XML || uri == XMLNS {
            return self.fail("no name for a namespace");
        }
        self.at += 1;
        Ok(uri)
    }

    fn name(&mut self) -> Result<&'a str, NotCanonical> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
        self.at += rest
            .iter()
            .position(|byte| !inside(byte))
            .unwrap_or(rest.len());
        if is_name(&self.bytes[start..self.at]) {
            self.slice_text(start)
        } else {
            self.fail("name expected")
        }
    }

    fn slice_text(&self, start: usize) -> Result<&'a str, NotCanonical> {
        let text = std::str::from_utf8(&self.bytes[start..self.at]);
        text.map_err(|_| NotCanonical {
            at: start,
            reason: "name not in ASCII",
        })
    }

    /// Everything before the next `byte`, which must come and is not consumed.
    fn until(&mut self, byte: u8) -> Result<&'a [u8], NotCanonical> {
        let rest = &self.bytes[self.at..];
        let Some(length) = memchr::memchr(byte, rest) else {
            return self.fail("unfinished");
        };
        self.at += length;
        Ok(&rest[..length])
    }

    fn take(&mut self, expected: &[u8]) -> bool {
        let there = self.bytes[self.at..].starts_with(expected);
        if there {
            self.at += expected.len();
        }
        there
    }

    fn end(&self, element: Element) -> Result<Element, NotCanonical> {
        if self.at == self.bytes.len() {
            Ok(element)
        } else {
            self.fail("more than one element")
        }
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, NotCanonical> {
        Err(NotCanonical {
            at: self.at,
            reason,
        })
    }
}

/// `3` for `a3`, spelt the one way.
fn prefix_number(prefix: &str) -> Option<usize> {
    let digits = prefix.strip_prefix('a')?;
    let number: usize = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn namespace_word(uri: Cow<'_, str>) -> Word {
    ns::known(&uri).map_or_else(|| Word::from(uri.into_owned()), Word::from)
}

/// Names that nearly every stanza has are not allocated.
fn name_word(name: &str) -> Word {
    const COMMON: &[&str] = &[
        "body",
        "error",
        "field",
        "from",
        "group",
        "id",
        "iq",
        "item",
        "jid",
        "message",
        "name",
        "node",
        "presence",
        "query",
        "status",
        "subscription",
        "text",
        "to",
        "type",
        "value",
        "var",
        "x",
        "xml:lang",
    ];
    match COMMON.binary_search(&name) {
        Ok(at) => Word::from(COMMON[at]),
        Err(_) => Word::from(name.to_owned()),
    }
}

const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
