//! `rookery admin users`.

use clap::{Args, Subcommand};
use rookery_proto::admin::users_client::UsersClient;
use rookery_proto::admin::{
    Ban, CreateUserRequest, DisableUserRequest, EnableUserRequest, ListUsersRequest,
    SetPasswordRequest, ShowUserRequest, ShowUserResponse, Standing, User,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{moment, read_secret, table};
use super::Shown;
use super::sessions::session_json;
use super::standing::{StandingCommand, done, invited_by, state, user_json};

/// Accounts.
#[derive(Debug, Subcommand)]
pub(super) enum UsersCommand {
    /// Create an account.
    Create {
        /// Its address, as in `juliet@example.org`.
        jid: String,
        #[command(flatten)]
        password: PasswordArgs,
        /// Create it though its name is reserved, looks like another account's, or was a deleted account's, or its
        /// password is too short or too weak.
        #[arg(long)]
        force: bool,
    },
    #[command(flatten)]
    Standing(StandingCommand),
    /// Set a new password.
    Password {
        /// The account's address.
        jid: String,
        #[command(flatten)]
        password: PasswordArgs,
        /// Set it though it is too short or too weak.
        #[arg(long)]
        force: bool,
    },
    /// Show an account.
    Show {
        /// Its address.
        jid: String,
    },
    /// List the accounts of a host.
    List {
        /// The host; not needed where only one is served.
        #[arg(long, default_value = "")]
        host: String,
        /// How many at most; without it all.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Begin behind this name.
        #[arg(long, value_name = "NAME", default_value = "")]
        after: String,
        /// Only those that were removed and can be restored; looks at 50,000 accounts at most.
        #[arg(long)]
        leaving: bool,
    },
    /// Close an account's sessions and let nobody log in to it.
    Disable {
        /// Its address.
        jid: String,
    },
    /// Let the owner of a disabled account log in again.
    Enable {
        /// Its address.
        jid: String,
    },
}

/// Where a password comes from. It is asked for, or read from standard input, unless given.
#[derive(Args, Debug)]
pub(super) struct PasswordArgs {
    /// The password; others on this machine can see it while the command runs.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ROOKERY_PASSWORD",
        hide_env_values = true
    )]
    password: Option<String>,
}

impl UsersCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = UsersClient::new(channel);
        match self {
            Self::Create {
                jid,
                password,
                force,
            } => {
                let request = CreateUserRequest {
                    jid,
                    password: password.read()?,
                    force,
                };
                let created = client.create_user(request).await?;
                let jid = created.into_inner().jid;
                Ok(done(&jid, "can log in"))
            }
            Self::Standing(command) => command.run(&mut client).await,
            Self::Password {
                jid,
                password,
                force,
            } => {
                let password = password.read()?;
                client
                    .set_password(SetPasswordRequest {
                        jid: jid.clone(),
                        password,
                        force,
                    })
                    .await?;
                Ok(Shown::done(
                    format!(
                        "{jid} has a new password; its sessions stay until `sessions close {jid}`"
                    ),
                    json!({"jid": jid}),
                ))
            }
            Self::Show { jid } => Ok(show(
                client
                    .show_user(ShowUserRequest { jid })
                    .await?
                    .into_inner(),
            )),
            Self::List {
                host,
                limit,
                after,
                leaving,
            } => list(&mut client, host, (limit, after), leaving).await,
            Self::Disable { jid } => {
                client
                    .disable_user(DisableUserRequest { jid: jid.clone() })
                    .await?;
                Ok(done(&jid, "is disabled"))
            }
            Self::Enable { jid } => {
                client
                    .enable_user(EnableUserRequest { jid: jid.clone() })
                    .await?;
                Ok(done(&jid, "is enabled"))
            }
        }
    }
}

impl PasswordArgs {
    fn read(self) -> Result<String, Status> {
        if let Some(password) = self.password {
            return Ok(password);
        }
        let read = read_secret("password: ");
        let password =
            read.map_err(|error| Status::invalid_argument(format!("no password: {error}")))?;
        if password.is_empty() {
            return Err(Status::invalid_argument(
                "no password: type one, pipe one in, or set --password or ROOKERY_PASSWORD",
            ));
        }
        Ok(password)
    }
}

async fn list(
    client: &mut UsersClient<Channel>,
    host: String,
    (limit, after): (Option<u32>, String),
    leaving: bool,
) -> Result<Shown, Status> {
    let mut pages = Pages::new(limit, leaving);
    let mut page_token = after;
    while let Some(page_size) = pages.wanted() {
        let request = ListUsersRequest {
            host: host.clone(),
            page_size,
            page_token,
        };
        let page = client.list_users(request).await?.into_inner();
        pages.take(page.users);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(pages.shown(&page_token))
}

/// The accounts of a list while its pages come in.
struct Pages {
    /// At most so many accounts.
    limit: Option<u32>,
    /// Only those that are leaving.
    leaving: bool,
    users: Vec<User>,
    /// Pages that may still be asked for.
    left: usize,
}

impl Pages {
    fn new(limit: Option<u32>, leaving: bool) -> Self {
        Self {
            limit,
            leaving,
            users: Vec::new(),
            left: if leaving { PAGES_LOOKED_AT } else { usize::MAX },
        }
    }

    /// How many accounts the next page is to have; none if enough was looked at.
    fn wanted(&self) -> Option<u32> {
        let missing = self
            .limit
            .map_or(PAGE, |limit| limit.saturating_sub(self.users.len() as u32));
        (missing > 0 && self.left > 0).then_some(missing.min(PAGE))
    }

    fn take(&mut self, page: Vec<User>) {
        self.left = self.left.saturating_sub(1);
        let leaving = self.leaving;
        let wanted = |user: &User| !leaving || user.standing() == Standing::Leaving;
        self.users.extend(page.into_iter().filter(wanted));
    }

    /// The list, and where it goes on if there is more.
    fn shown(&self, next: &str) -> Shown {
        let rows: Vec<_> = self.users.iter().map(row).collect();
        let mut text = match rows.is_empty() {
            true => "no accounts".to_owned(),
            false => table(&["ACCOUNT", "CREATED", "STATE"], &rows),
        };
        if !next.is_empty() {
            text.push_str(&format!("\n… and more: --after {next} goes on"));
        }
        Shown {
            text,
            json: self.users.iter().map(user_json).collect(),
        }
    }
}

fn show(response: ShowUserResponse) -> Shown {
    let user = response.user.unwrap_or_default();
    let last_seen = match (response.sessions.is_empty(), response.last_seen_ms) {
        (false, _) => "now".to_owned(),
        (true, Some(at)) => moment(at),
        (true, None) => "never".to_owned(),
    };
    let registered_from = match response.registration_known {
        true => or_dash(&user.registered_from),
        false => UNKNOWN,
    };
    let inviter = match response.registration_known {
        true => invited_by(&user).unwrap_or("-"),
        false => UNKNOWN,
    };
    let mut lines = vec![
        format!("account           {}", user.jid),
        format!("state             {}", state(&user)),
        format!("created           {}", moment(user.created_ms)),
        format!("registered from   {registered_from}"),
        format!("invited by        {inviter}"),
        format!("last seen         {last_seen}"),
        format!("contacts          {}", response.roster_items),
        format!("offline messages  {}", response.offline_messages),
    ];
    if let Some(ban) = &response.ban {
        lines.insert(2, format!("banned            {}", banned(ban)));
    }
    let mut details: Vec<_> = user.details.iter().collect();
    details.sort();
    lines.extend(
        details
            .into_iter()
            .map(|(name, value)| format!("{name:<16}  {value}")),
    );
    lines.extend(
        response
            .sessions
            .iter()
            .map(|session| format!("session           {} from {}", session.jid, session.address)),
    );
    let mut json = user_json(&user);
    json["registration_known"] = json!(response.registration_known);
    json["last_seen_ms"] = json!(response.last_seen_ms);
    json["roster_items"] = json!(response.roster_items);
    json["offline_messages"] = json!(response.offline_messages);
    json["ban"] = response.ban.map_or(serde_json::Value::Null, |ban| {
        let expires_ms = Some(ban.expires_ms).filter(|at| *at > 0);
        json!({"target": ban.target, "reason": ban.reason, "expires_ms": expires_ms})
    });
    json["sessions"] = response.sessions.iter().map(session_json).collect();
    Shown {
        text: lines.join("\n"),
        json,
    }
}

/// Until when somebody is banned, as whom, and why.
fn banned(ban: &Ban) -> String {
    let until = match ban.expires_ms {
        0 => "for ever".to_owned(),
        at => format!("until {}", moment(at)),
    };
    format!("{until}, as {}: {}", ban.target, ban.reason)
}

fn row(user: &User) -> Vec<String> {
    vec![user.jid.clone(), moment(user.created_ms), state(user)]
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// What only nodes with the store can tell.
const UNKNOWN: &str = "unknown to this node: ask one with the role `router`";

/// Accounts asked for at once.
const PAGE: u32 = 500;

/// Pages that one command looks through for accounts of which there may be none.
const PAGES_LOOKED_AT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(of: u32, standing: Standing) -> Vec<User> {
        let user = |number| User {
            jid: format!("user{number}@localhost"),
            standing: standing.into(),
            ..User::default()
        };
        (0..of).map(user).collect()
    }

    #[test]
    fn who_looks_for_the_leaving_looks_at_a_hundred_pages_and_is_told_where_to_go_on() {
        let mut pages = Pages::new(None, true);
        let mut looked = 0;
        while let Some(size) = pages.wanted() {
            assert_eq!(size, PAGE);
            let standing = match looked {
                7 => Standing::Leaving,
                _ => Standing::Member,
            };
            pages.take(page(1, standing));
            looked += 1;
        }
        assert_eq!(looked, 100);
        let Shown { text, json } = pages.shown("zoe");
        assert!(text.ends_with("… and more: --after zoe goes on"), "{text}");
        assert_eq!(json.as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_list_of_all_ends_with_its_limit_and_not_with_the_pages() {
        let mut pages = Pages::new(None, false);
        for _ in 0..200 {
            assert_eq!(pages.wanted(), Some(PAGE));
            pages.take(page(1, Standing::Member));
        }
        let mut pages = Pages::new(Some(PAGE + 2), false);
        assert_eq!(pages.wanted(), Some(PAGE));
        pages.take(page(PAGE, Standing::Member));
        assert_eq!(pages.wanted(), Some(2));
        pages.take(page(2, Standing::Member));
        assert_eq!(pages.wanted(), None);
        assert!(!pages.shown("").text.contains("--after"));
    }
}
