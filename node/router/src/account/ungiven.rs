//! The receipts of what the node of a stream's session was not given.
//!
//! ```text
//! stanza ──► mirror ──► its node, or the store: there are two copies, and the sender hears that it is done
//!              └─ has neither: its receipt is held here
//! ```

use std::collections::BTreeMap;

use rookery_session::carrier::{Delivered, Receipt};

/// Receipts, by the numbers of the first stanzas that they are for.
#[derive(Default)]
pub(super) struct Ungiven(BTreeMap<u64, Receipt>);

impl Ungiven {
    /// What begins with this number has no second copy.
    pub(super) fn hold(&mut self, number: u64, receipt: Option<Receipt>) {
        if let Some(receipt) = receipt {
            self.0.insert(number, receipt);
        }
    }

    /// The receipt of what begins with this number.
    pub(super) fn take(&mut self, number: u64) -> Option<Receipt> {
        self.0.remove(&number)
    }

    /// The receipts of those of these stanzas that are such; what none is held of is not looked at.
    pub(super) fn take_of<'a>(
        &mut self,
        stanzas: impl Iterator<Item = &'a Delivered>,
        is_such: impl Fn(&Delivered) -> bool,
    ) -> Vec<Receipt> {
        let such = stanzas.filter_map(|it| match self.0.contains_key(&it.number) && is_such(it) {
            true => self.0.remove(&it.number),
            false => None,
        });
        such.collect()
    }

    /// Those of all that begins with a number up to this one.
    pub(super) fn take_through(&mut self, number: u64) -> Self {
        let behind = self.0.split_off(&number.saturating_add(1));
        Self(std::mem::replace(&mut self.0, behind))
    }

    /// All.
    pub(super) fn take_all(&mut self) -> Vec<Receipt> {
        std::mem::take(&mut self.0).into_values().collect()
    }

    /// Whether none is held.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The client has got all up to this number, and perhaps only a part of what came with it.
    pub(super) fn got(&mut self, through: u64, is_all: bool) {
        if self.0.is_empty() {
            return;
        }
        let mut got = self.take_through(through);
        if !is_all && let Some((_, receipt)) = got.0.pop_last() {
            self.0.entry(through + 1).or_insert(receipt);
        }
    }
}
