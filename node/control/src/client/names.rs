//! The part of the handle that is about names.

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;

use super::{Control, unexpected};
use crate::error::{NamesRefused, Unavailable};
use crate::state::{Command, NameForms, NameKind, NameRule, NameRules, Outcome};

/// What came of a change of the rules about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamesChanged {
    /// The version of the list.
    pub version: u64,
    /// How many of the rules it concerned.
    pub changed: u64,
    /// Registrations under way whose accounts may still come to be, though a rule withholds their names now.
    pub under_way: Vec<String>,
}

impl Control {
    /// The rules about names as this node knows them, without waiting.
    pub fn names(&self) -> Arc<NameRules> {
        self.0.names.borrow().clone()
    }

    /// Follows the rules about names as this node hears of them.
    pub fn watch_names(&self) -> watch::Receiver<Arc<NameRules>> {
        self.0.names.clone()
    }

    /// Takes over what a router's configuration says now, durably; what operators have reserved and released stays.
    pub async fn configure_names(
        &self,
        rules: Vec<NameRule>,
    ) -> Result<NamesChanged, NamesRefused> {
        self.change_names(Command::ConfigureNames { rules }).await
    }

    /// Withholds names. Holds for every registration that reserves its place behind it.
    pub async fn reserve_names(&self, rules: Vec<NameRule>) -> Result<NamesChanged, NamesRefused> {
        self.change_names(Command::ReserveNames { rules }).await
    }

    /// Ends rules, by their prepared texts.
    pub async fn release_names(&self, texts: Vec<String>) -> Result<NamesChanged, NamesRefused> {
        self.change_names(Command::ReleaseNames { texts }).await
    }

    /// The rule that withholds a prepared localpart, if one does, by all rules that were made before this call.
    pub async fn check_name(&self, name: &str) -> Result<Option<(String, NameKind)>, Unavailable> {
        let forms = NameForms::of(name);
        let command = Command::CheckName { forms };
        match self.propose(command, Timestamp::now()).await? {
            Outcome::NameFree => Ok(self.hidden_name(name)),
            Outcome::NameWithheld { by, kind } => Ok(Some((by, kind))),
            other => Err(unexpected(&other)),
        }
    }

    /// The rule that a name hides behind signs from, by the rules as this node knows them.
    pub(super) fn hidden_name(&self, name: &str) -> Option<(String, NameKind)> {
        let rules = self.names();
        let rule = rules.hidden_in(name)?;
        Some((rule.text.clone(), rule.kind))
    }

    async fn change_names(&self, command: Command) -> Result<NamesChanged, NamesRefused> {
        let outcome = self.propose(command, Timestamp::now()).await;
        match outcome.map_err(NamesRefused::Unavailable)? {
            Outcome::Names {
                version,
                changed,
                under_way,
            } => Ok(NamesChanged {
                version,
                changed,
                under_way,
            }),
            Outcome::NamesFull => Err(NamesRefused::Full),
            other => {
                let unavailable: Unavailable = unexpected(&other);
                Err(unavailable.into())
            }
        }
    }
}
