//! Cursors in SQLite.

use rookery_xmpp::jid::Jid;
use rusqlite::OptionalExtension;

use super::error::Failure;
use super::view::View;
use super::writer::{Group, Mutation};
use crate::codec::corrupt;
use crate::log::Position;

/// [`set_cursor`](crate::Store::set_cursor).
pub(super) struct SetCursor {
    pub(super) owner: Jid,
    pub(super) name: String,
    pub(super) position: Position,
}

impl Mutation for SetCursor {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.owner_or_new(&self.owner)?;
        let sql = "INSERT OR REPLACE INTO cursor VALUES (?1, ?2, ?3)";
        group.execute(sql, (owner, &self.name, self.position.pack()))?;
        Ok(())
    }
}

/// [`cursor`](crate::Store::cursor).
pub(super) fn cursor(
    view: &View<'_>,
    owner: &Jid,
    name: &str,
) -> Result<Option<Position>, Failure> {
    match view.owner(owner)? {
        Some(owner) => cursor_of(view, owner, name),
        None => Ok(None),
    }
}

/// The cursor of an owner.
pub(super) fn cursor_of(
    view: &View<'_>,
    owner: i64,
    name: &str,
) -> Result<Option<Position>, Failure> {
    let mut select = view.prepare("SELECT position FROM cursor WHERE owner = ?1 AND name = ?2")?;
    let packed: Option<i64> = select
        .query_row((owner, name), |row| row.get(0))
        .optional()?;
    Ok(packed
        .map(|packed| Position::unpack(packed).map_err(|e| corrupt(&e)))
        .transpose()?)
}
