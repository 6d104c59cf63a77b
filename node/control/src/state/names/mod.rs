//! Which names nobody may register: rules with a version, which every node follows.
//!
//! ```text
//! configuration ──► configured ─┐  less released ─┐
//! names reserve ──► added ──────┼─────────────────┴─► in force ──► Reserve (the log) refuses; nodes are told
//! names release ──► released ───┘
//! ```
//!
//! Registrations are judged by the log, so a rule holds for all that reserve behind it. Those that were reserved before
//! and have no account yet are told to whoever makes the rule. Everything that depends on Unicode comes in with the
//! commands: rules bring what they look like, and so do names. That a name is a reserved one with signs in it is found
//! by the node that asks ([`NameRules::hidden_in`]).

mod forms;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

use rookery_xmpp::jid::{skeleton, words};
use serde::{Deserialize, Serialize};

pub use forms::NameForms;
pub use rule::{NameKind, NameRule, NameRuleError};

use super::{FormatError, Outcome};
use rule::Reading;

/// All rules, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct NameRules {
    stored: Stored,
    /// Derived: the rules in force about whole names and words, by what these look like.
    whole: BTreeMap<String, Vec<NameRule>>,
    words: BTreeMap<String, Vec<NameRule>>,
    patterns: Vec<NameRule>,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    version: u64,
    /// From the configuration, by text.
    configured: BTreeMap<String, NameRule>,
    /// From operators, by text.
    added: BTreeMap<String, NameRule>,
    /// Texts of the configuration that operators have released.
    released: BTreeSet<String>,
}

impl NameRules {
    /// Rules at once, in force or not: some 5 MB of state.
    pub const RULES_MAX: usize = 20_000;

    /// Patterns among them: each is compared with every name that wants to register.
    pub const PATTERNS_MAX: usize = 256;

    /// Grows with every change; the same version is the same list on every node.
    pub fn version(&self) -> u64 {
        self.stored.version
    }

    /// The rules in force, in the order of their texts, each with whether an operator made it.
    pub fn iter(&self) -> impl Iterator<Item = (&NameRule, bool)> {
        self.stored.in_force()
    }

    /// The rule that withholds a name, if one does; of several a reservation.
    pub fn withholding(&self, forms: &NameForms) -> Option<&NameRule> {
        let whole = self.whole.get(&forms.skeleton).into_iter().flatten();
        let words = forms
            .words
            .iter()
            .filter_map(|(_, looks)| self.words.get(looks));
        let rules = whole.chain(words.flatten()).chain(&self.patterns);
        let holding = rules.filter(|rule| rule.withholds(forms));
        // Reservations are first, for `false` is before `true`.
        holding.min_by_key(|rule| rule.kind == NameKind::Protected)
    }

    /// The rule about a whole name that a name would meet without its signs: `root.`, `r-oot` and `ro_ot` for `root`.
    /// Readers pass over a sign. Asked on each node by its own copy, before the log is: how members read rules must not
    /// change from build to build.
    pub fn hidden_in(&self, name: &str) -> Option<&NameRule> {
        let bare: String = words(name).collect();
        if bare == name {
            return None;
        }
        let rules = self.whole.get(&skeleton(&bare))?;
        rules
            .iter()
            .min_by_key(|rule| rule.kind == NameKind::Protected)
    }

    /// The bytes of the list for another node.
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// The list in another node's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::decode(bytes)
    }

    /// Takes over the rules of a configuration in place of those of the one before.
    pub(super) fn configure(&mut self, rules: &[NameRule]) -> Outcome {
        let mut next = self.stored.clone();
        next.configured = by_text(rules);
        // When a rule was configured is no change.
        for (text, rule) in &mut next.configured {
            if let Some(known) = self.stored.configured.get(text) {
                rule.since = known.since;
            }
        }
        let configured = &next.configured;
        next.released.retain(|text| configured.contains_key(text));
        self.replace(next, rules.len() as u64)
    }

    /// Makes rules, or changes them: all of them or, if there are too many, none.
    pub(super) fn reserve(&mut self, rules: &[NameRule]) -> Outcome {
        let mut next = self.stored.clone();
        for (text, rule) in by_text(rules) {
            next.released.remove(&text);
            next.added.insert(text, rule);
        }
        self.replace(next, rules.len() as u64)
    }

    /// Ends rules, also those of the configuration; texts that are none are passed over.
    pub(super) fn release(&mut self, texts: &[String]) -> Outcome {
        let (mut next, mut released) = (self.stored.clone(), 0);
        for text in texts {
            let was_added = next.added.remove(text).is_some();
            let is_configured = next.configured.contains_key(text);
            let is_new = is_configured && next.released.insert(text.clone());
            released += u64::from(was_added || is_new);
        }
        self.replace(next, released)
    }

    fn replace(&mut self, mut next: Stored, changed: u64) -> Outcome {
        let rules = next.configured.len() + next.added.len();
        let patterns = next
            .in_force()
            .filter(|(rule, _)| rule.reading() == Reading::Pattern);
        if rules > Self::RULES_MAX || patterns.count() > Self::PATTERNS_MAX {
            return Outcome::NamesFull;
        }
        if next != self.stored {
            next.version += 1;
            *self = Self::from(next);
        }
        Outcome::Names {
            version: self.version(),
            changed,
            under_way: Vec::new(),
        }
    }
}

impl Stored {
    fn in_force(&self) -> impl Iterator<Item = (&NameRule, bool)> {
        let configured = self.configured.values();
        let configured = configured.filter(|rule| {
            !self.released.contains(&rule.text) && !self.added.contains_key(&rule.text)
        });
        let mut all: Vec<_> = configured
            .map(|rule| (rule, false))
            .chain(self.added.values().map(|rule| (rule, true)))
            .collect();
        all.sort_by(|(one, _), (other, _)| one.text.cmp(&other.text));
        all.into_iter()
    }
}

impl From<Stored> for NameRules {
    fn from(stored: Stored) -> Self {
        let (mut whole, mut words) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        let mut patterns = Vec::new();
        for (rule, _) in stored.in_force() {
            let (rule, looks) = (rule.clone(), rule.skeleton().to_owned());
            match rule.reading() {
                Reading::Whole => whole.entry(looks).or_default().push(rule),
                Reading::Word => words.entry(looks).or_default().push(rule),
                Reading::Pattern => patterns.push(rule),
            }
        }
        Self {
            stored,
            whole,
            words,
            patterns,
        }
    }
}

impl From<NameRules> for Stored {
    fn from(rules: NameRules) -> Self {
        rules.stored
    }
}

fn by_text(rules: &[NameRule]) -> BTreeMap<String, NameRule> {
    let cut = |rule: &NameRule| {
        let mut rule = rule.clone();
        rule.cut_reason();
        (rule.text.clone(), rule)
    };
    rules.iter().map(cut).collect()
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
