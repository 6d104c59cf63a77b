//! Every statement, prepared once.
//!
//! Only what Apache Cassandra and ScyllaDB both take. Reads and plain writes are idempotent: they write values that do
//! not depend on what is there, so the driver may repeat them and send them to several database nodes at once.
//! Conditional writes are not.

use std::sync::Arc;

use futures_util::future::try_join_all;
use scylla::client::session::Session;
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use crate::error::StoreError;

/// What the driver may do with a statement.
#[derive(Clone, Copy)]
enum Kind {
    /// A read, or a write that can be repeated.
    Plain,
    /// A read that finishes what conditional writes have begun, and so tells what became of them.
    Serial,
    /// A conditional write.
    Conditional,
}

macro_rules! statements {
    ($($kind:ident $name:ident: $cql:expr;)*) => {
        /// The prepared statements.
        #[derive(Debug)]
        pub(super) struct Statements {
            $(pub(super) $name: PreparedStatement,)*
        }

        const ALL: &[(Kind, &str)] = &[$((Kind::$kind, $cql),)*];

        impl Statements {
            /// Prepares them in the keyspace that the session uses. What concerns conditional writes finds its
            /// database node `by_turns`.
            pub(super) async fn prepare(
                session: &Session,
                by_turns: &Arc<dyn LoadBalancingPolicy>,
            ) -> Result<Self, StoreError> {
                let each = ALL.iter().map(|(kind, cql)| prepare(session, by_turns, *kind, cql));
                let mut prepared = try_join_all(each).await?.into_iter();
                let mut next = || prepared.next().expect("there is one for each text");
                Ok(Self { $($name: next(),)* })
            }
        }
    };
}

statements! {
    Plain owner_read:
        "SELECT change, incarnation, created, enabled, address, credentials, details, gone_at, gone_until, \
         standing_since, leaves, left_by FROM owner WHERE jid = ?";
    Serial owner_read_serial:
        "SELECT change, incarnation, created, enabled, address, credentials, details, gone_at, gone_until, \
         standing_since, leaves, left_by FROM owner WHERE jid = ?";
    Plain incarnation_read: "SELECT incarnation FROM owner WHERE jid = ?";
    Conditional owner_insert:
        "INSERT INTO owner (change, incarnation, created, enabled, address, credentials, details, gone_at, gone_until, \
         standing_since, leaves, left_by, jid) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
    Conditional owner_update:
        "UPDATE owner SET change = ?, incarnation = ?, created = ?, enabled = ?, address = ?, credentials = ?, \
         details = ?, gone_at = ?, gone_until = ?, standing_since = ?, leaves = ?, left_by = ? \
         WHERE jid = ? IF change = ?";

    Plain leaving_insert: "INSERT INTO account_leaving (day, slice, leaves, owner) VALUES (?, ?, ?, ?)";
    Plain leaving_delete: "DELETE FROM account_leaving WHERE day = ? AND slice = ? AND leaves = ? AND owner = ?";
    Plain leaving_page:
        "SELECT leaves, owner FROM account_leaving WHERE day = ? AND slice = ? AND leaves <= ? LIMIT ?";
    Plain leaving_days_put: "INSERT INTO account_leaving_days (id, day) VALUES (0, ?)";
    Plain leaving_days_read: "SELECT day FROM account_leaving_days WHERE id = 0 AND day <= ?";
    Plain leaving_days_forget: "DELETE FROM account_leaving_days WHERE id = 0 AND day = ?";
    Plain awaiting_insert: "INSERT INTO account_awaiting (host, slice, local, incarnation) VALUES (?, ?, ?, ?)";
    Plain awaiting_delete:
        "DELETE FROM account_awaiting WHERE host = ? AND slice = ? AND local = ? AND incarnation = ?";
    Plain awaiting_page:
        "SELECT local FROM account_awaiting WHERE host = ? AND slice = ? AND local > ? LIMIT ?";

    Plain claims_read: "SELECT change, local, incarnation FROM name_claim WHERE host = ? AND skeleton = ?";
    Conditional claim_put:
        "UPDATE name_claim SET change = ?, incarnation = ? WHERE host = ? AND skeleton = ? AND local = ? IF change = ?";
    Conditional claim_drop:
        "DELETE FROM name_claim WHERE host = ? AND skeleton = ? AND local = ? IF incarnation = ?";

    Plain tombstone_insert: "INSERT INTO tombstone_name (host, slice, local, incarnation) VALUES (?, ?, ?, ?)";
    Plain tombstone_delete:
        "DELETE FROM tombstone_name WHERE host = ? AND slice = ? AND local = ? AND incarnation = ?";
    Plain tombstone_page:
        "SELECT local FROM tombstone_name WHERE host = ? AND slice = ? AND local > ? LIMIT ?";

    Plain skeletons_read: "SELECT version FROM migration WHERE name = 'skeletons'";
    Plain skeletons_set: "UPDATE migration SET version = ? WHERE name = 'skeletons'";

    Plain name_insert:
        "INSERT INTO account_name (host, slice, local, incarnation) VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    Plain name_live:
        "UPDATE account_name USING TIMESTAMP ? SET live = true \
         WHERE host = ? AND slice = ? AND local = ? AND incarnation = ?";
    Plain name_doubt:
        "DELETE live FROM account_name WHERE host = ? AND slice = ? AND local = ? AND incarnation = ?";
    Plain name_delete:
        "DELETE FROM account_name WHERE host = ? AND slice = ? AND local = ? AND incarnation = ?";
    Plain name_page: "SELECT local FROM account_name WHERE host = ? AND slice = ? AND local > ? LIMIT ?";
    Plain name_all: "SELECT local, live FROM account_name WHERE host = ? AND slice = ?";

    Plain roster_read:
        "SELECT version, contact, name, groups, subscription, ask, pending_in, approved, in_roster \
         FROM roster WHERE owner = ? AND incarnation = ?";
    Plain roster_version: "UPDATE roster SET version = ? WHERE owner = ? AND incarnation = ?";
    Plain roster_put:
        "INSERT INTO roster (owner, incarnation, contact, name, groups, subscription, ask, pending_in, approved, \
         in_roster) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    Plain roster_remove: "DELETE FROM roster WHERE owner = ? AND incarnation = ? AND contact = ?";
    Plain roster_drop: "DELETE FROM roster WHERE owner = ? AND incarnation = ?";

    Plain document_read:
        "SELECT value FROM document WHERE owner = ? AND incarnation = ? AND collection = ? AND key = ?";
    Plain document_collection:
        "SELECT key, value FROM document WHERE owner = ? AND incarnation = ? AND collection = ?";
    Plain document_put:
        "INSERT INTO document (owner, incarnation, collection, key, value) VALUES (?, ?, ?, ?, ?)";
    Plain document_put_at:
        "INSERT INTO document (owner, incarnation, collection, key, value) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Plain document_clear_at:
        "DELETE FROM document USING TIMESTAMP ? WHERE owner = ? AND incarnation = ? AND collection = ?";
    Plain document_delete:
        "DELETE FROM document WHERE owner = ? AND incarnation = ? AND collection = ? AND key = ?";
    Plain document_drop: "DELETE FROM document WHERE owner = ? AND incarnation = ?";

    Plain cursor_read: "SELECT position FROM cursor WHERE owner = ? AND incarnation = ? AND name = ?";
    Plain cursor_put: "INSERT INTO cursor (owner, incarnation, name, position) VALUES (?, ?, ?, ?)";
    Plain cursor_drop: "DELETE FROM cursor WHERE owner = ? AND incarnation = ?";

    Plain log_insert:
        "INSERT INTO log (owner, incarnation, bucket, position, arrival, received, size, stanza, other_owner, \
         other_incarnation, other_position, changed, marks, origin, key) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    Plain log_insert_at:
        "INSERT INTO log (owner, incarnation, bucket, position, arrival, received, size, stanza, other_owner, \
         other_incarnation, other_position, changed, marks, origin, key) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    Plain log_clear_at:
        "DELETE FROM log USING TIMESTAMP ? WHERE owner = ? AND incarnation = ? AND bucket = ? AND position = ?";
    Plain log_place:
        "SELECT arrival, received, marks, other_owner, other_incarnation, other_position, origin FROM log \
         WHERE owner = ? AND incarnation = ? AND bucket = ? AND position = ? LIMIT 1";
    Plain log_keys:
        "SELECT position, key FROM log \
         WHERE owner = ? AND incarnation = ? AND bucket = ? AND position >= ? AND position <= ?";
    Plain log_up:
        "SELECT position, received, stanza, marks, origin FROM log \
         WHERE owner = ? AND incarnation = ? AND bucket = ? AND position >= ? AND position <= ?";
    Plain log_down:
        "SELECT position, received, stanza, marks, origin FROM log \
         WHERE owner = ? AND incarnation = ? AND bucket = ? AND position >= ? AND position <= ? \
         ORDER BY position DESC";
    Plain log_index:
        "SELECT position, arrival, received, size, marks, other_owner, other_incarnation, other_position FROM log \
         WHERE owner = ? AND incarnation = ? AND bucket = ? AND position >= ? AND position <= ?";
    Plain log_newest:
        "SELECT position, marks, origin FROM log WHERE owner = ? AND incarnation = ? AND bucket = ? AND position >= ? \
         ORDER BY position DESC LIMIT ?";
    Plain log_begins: "SELECT received FROM log WHERE owner = ? AND incarnation = ? AND bucket = ? LIMIT 1";
    Plain log_sums:
        "SELECT changed, sum_of, sum_entries, sum_bytes FROM log \
         WHERE owner = ? AND incarnation = ? AND bucket = ? LIMIT 1";
    Plain log_set_sums:
        "UPDATE log SET sum_of = ?, sum_entries = ?, sum_bytes = ? \
         WHERE owner = ? AND incarnation = ? AND bucket = ?";
    Plain log_changed: "UPDATE log SET changed = ? WHERE owner = ? AND incarnation = ? AND bucket = ?";
    Plain log_delete:
        "DELETE FROM log WHERE owner = ? AND incarnation = ? AND bucket = ? AND position >= ? AND position <= ?";
    Plain log_drop: "DELETE FROM log WHERE owner = ? AND incarnation = ? AND bucket = ?";

    Plain bucket_seen: "INSERT INTO log_bucket (owner, incarnation, bucket, seen) VALUES (?, ?, ?, ?)";
    Plain buckets_up:
        "SELECT bucket, WRITETIME(seen) FROM log_bucket \
         WHERE owner = ? AND incarnation = ? AND bucket >= ? AND bucket <= ?";
    Plain buckets_down:
        "SELECT bucket, WRITETIME(seen) FROM log_bucket \
         WHERE owner = ? AND incarnation = ? AND bucket >= ? AND bucket <= ? ORDER BY bucket DESC";
    Plain bucket_forget:
        "DELETE FROM log_bucket USING TIMESTAMP ? WHERE owner = ? AND incarnation = ? AND bucket = ?";
    Plain bucket_drop: "DELETE FROM log_bucket WHERE owner = ? AND incarnation = ?";

    Plain high_read: "SELECT position FROM log_high WHERE owner = ? AND incarnation = ? LIMIT 1";
    Plain high_put: "INSERT INTO log_high (owner, incarnation, position) VALUES (?, ?, ?)";
    Plain high_trim: "DELETE FROM log_high WHERE owner = ? AND incarnation = ? AND position < ?";
    Plain high_drop: "DELETE FROM log_high WHERE owner = ? AND incarnation = ?";

    Plain day_put: "INSERT INTO log_day (day, slice, owner, incarnation, bucket) VALUES (?, ?, ?, ?, ?)";
    Plain day_read: "SELECT owner, incarnation, bucket FROM log_day WHERE day = ? AND slice = ?";
    Plain day_forget: "DELETE FROM log_day WHERE day = ? AND slice = ?";
    Plain days_put: "INSERT INTO log_days (id, day) VALUES (0, ?)";
    Plain days_read: "SELECT day FROM log_days WHERE id = 0 AND day <= ?";
    Plain days_forget: "DELETE FROM log_days WHERE id = 0 AND day = ?";

    Plain doom_put: "INSERT INTO doomed (slice, owner, incarnation, since) VALUES (?, ?, ?, ?)";
    Plain doom_read: "SELECT owner, incarnation, since FROM doomed WHERE slice = ?";
    Plain doom_forget: "DELETE FROM doomed WHERE slice = ? AND owner = ? AND incarnation = ?";

    Plain owner_walk: "SELECT jid, token(jid) FROM owner WHERE token(jid) > ? LIMIT ?";
    Plain document_walk:
        "SELECT DISTINCT owner, incarnation, token(owner, incarnation) FROM document \
         WHERE token(owner, incarnation) > ? LIMIT ?";
    Plain cursor_walk:
        "SELECT DISTINCT owner, incarnation, token(owner, incarnation) FROM cursor \
         WHERE token(owner, incarnation) > ? LIMIT ?";
    Plain high_walk:
        "SELECT DISTINCT owner, incarnation, token(owner, incarnation) FROM log_high \
         WHERE token(owner, incarnation) > ? LIMIT ?";
    Plain bucket_walk:
        "SELECT DISTINCT owner, incarnation, token(owner, incarnation) FROM log_bucket \
         WHERE token(owner, incarnation) > ? LIMIT ?";
    Plain document_any: "SELECT collection FROM document WHERE owner = ? AND incarnation = ? LIMIT 1";
    Plain document_page:
        "SELECT collection, key, value FROM document \
         WHERE owner = ? AND incarnation = ? AND (collection, key) > (?, ?) LIMIT ?";
    Plain document_first:
        "SELECT collection, key, value FROM document WHERE owner = ? AND incarnation = ? LIMIT ?";
    Plain cursor_all: "SELECT name, position FROM cursor WHERE owner = ? AND incarnation = ?";

    Plain probe_put: "INSERT INTO probe (id, seen) VALUES (0, ?)";
    Plain version_read: "SELECT version FROM migration WHERE name = 'version'";
}

async fn prepare(
    session: &Session,
    by_turns: &Arc<dyn LoadBalancingPolicy>,
    kind: Kind,
    cql: &str,
) -> Result<PreparedStatement, StoreError> {
    let mut statement = session.prepare(cql).await?;
    statement.set_is_idempotent(matches!(kind, Kind::Plain));
    if matches!(kind, Kind::Serial) {
        statement.set_consistency(Consistency::LocalSerial);
    }
    if matches!(kind, Kind::Serial | Kind::Conditional) {
        statement.set_load_balancing_policy(Some(by_turns.clone()));
    }
    Ok(statement)
}
