//! A start tag as the parser gives it, attribute by attribute.

use rxml::parser::RawQName;

use crate::xml::env::Env;
use crate::xml::error::ReadError;

/// A start tag, complete or on the way to it.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(super) name: RawQName,
    /// All attributes in order, declarations included; values unescaped and normalised (XML 1.0
    /// 3.3.3).
    pub(super) attributes: Vec<(RawQName, String)>,
}

impl Tag {
    pub(super) fn new(name: RawQName) -> Self {
        Self {
            name,
            attributes: Vec::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        name: RawQName,
        value: String,
        env: &Env<'_>,
    ) -> Result<(), ReadError> {
        if self.attributes.len() >= env.limits.attributes_max {
            return Err(ReadError::policy("too many attributes"));
        }
        self.attributes.push((name, value));
        Ok(())
    }

    /// The element's prefix.
    pub(super) fn prefix(&self) -> Option<&str> {
        prefix(&self.name)
    }

    /// The attributes that are not declarations.
    pub(super) fn proper_attributes(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        self.attributes
            .iter()
            .map(|(name, value)| (prefix(name), name.1.as_str(), value.as_str()))
            .filter(|(prefix, name, _)| match prefix {
                Some(prefix) => *prefix != "xmlns",
                None => *name != "xmlns",
            })
    }
}

fn prefix(name: &RawQName) -> Option<&str> {
    name.0.as_deref().map(|prefix| prefix.as_str())
}
