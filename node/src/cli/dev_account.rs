//! The operator's account of a server for development, with a password that is made once.

use std::path::Path;

use rookery_xmpp::entropy::{Entropy, OsEntropy};

use super::certificate::write_private;
use crate::admin::Shards;

/// What there was to do.
pub(super) enum Outcome {
    /// The account was made, with this password.
    Created(String),
    /// The account was there, and its password lies in the file.
    Known,
    /// The account was there, and its password was never written here or the file is gone.
    Elsewhere,
}

/// Makes sure that the account exists; `file` keeps its password.
pub(super) async fn ensure(shards: &Shards, jid: &str, file: &Path) -> Result<Outcome, String> {
    let kept = std::fs::read_to_string(file)
        .ok()
        .map(|text| text.trim().to_owned());
    let password = match &kept {
        Some(password) => password.clone(),
        None => {
            let password = OsEntropy.token();
            // Before the account: a crash in between must not leave one whose password nobody
            // knows.
            write_private(file, &format!("{password}\n")).map_err(|error| error.to_string())?;
            password
        }
    };
    let created = shards.create_account(jid, &password).await?;
    if created {
        return Ok(Outcome::Created(password));
    }
    if kept.is_some() {
        return Ok(Outcome::Known);
    }
    // The password that was written is not the account's.
    std::fs::remove_file(file).map_err(|error| error.to_string())?;
    Ok(Outcome::Elsewhere)
}
