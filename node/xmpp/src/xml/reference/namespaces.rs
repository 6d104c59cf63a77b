//! Namespaces in XML 1.0, with the checks that the parser below leaves out.

use std::sync::Arc;

use rxml::parser::RawQName;

use crate::stanza::{Content, Namespace};
use crate::xml::error::ReadError;

/// A namespace in force: its number, and its name.
#[derive(Clone, Debug)]
pub(super) struct Uri {
    pub(super) known: Namespace,
    text: Text,
}

#[derive(Clone, Debug)]
enum Text {
    Fixed(&'static str),
    Shared(Arc<str>),
}

impl Uri {
    pub(super) const NONE: Self = Self {
        known: Namespace::None,
        text: Text::Fixed(""),
    };
    const XML: Self = Self {
        known: Namespace::Unknown,
        text: Text::Fixed(XML),
    };

    pub(super) fn content(content: Content) -> Self {
        Self {
            known: Namespace::Content,
            text: Text::Fixed(content.namespace()),
        }
    }

    /// A declared namespace name; never one of the two reserved names.
    fn declared(name: &str, content: Content) -> Result<Self, ReadError> {
        if name == XML || name == XMLNS {
            return Err(ReadError::malformed("reserved namespace name"));
        }
        // Legal, but consumers that join names and namespaces by a space or a line end would be led
        // astray.
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ReadError::namespace(
                "white space or control character in a namespace name",
            ));
        }
        let known = Namespace::resolve(name.as_bytes(), content);
        let fixed = match known {
            Namespace::None => "",
            Namespace::Content => content.namespace(),
            Namespace::OtherContent => content.other().namespace(),
            Namespace::Unknown | Namespace::MucOther => {
                return Ok(Self {
                    known,
                    text: Text::Shared(name.into()),
                });
            }
            fixed => Namespace::FIXED
                .iter()
                .find(|(known, _)| *known == fixed)
                .map_or("", |f| f.1),
        };
        Ok(Self {
            known,
            text: Text::Fixed(fixed),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        match &self.text {
            Text::Fixed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known && self.as_str() == other.as_str()
    }
}

/// A prefix and what it stands for.
#[derive(Clone, Debug)]
pub(super) struct Declaration {
    prefix: Box<str>,
    uri: Uri,
}

/// What an element's start tag declares.
#[derive(Default)]
pub(super) struct Declared {
    /// `xmlns="…"`
    pub(super) default: Option<Uri>,
    /// `xmlns:p="…"`, in order.
    pub(super) prefixes: Vec<Declaration>,
}

impl Declared {
    /// Reads the declarations among a start tag's attributes and refuses an attribute that is
    /// written twice.
    pub(super) fn read(
        attributes: &[(RawQName, String)],
        content: Content,
    ) -> Result<Self, ReadError> {
        let mut declared = Self::default();
        for (index, (name, value)) in attributes.iter().enumerate() {
            if attributes[..index]
                .iter()
                .any(|(other, _)| other.1 == name.1 && other.0 == name.0)
            {
                return Err(ReadError::malformed("duplicate attribute"));
            }
            match (
                name.0.as_deref().map(|prefix| prefix.as_str()),
                name.1.as_str(),
            ) {
                (None, "xmlns") => declared.default = Some(Uri::declared(value, content)?),
                // The parser has checked that the prefix `xml` is bound to its own namespace.
                (Some("xmlns"), "xml") => {}
                (Some("xmlns"), prefix) => {
                    let uri = Uri::declared(value, content)?;
                    declared.prefixes.push(Declaration {
                        prefix: prefix.into(),
                        uri,
                    });
                }
                _ => {}
            }
        }
        Ok(declared)
    }
}

/// The namespace of a prefixed name among what is in scope, the innermost declaration last.
pub(super) fn resolve(prefix: &str, in_scope: &[&[Declaration]]) -> Result<Uri, ReadError> {
    if prefix == "xml" {
        return Ok(Uri::XML);
    }
    in_scope
        .iter()
        .rev()
        .flat_map(|declarations| declarations.iter().rev())
        .find(|declaration| &*declaration.prefix == prefix)
        .map(|declaration| declaration.uri.clone())
        .ok_or_else(|| rxml::Error::UndeclaredNamespacePrefix(None).into())
}

/// The namespace of the prefix `xml`, which needs no declaration.
const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The namespace of declarations themselves, which nothing may be bound to.
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

impl Uri {
    /// Whether this is the namespace of the prefix `xml`.
    pub(super) fn is_xml(&self) -> bool {
        matches!(self.text, Text::Fixed(XML))
    }
}
