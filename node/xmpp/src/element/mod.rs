//! A small tree, for modules that must look inside a stanza or build one. Routing never needs it.
//!
//! ```text
//! canonical bytes ─► Element::parse ─► Element ─► Element::write ─► the same bytes
//! ```
//!
//! Elements in the content namespace have the namespace `jabber:client` in the tree, whichever
//! stream they came from.

mod parse;
mod word;
mod write;

use std::fmt;

use bytes::Bytes;

pub use parse::{ATTRIBUTES_MAX, DEPTH_MAX, NotCanonical};
pub use word::Word;

/// One element: name, namespace, attributes and children, in order.
///
/// ```
/// use rookery_xmpp::element::Element;
///
/// let iq = Element::new("iq", "jabber:client")
///     .with_attr("type", "get")
///     .with_child(Element::new("ping", "urn:xmpp:ping"));
/// assert_eq!(&iq.to_bytes()[..], br#"<iq type="get"><ping xmlns="urn:xmpp:ping"/></iq>"#);
/// assert_eq!(Element::parse(&iq.to_bytes()), Ok(iq));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    name: Word,
    ns: Word,
    attrs: Vec<Attr>,
    nodes: Vec<Node>,
}

/// One attribute of an [`Element`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Its namespace; `None` for the usual attribute without one, and for those with the prefix
    /// `xml`.
    pub ns: Option<Word>,
    /// Its name; those in the XML namespace have their prefix, as in `xml:lang`.
    pub name: Word,
    /// Its value, unescaped.
    pub value: String,
}

/// A child of an [`Element`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Character data, unescaped and never empty; two never stand next to each other.
    Text(String),
}

/// Building, by value.
impl Element {
    /// An empty element. `name` and `ns` come from the program, not from the network: a name that
    /// XML does not allow is a fault of the program.
    pub fn new(name: impl Into<Word>, ns: impl Into<Word>) -> Self {
        let (name, ns) = (name.into(), ns.into());
        debug_assert!(
            parse::is_name(name.as_str().as_bytes()),
            "not a name: {name:?}"
        );
        Self {
            name,
            ns,
            attrs: Vec::new(),
            nodes: Vec::new(),
        }
    }

    /// Sets an attribute.
    pub fn with_attr(mut self, name: impl Into<Word>, value: impl Into<String>) -> Self {
        self.set_attr(name, value);
        self
    }

    /// Sets an attribute where there is a value for it.
    pub fn with_optional_attr(
        self,
        name: impl Into<Word>,
        value: Option<impl Into<String>>,
    ) -> Self {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    /// Adds a child behind all others.
    pub fn with_child(mut self, child: Self) -> Self {
        self.push_child(child);
        self
    }

    /// Adds children behind all others.
    pub fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        children
            .into_iter()
            .for_each(|child| self.push_child(child));
        self
    }

    /// Adds character data behind all children.
    pub fn with_text(mut self, text: &str) -> Self {
        self.push_text(text);
        self
    }
}

/// Changing in place.
impl Element {
    /// Sets an attribute without a namespace (or one with the prefix `xml`), at its place if it is
    /// there already.
    pub fn set_attr(&mut self, name: impl Into<Word>, value: impl Into<String>) {
        self.put_attr(None, name.into(), value.into());
    }

    /// Sets an attribute in a namespace.
    pub fn set_attr_ns(
        &mut self,
        ns: impl Into<Word>,
        name: impl Into<Word>,
        value: impl Into<String>,
    ) {
        self.put_attr(Some(ns.into()), name.into(), value.into());
    }

    /// Takes an attribute without a namespace away and returns its value.
    pub fn remove_attr(&mut self, name: &str) -> Option<String> {
        let at = self.attrs.iter().position(|attr| attr.is(None, name))?;
        Some(self.attrs.remove(at).value)
    }

    /// Adds a child behind all others.
    pub fn push_child(&mut self, child: Self) {
        self.nodes.push(Node::Element(child));
    }

    /// Adds character data behind all children; nothing happens when it is empty.
    pub fn push_text(&mut self, text: &str) {
        match self.nodes.last_mut() {
            _ if text.is_empty() => {}
            Some(Node::Text(last)) => last.push_str(text),
            _ => self.nodes.push(Node::Text(text.to_owned())),
        }
    }

    /// Removes the child elements for which `keep` is false. Character data stays.
    pub fn retain_children(&mut self, mut keep: impl FnMut(&Self) -> bool) {
        let nodes = std::mem::take(&mut self.nodes);
        for node in nodes {
            match node {
                Node::Element(child) if keep(&child) => self.push_child(child),
                Node::Element(_) => {}
                Node::Text(text) => self.push_text(&text),
            }
        }
    }

    fn put_attr(&mut self, ns: Option<Word>, name: Word, value: String) {
        debug_assert!(
            parse::is_attribute_name(name.as_str().as_bytes()),
            "not a name: {name:?}"
        );
        let same = |attr: &&mut Attr| attr.is(ns.as_ref().map(Word::as_str), name.as_str());
        match self.attrs.iter_mut().find(same) {
            Some(attr) => attr.value = value,
            None => self.attrs.push(Attr { ns, name, value }),
        }
    }
}

/// Looking.
impl Element {
    /// Its local name.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Its namespace.
    pub fn ns(&self) -> &str {
        self.ns.as_str()
    }

    /// Whether it has this name in this namespace.
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name.as_str() == name && self.ns.as_str() == ns
    }

    /// The value of an attribute without a namespace, or of `xml:lang` and its like.
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attrs
            .iter()
            .find(|attr| attr.is(None, name))
            .map(|attr| attr.value.as_str())
    }

    /// All attributes, in order.
    pub fn attrs(&self) -> &[Attr] {
        &self.attrs
    }

    /// All children, in order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The child elements, in order.
    pub fn elements(&self) -> impl DoubleEndedIterator<Item = &Self> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(child) => Some(child),
            Node::Text(_) => None,
        })
    }

    /// The first child with this name in this namespace.
    pub fn child(&self, name: &str, ns: &str) -> Option<&Self> {
        self.elements().find(|child| child.is(name, ns))
    }

    /// The first child with this name in this namespace, to be changed.
    pub fn child_mut(&mut self, name: &str, ns: &str) -> Option<&mut Self> {
        self.nodes.iter_mut().find_map(|node| match node {
            Node::Element(child) if child.is(name, ns) => Some(child),
            _ => None,
        })
    }

    /// The character data directly inside, joined.
    pub fn text(&self) -> String {
        let texts = self.nodes.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) => None,
        });
        texts.collect()
    }

    /// Whether it has neither children nor character data.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

/// Reading and writing the canonical form.
impl Element {
    /// Reads the canonical bytes of one element. On its top the namespace `jabber:client` goes
    /// without saying.
    ///
    /// # Errors
    /// [`NotCanonical`] for every other spelling, for anything before or behind the element, and
    /// for trees beyond [`DEPTH_MAX`] or [`ATTRIBUTES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NotCanonical> {
        parse::parse(bytes)
    }

    /// Appends the canonical form; without `xmlns` on the top when its namespace is
    /// `jabber:client`.
    pub fn write(&self, out: &mut Vec<u8>) {
        write::write(self, out);
    }

    /// The canonical form.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        self.write(&mut out);
        Bytes::from(out)
    }
}

/// Shows the canonical form.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

/// Shows the canonical form.
impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Attr {
    fn is(&self, ns: Option<&str>, name: &str) -> bool {
        self.name.as_str() == name && self.ns.as_ref().map(Word::as_str) == ns
    }
}

#[cfg(test)]
mod tests;
