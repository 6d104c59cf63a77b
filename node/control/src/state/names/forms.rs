//! A name as rules look at it: made by who asks, never by who applies, for members may have different Unicode tables.

use rookery_xmpp::jid::{skeleton, words};
use serde::{Deserialize, Serialize};

/// A prepared localpart with what it looks like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameForms {
    /// The localpart.
    pub name: String,
    /// What all of it looks like (UTS #39).
    pub skeleton: String,
    /// Its words, each with what it looks like; one that stands twice counts once.
    pub words: Vec<(String, String)>,
}

impl NameForms {
    /// The forms of a prepared localpart.
    pub fn of(name: &str) -> Self {
        let mut parts: Vec<_> = words(name)
            .map(|word| (word.to_owned(), skeleton(word)))
            .collect();
        parts.sort_unstable();
        parts.dedup();
        Self {
            name: name.to_owned(),
            skeleton: skeleton(name),
            words: parts,
        }
    }
}
