//! What the store holds, as records and back.

use rookery_proto::backup::record::Kind;
use rookery_proto::backup::{
    Account, Cursor, Detail, Document, Inviter, LogEntry, Origin, Owner, Record, RosterItem,
    Standing, Tombstone,
};
use rookery_store::account::{AccountRecord, NewAccount};
use rookery_store::export::{Owned, StoredDocument};
use rookery_store::inviter::Inviter as StoredInviter;
use rookery_store::log::{
    Append, LogEntry as StoredEntry, Marks, Origin as StoredOrigin, Position,
};
use rookery_store::name::{NameChecks, Tombstone as StoredTombstone};
use rookery_store::roster::{RosterItem as Item, Subscription};
use rookery_store::standing::{Remover, Standing as StoredStanding};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use super::BackupError;

/// A record of this kind.
pub(super) fn record(kind: Kind) -> Record {
    Record { kind: Some(kind) }
}

/// An owner, its roster and its cursors.
pub(super) fn owned(jid: &Jid, owned: Owned) -> Result<Vec<Record>, BackupError> {
    let owner = Owner {
        jid: jid.as_str().to_owned(),
        account: owned.account.map(account).transpose()?,
        roster_version: owned.roster.version,
        log_high: owned.log_high.map(Position::pack),
        tombstone: owned.tombstone.map(|it| Tombstone {
            at_ms: it.at.as_millis(),
            until_ms: it.until.map(Timestamp::as_millis),
        }),
    };
    let mut records = vec![record(Kind::Owner(owner))];
    let items = owned.roster.items.into_iter();
    records.extend(items.map(|it| record(Kind::RosterItem(item(it)))));
    let cursors = owned.cursors.into_iter();
    records.extend(cursors.map(|(name, position)| {
        record(Kind::Cursor(Cursor {
            name,
            position: position.pack(),
        }))
    }));
    Ok(records)
}

fn account(account: AccountRecord) -> Result<Account, BackupError> {
    let details = account.details.into_iter();
    let credentials = serde_json::to_string(&account.credentials);
    Ok(Account {
        created_ms: account.created.as_millis(),
        enabled: account.enabled,
        details: details
            .map(|(name, value)| Detail { name, value })
            .collect(),
        registered_from: account.address.map(|it| it.to_string()).unwrap_or_default(),
        credentials: credentials.map_err(|error| BackupError::Record(error.to_string()))?,
        standing: account.standing.since().map(|since| Standing {
            since_ms: since.as_millis(),
            leaves_ms: account.standing.until().map(Timestamp::as_millis),
            by_owner: account.standing.by() == Some(Remover::Owner),
        }),
        inviter: account.inviter.map(|inviter| Inviter {
            jid: inviter.user.map(|user| user.as_str().to_owned()),
            contact: inviter.contact,
        }),
    })
}

fn standing(told: Option<Standing>) -> StoredStanding {
    let Some(told) = told else {
        return StoredStanding::Member;
    };
    let by = match told.by_owner {
        true => Remover::Owner,
        false => Remover::Operator,
    };
    let until = told.leaves_ms.map(Timestamp);
    StoredStanding::from_parts(Some(Timestamp(told.since_ms)), until, Some(by))
}

fn inviter(told: Inviter) -> Result<StoredInviter, BackupError> {
    Ok(StoredInviter {
        user: told.jid.as_deref().map(jid).transpose()?,
        contact: told.contact,
    })
}

fn item(item: Item) -> RosterItem {
    RosterItem {
        jid: item.jid.as_str().to_owned(),
        name: item.name,
        groups: item.groups,
        subscription: match item.subscription {
            Subscription::None => 0,
            Subscription::To => 1,
            Subscription::From => 2,
            Subscription::Both => 3,
        },
        ask: item.ask,
        pending_in: item.pending_in,
        approved: item.approved,
        in_roster: item.in_roster,
    }
}

/// A document.
pub(super) fn document(stored: StoredDocument) -> Record {
    let StoredDocument {
        collection,
        key,
        value,
    } = stored;
    record(Kind::Document(Document {
        collection,
        key,
        value,
    }))
}

/// An entry of a log.
pub(super) fn log_entry(entry: StoredEntry) -> Record {
    record(Kind::LogEntry(LogEntry {
        position: entry.position.pack(),
        received_ms: entry.received.as_millis(),
        stanza: entry.stanza,
        origin: entry.origin.map(|it| Origin {
            node: it.node,
            serial: it.serial,
            sequence: it.sequence,
        }),
        marks: Some(u32::from(entry.marks.bits())),
    }))
}

/// A bare or full JID of a record.
pub(super) fn jid(text: &str) -> Result<Jid, BackupError> {
    Jid::parse(text)
        .map_err(|error| BackupError::Record(format!("{text:?} is no address: {error}")))
}

/// A position of a record.
pub(super) fn position(packed: i64) -> Result<Position, BackupError> {
    Position::unpack(packed).map_err(|error| BackupError::Record(error.to_string()))
}

/// The account that a record tells of, and whether it may log in.
pub(super) fn new_account(jid: &Jid, account: Account) -> Result<(NewAccount, bool), BackupError> {
    let wrong = |what: &dyn std::fmt::Display| BackupError::Record(format!("{jid}: {what}"));
    let address = match account.registered_from.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error| wrong(&error))?),
    };
    let details = account.details.into_iter();
    let new = NewAccount {
        jid: jid.clone(),
        credentials: serde_json::from_str(&account.credentials).map_err(|error| wrong(&error))?,
        created: Timestamp(account.created_ms),
        details: details
            .map(|Detail { name, value }| (name, value))
            .collect(),
        address,
        // It was checked when it was made, or forced.
        checks: NameChecks::NONE,
        standing: standing(account.standing),
        inviter: account.inviter.map(inviter).transpose()?,
    };
    Ok((new, account.enabled))
}

/// The tombstone that a record tells of.
pub(super) fn tombstone(told: Tombstone) -> StoredTombstone {
    StoredTombstone {
        at: Timestamp(told.at_ms),
        until: told.until_ms.map(Timestamp),
    }
}

/// The roster's item that a record tells of.
pub(super) fn roster_item(item: RosterItem) -> Result<Item, BackupError> {
    Ok(Item {
        jid: jid(&item.jid)?,
        name: item.name,
        groups: item.groups,
        subscription: match item.subscription {
            0 => Subscription::None,
            1 => Subscription::To,
            2 => Subscription::From,
            3 => Subscription::Both,
            other => return Err(BackupError::Record(format!("subscription {other}"))),
        },
        ask: item.ask,
        pending_in: item.pending_in,
        approved: item.approved,
        in_roster: item.in_roster,
    })
}

/// The append that makes the entry which a record tells of.
pub(super) fn append(owner: &Jid, entry: LogEntry) -> Result<Append, BackupError> {
    let (position, received) = (position(entry.position)?, Timestamp(entry.received_ms));
    let origin = entry.origin.map(|it| StoredOrigin {
        node: it.node,
        serial: it.serial,
        sequence: it.sequence,
    });
    let bits = entry.marks.map(u8::try_from);
    let marks = match bits.transpose() {
        Ok(bits) => bits.map_or(Marks::OWED, Marks::from_bits),
        Err(error) => return Err(BackupError::Record(format!("marks: {error}"))),
    };
    let append = Append::new(owner.clone(), position, entry.stanza, received);
    Ok(append.of(origin).marked(marks))
}
