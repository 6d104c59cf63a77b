//! The schema: numbered migrations, run at start in one transaction.
//!
//! `PRAGMA user_version` holds the number of the last migration that ran. A version above [`KNOWN`] is refused before
//! anything is touched. A migration that has been released never changes; the next one is added behind it.

use rusqlite::Connection;

use crate::codec::corrupt;
use crate::error::StoreError;

/// The newest version that this binary can use.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// The version of the schema in the database.
pub(super) fn version(conn: &Connection) -> Result<u32, StoreError> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Refuses a database that is newer than this binary, or not a store.
pub(super) fn check(conn: &Connection) -> Result<(), StoreError> {
    let found = version(conn)?;
    if found > KNOWN {
        return Err(StoreError::NewerSchema {
            found,
            known: KNOWN,
        });
    }
    let id: u32 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if found > 0 && id != APPLICATION_ID {
        return Err(corrupt(
            &"the file is a database, but not a store of Rookery's",
        ));
    }
    Ok(())
}

/// Brings the schema to [`KNOWN`]: all steps that are missing, or none.
pub(super) fn migrate(conn: &Connection) -> Result<(), StoreError> {
    let found = version(conn)? as usize;
    if found == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction =
        rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
    for step in MIGRATIONS.iter().skip(found) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", KNOWN)?;
    transaction.commit()?;
    tracing::info!(from = found, to = KNOWN, "store schema migrated");
    Ok(())
}

/// "rook", so that `file` and a careless restore can tell the database from others.
const APPLICATION_ID: u32 = 0x726f_6f6b;

/// Version n is what the first n steps make.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_origin.sql"),
    include_str!("migrations/0003_marks.sql"),
    include_str!("migrations/0004_keys.sql"),
    include_str!("migrations/0005_names.sql"),
    include_str!("migrations/0006_standing.sql"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_the_first_version_is_kept_has_no_origins_and_is_owed() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(MIGRATIONS[0]).unwrap();
        let insert = "INSERT INTO body (o1, p1, received, stanza) VALUES (1, 2, 3, x'3c6d2f3e');
            INSERT INTO idx VALUES (1, 2, 1)";
        conn.execute_batch(insert).unwrap();
        conn.pragma_update(None, "user_version", 1).unwrap();
        conn.pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        check(&conn).unwrap();
        migrate(&conn).unwrap();
        assert_eq!(version(&conn), Ok(KNOWN));
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let select = "SELECT stanza, origin FROM body";
        let found: (Vec<u8>, Option<Vec<u8>>) = conn.query_row(select, [], row).unwrap();
        assert_eq!(found, (b"<m/>".to_vec(), None));
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let select = "SELECT m1, marks, idx.received FROM body JOIN idx ON body = id";
        let found: (u8, u8, i64) = conn.query_row(select, [], row).unwrap();
        assert_eq!(found, (1, 1, 3));
        let key = conn.query_row("SELECT key FROM idx", [], |row| row.get(0));
        assert_eq!(key, Ok(0_i64));
    }
}
