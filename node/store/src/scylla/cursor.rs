//! Cursors in CQL.

use super::cql::Cql;
use super::owner::Incarnation;
use crate::codec::corrupt;
use crate::error::StoreError;
use crate::log::Position;

impl Cql {
    /// [`cursor`](crate::Store::cursor).
    pub(super) async fn cursor(
        &self,
        at: &Incarnation,
        name: &str,
    ) -> Result<Option<Position>, StoreError> {
        let values = (&at.owner, at.number, name);
        let row: Option<(i64,)> = self.first(&self.statements.cursor_read, values).await?;
        row.map(|(packed,)| position(packed)).transpose()
    }

    /// [`set_cursor`](crate::Store::set_cursor).
    pub(super) async fn set_cursor(
        &self,
        at: &Incarnation,
        name: &str,
        position: Position,
    ) -> Result<(), StoreError> {
        let values = (&at.owner, at.number, name, position.pack());
        self.write(&self.statements.cursor_put, values).await
    }
}

/// A stored position.
pub(super) fn position(packed: i64) -> Result<Position, StoreError> {
    Position::unpack(packed).map_err(|error| corrupt(&error))
}
