//! Names and namespaces, most of which are known when the program is compiled.

use std::fmt;
use std::sync::Arc;

/// A name: a constant of the program, or text that clones share.
#[derive(Clone)]
pub struct Word(Inner);

#[derive(Clone)]
enum Inner {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Word {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Inner::Static(text) => text,
            Inner::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Word {
    fn from(text: &'static str) -> Self {
        Self(Inner::Static(text))
    }
}

impl From<String> for Word {
    fn from(text: String) -> Self {
        Self(Inner::Shared(text.into()))
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Word {}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
