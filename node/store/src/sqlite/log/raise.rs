//! Making a log higher than its entries are.

use rookery_xmpp::jid::Jid;

use crate::log::{LogUsage, Position};
use crate::sqlite::error::Failure;
use crate::sqlite::writer::{Group, Mutation};

/// [`raise_log`](crate::Store::raise_log).
pub(in crate::sqlite) struct Raise {
    pub(in crate::sqlite) owner: Jid,
    pub(in crate::sqlite) position: Position,
}

impl Mutation for Raise {
    type Output = ();

    fn apply(self, group: &mut Group<'_>) -> Result<(), Failure> {
        let owner = group.owner_or_new(&self.owner)?;
        group.count_in(owner, LogUsage::default(), self.position.pack())?;
        Ok(())
    }
}
