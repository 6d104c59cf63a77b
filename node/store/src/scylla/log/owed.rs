//! What waits to be delivered, as whoever begins to serve an account must know it.

use super::Bucket;
use crate::error::StoreError;
use crate::log::{DELIVERED, Marks, Position};
use crate::scylla::cql::Cql;
use crate::scylla::owner::Incarnation;

impl Cql {
    /// How far an account's sessions were given what waited, and how many entries above wait still. Reads what is
    /// above, without its stanzas.
    pub(in crate::scylla) async fn delivered_and_owed(
        &self,
        at: &Incarnation,
    ) -> Result<(Option<Position>, u64), StoreError> {
        let delivered = self.cursor(at, DELIVERED).await?;
        let from = delivered.map_or(0, |delivered| delivered.pack().saturating_add(1));
        let (above, mut owed) = (from..=i64::MAX, 0);
        for (number, _) in self.buckets(at, &above).await? {
            let at = at.clone();
            let entries = self.index(&Bucket { at, number }, &above).await?;
            let waiting = entries.iter().filter(|it| it.marks.contains(Marks::OWED));
            owed += waiting.count() as u64;
        }
        Ok((delivered, owed))
    }
}
