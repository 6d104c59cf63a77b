//! How accounts stand, as `rookery admin users` shows it.

use clap::Subcommand;
use rookery_proto::admin::users_client::UsersClient;
use rookery_proto::admin::{
    ApproveUserRequest, DeleteUserRequest, DenyUserRequest, ListAwaitingRequest,
    RestoreUserRequest, Standing, User,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{moment, table};
use super::Shown;

/// What changes how an account stands.
#[derive(Debug, Subcommand)]
pub(super) enum StandingCommand {
    /// Remove an account: it is deleted with all it owns at the end of `accounts.removal_grace`, and can be restored
    /// until then.
    Delete {
        /// Its address.
        jid: String,
        /// Delete it at once, also if it is leaving already.
        #[arg(long)]
        now: bool,
    },
    /// Restore a removed account that was not deleted yet: all is as before.
    Restore {
        /// Its address.
        jid: String,
    },
    /// List the accounts of a host that await approval.
    Awaiting {
        /// The host; not needed where only one is served.
        #[arg(long, default_value = "")]
        host: String,
    },
    /// Let an account be used that awaits approval.
    Approve {
        /// Its address.
        jid: String,
    },
    /// Delete an account that awaits approval.
    Deny {
        /// Its address.
        jid: String,
        /// Why, for the server's log.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Withhold its name, as those of deleted accounts are; for ever where those are not.
        #[arg(long)]
        tombstone: bool,
    },
}

impl StandingCommand {
    pub(super) async fn run(self, client: &mut UsersClient<Channel>) -> Result<Shown, Status> {
        match self {
            Self::Delete { jid, now } => {
                let request = DeleteUserRequest {
                    jid: jid.clone(),
                    now,
                };
                let gone = client.delete_user(request).await?.into_inner();
                Ok(deleted(&jid, gone.leaves_ms))
            }
            Self::Restore { jid } => {
                let request = RestoreUserRequest { jid: jid.clone() };
                client.restore_user(request).await?;
                Ok(done(&jid, "is in use again, as before"))
            }
            Self::Awaiting { host } => awaiting(client, host).await,
            Self::Approve { jid } => {
                let request = ApproveUserRequest { jid: jid.clone() };
                client.approve_user(request).await?;
                Ok(done(&jid, "can log in"))
            }
            Self::Deny {
                jid,
                reason,
                tombstone,
            } => {
                let request = DenyUserRequest {
                    jid: jid.clone(),
                    reason,
                    tombstone,
                };
                client.deny_user(request).await?;
                Ok(done(&jid, "is gone"))
            }
        }
    }
}

/// What is so of an account now.
pub(super) fn done(jid: &str, what: &str) -> Shown {
    Shown::done(format!("{jid} {what}"), json!({"jid": jid}))
}

/// What became of an account that was to be deleted.
fn deleted(jid: &str, leaves_ms: Option<u64>) -> Shown {
    let text = match leaves_ms {
        None => format!("{jid} and all it owned is gone"),
        Some(at) => format!(
            "{jid} is deleted on {}; until then `users restore {jid}` takes it back",
            moment(at)
        ),
    };
    Shown::done(text, json!({"jid": jid, "leaves_ms": leaves_ms}))
}

/// The accounts of a host that await approval.
async fn awaiting(client: &mut UsersClient<Channel>, host: String) -> Result<Shown, Status> {
    let (mut users, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListAwaitingRequest {
            host: host.clone(),
            page_size: PAGE,
            page_token,
        };
        let page = client.list_awaiting(request).await?.into_inner();
        users.extend(page.users);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let row = |user: &User| {
        vec![
            user.jid.clone(),
            moment(user.standing_since_ms),
            user.registered_from.clone(),
            details(user),
        ]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    let text = match rows.is_empty() {
        true => "nobody awaits approval".to_owned(),
        false => table(&["ACCOUNT", "SINCE", "FROM", "DETAILS"], &rows),
    };
    Ok(Shown {
        text,
        json: users.iter().map(user_json).collect(),
    })
}

/// What the form asked for, in one line. Its values are a stranger's: nothing of them moves the cursor.
fn details(user: &User) -> String {
    let mut all: Vec<_> = user.details.iter().collect();
    all.sort();
    let shown = all.into_iter().map(|(name, value)| {
        let plain = value.replace(char::is_control, " ");
        format!("{name}={plain}")
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// How an account stands, in some words.
pub(super) fn state(user: &User) -> String {
    let disabled = match user.enabled {
        true => "",
        false => " (disabled)",
    };
    match (user.standing(), user.leaves_ms) {
        (Standing::Awaiting, _) => format!("awaits approval{disabled}"),
        (Standing::Leaving, until) => {
            let by = match user.left_by_owner {
                true => "its owner",
                false => "an operator",
            };
            let until = moment(until.unwrap_or_default());
            format!("removed by {by}, deleted on {until}{disabled}")
        }
        _ if user.enabled => "enabled".to_owned(),
        _ => "disabled".to_owned(),
    }
}

/// By whose invitation it was made; none without one, or where that is not known.
pub(super) fn invited_by(user: &User) -> Option<&str> {
    match user.invited_by.as_deref() {
        Some("") => Some("operator"),
        inviter => inviter,
    }
}

/// An account as JSON.
pub(super) fn user_json(user: &User) -> serde_json::Value {
    let standing = match user.standing() {
        Standing::Unspecified => None,
        Standing::Member => Some("member"),
        Standing::Awaiting => Some("awaiting"),
        Standing::Leaving => Some("leaving"),
    };
    let by = user.leaves_ms.map(|_| match user.left_by_owner {
        true => "owner",
        false => "operator",
    });
    json!({
        "jid": user.jid,
        "created_ms": user.created_ms,
        "enabled": user.enabled,
        "standing": standing,
        "standing_since_ms": Some(user.standing_since_ms).filter(|since| *since > 0),
        "leaves_ms": user.leaves_ms,
        "removed_by": by,
        "details": user.details,
        "registered_from": user.registered_from,
        "invited_by": invited_by(user),
    })
}

/// Accounts asked for at once.
const PAGE: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_says_who_removed_an_account_and_when_it_is_deleted() {
        let user = |standing: Standing, leaves_ms| User {
            enabled: true,
            standing: standing.into(),
            leaves_ms,
            ..User::default()
        };
        assert_eq!(state(&user(Standing::Member, None)), "enabled");
        assert_eq!(state(&user(Standing::Awaiting, None)), "awaits approval");
        let leaving = User {
            enabled: false,
            left_by_owner: true,
            ..user(Standing::Leaving, Some(0))
        };
        let shown = state(&leaving);
        assert!(
            shown.starts_with("removed by its owner, deleted on 1970-01-01"),
            "{shown}"
        );
        assert!(shown.ends_with("(disabled)"), "{shown}");
    }

    #[test]
    fn an_invitation_is_a_users_or_an_operators_or_there_was_none() {
        let user = |inviter: Option<&str>| User {
            invited_by: inviter.map(str::to_owned),
            ..User::default()
        };
        let romeo = "romeo@localhost";
        for (inviter, shown) in [
            (Some(romeo), json!(romeo)),
            (Some(""), json!("operator")),
            (None, json!(null)),
        ] {
            assert_eq!(user_json(&user(inviter))["invited_by"], shown);
        }
    }

    #[test]
    fn what_a_stranger_filled_in_moves_no_cursor() {
        let details = [("email".to_owned(), "a\u{1b}[2J\nb".to_owned())].into();
        let user = User {
            details,
            ..User::default()
        };
        assert_eq!(super::details(&user), "email=a [2J b");
    }
}
