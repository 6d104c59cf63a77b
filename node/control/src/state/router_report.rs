//! What a router tells the group once a second: whom it has refused, and what has happened to its accounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::events::cut;
use super::{NewEvent, NodeId, RefusalCounts};

/// What one router has seen since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterReport {
    /// The run of its process.
    pub incarnation: u64,
    /// Grows with each report of the run. One that is told again counts once.
    pub sequence: u64,
    /// Registrations that it has refused.
    pub refusals: RefusalCounts,
    /// What has happened.
    pub events: Vec<NewEvent>,
}

impl RouterReport {
    /// Events in one report; what is more waits for the next.
    pub const EVENTS_MAX: usize = 100;

    /// Bytes of the names and details in one report, which JSON may write sixfold.
    pub const TEXT_BYTES_MAX: usize = 16_384;
}

/// The last report of each node: the run of its process, and the number within it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reporters(BTreeMap<NodeId, (u64, u64)>);

impl Reporters {
    /// Whether a report is new. From then on it is not.
    pub(super) fn is_new(&mut self, node: NodeId, report: &RouterReport) -> bool {
        let told = (report.incarnation, report.sequence);
        let last = self.0.entry(node).or_default();
        let is_new = told > *last;
        *last = told.max(*last);
        is_new
    }

    /// A node was removed for ever.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.0.remove(&node);
    }
}

impl NewEvent {
    /// How much of a report it takes up.
    pub fn text_bytes(&self) -> usize {
        let part = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        part(&self.host) + part(&self.name) + self.detail.len()
    }

    /// The same with a detail that fits.
    pub fn cut(mut self) -> Self {
        cut(&mut self.detail, Self::DETAIL_BYTES_MAX);
        self
    }
}
