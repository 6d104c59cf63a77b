//! Rosters in CQL: a partition each, with the version beside the items.

use std::collections::BTreeMap;

use rookery_xmpp::jid::Jid;

use super::cql::{Cql, Together};
use super::owner::Incarnation;
use crate::codec::{corrupt, decode_subscription, encode_subscription, from_json, to_json};
use crate::error::StoreError;
use crate::roster::{Roster, RosterChange, RosterItem};

/// A row as the driver gives it. All but the version is null where there is no item.
type Columns = (
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i8>,
    Option<bool>,
    Option<Vec<u8>>,
    Option<bool>,
    Option<bool>,
);

impl Cql {
    /// [`roster`](crate::Store::roster).
    pub(super) async fn roster(&self, at: &Incarnation) -> Result<Roster, StoreError> {
        let statement = &self.statements.roster_read;
        let rows: Vec<Columns> = self.rows(statement, (&at.owner, at.number)).await?;
        let version = rows.first().and_then(|row| row.0).unwrap_or_default();
        let items = rows.into_iter().filter_map(|row| item(row).transpose());
        Ok(Roster {
            version: u64::try_from(version).unwrap_or_default(),
            items: items.collect::<Result<_, _>>()?,
        })
    }

    /// [`update_roster`](crate::Store::update_roster): one change of one partition.
    pub(super) async fn update_roster(
        &self,
        jid: &Jid,
        change: RosterChange,
    ) -> Result<(), StoreError> {
        let row = self.owner(jid).await?;
        if row.account.is_none() {
            return Err(StoreError::NotFound);
        }
        let Incarnation { owner, number } = row.of(jid);
        let mut together = Together::new();
        let version = i64::try_from(change.version).unwrap_or(i64::MAX);
        let values = (version, owner.clone(), number);
        together.add(&self.statements.roster_version, values);
        // Within one change a removal would win over an item of the same contact.
        let put: BTreeMap<&str, &RosterItem> = change
            .put
            .iter()
            .map(|item| (item.jid.as_str(), item))
            .collect();
        for contact in change
            .remove
            .iter()
            .filter(|jid| !put.contains_key(jid.as_str()))
        {
            let values = (owner.clone(), number, contact.as_str().to_owned());
            together.add(&self.statements.roster_remove, values);
        }
        for (contact, item) in put {
            let values = (
                owner.clone(),
                number,
                contact.to_owned(),
                item.name.clone(),
                to_json(&item.groups)?,
                encode_subscription(item.subscription) as i8,
                item.ask,
                item.pending_in.as_ref().map(|stanza| stanza.to_vec()),
                item.approved,
                item.in_roster,
            );
            together.add(&self.statements.roster_put, values);
        }
        self.write_together(together).await
    }
}

fn item(columns: Columns) -> Result<Option<RosterItem>, StoreError> {
    let (_, contact, name, groups, subscription, ask, pending_in, approved, in_roster) = columns;
    let (Some(contact), Some(groups)) = (contact, groups) else {
        return Ok(None);
    };
    Ok(Some(RosterItem {
        jid: Jid::parse(&contact).map_err(|error| corrupt(&error))?,
        name,
        groups: from_json(&groups)?,
        subscription: decode_subscription(subscription.unwrap_or_default().into())?,
        ask: ask.unwrap_or_default(),
        pending_in: pending_in.map(Into::into),
        approved: approved.unwrap_or_default(),
        in_roster: in_roster.unwrap_or_default(),
    }))
}
