//! `rookery admin invites`.

use std::time::Duration;

use clap::Subcommand;
use rookery_proto::admin::invites_client::InvitesClient;
use rookery_proto::admin::{
    CreateInvitesRequest, Invite, ListInvitesRequest, RevokeInvitesRequest,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, moment, table};
use super::Shown;
use super::bans::span;

/// Invitations to make an account.
#[derive(Debug, Subcommand)]
pub(super) enum InvitesCommand {
    /// Make invitations and print them. They are shown only here: the server keeps no tokens.
    Create {
        /// The host of the accounts; not needed where only one is served.
        #[arg(long, default_value = "")]
        host: String,
        /// The only name that may be registered, as in `juliet`; it is kept until the invitation ends.
        #[arg(long, default_value = "")]
        name: String,
        /// How many accounts may be made with each.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long they last, as in `12h` or `7d`.
        #[arg(long, value_parser = span, default_value = "7d")]
        expires: Duration,
        /// How many to make.
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// List invitations; ended ones stay on the list for an hour.
    List {
        /// Only those of this user.
        #[arg(long, default_value = "")]
        by: String,
    },
    /// End invitations. Accounts that were made with them stay.
    Revoke {
        /// Ids as `invites list` writes them, or tokens.
        #[arg(required = true)]
        invites: Vec<String>,
    },
}

impl InvitesCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let client = InvitesClient::new(channel);
        match self {
            Self::Create {
                host,
                name,
                uses,
                expires,
                count,
            } => {
                let request = CreateInvitesRequest {
                    host,
                    name,
                    uses,
                    seconds: expires.as_secs(),
                    count,
                };
                create(client, request).await
            }
            Self::List { by } => list(client, by).await,
            Self::Revoke { invites } => revoke(client, &invites).await,
        }
    }
}

async fn create(
    mut client: InvitesClient<Channel>,
    request: CreateInvitesRequest,
) -> Result<Shown, Status> {
    let mut left = request.count.max(1);
    let (mut invites, mut expires_ms) = (Vec::new(), 0);
    while left > 0 {
        let count = left.min(AT_ONCE);
        let request = CreateInvitesRequest {
            count,
            ..request.clone()
        };
        let made = client.create_invites(request).await?.into_inner();
        invites.extend(made.invites);
        expires_ms = made.expires_ms;
        left -= count;
    }
    let until = moment(expires_ms);
    let mut lines = Vec::new();
    for invite in &invites {
        lines.push(invite.uri.clone());
        if !invite.url.is_empty() {
            lines.push(invite.url.clone());
        }
    }
    lines.push(format!(
        "{}, until {until}",
        counted(invites.len() as u64, "invitation")
    ));
    let shown = invites
        .iter()
        .map(|it| json!({"id": it.id, "token": it.token, "uri": it.uri, "url": it.url}));
    Ok(Shown {
        text: lines.join("\n"),
        json: json!({"invites": shown.collect::<Vec<_>>(), "expires_ms": expires_ms}),
    })
}

async fn list(mut client: InvitesClient<Channel>, by: String) -> Result<Shown, Status> {
    let (mut all, mut page_token) = (Vec::<Invite>::new(), String::new());
    let in_all = loop {
        let by = by.clone();
        let request = ListInvitesRequest { page_token, by };
        let page = client.list_invites(request).await?.into_inner();
        all.extend(page.invites);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break page.in_all;
        }
    };
    let rows = all.iter().map(|it| {
        vec![
            it.id.clone(),
            it.kind.clone(),
            address(it),
            by_whom(it).to_owned(),
            format!("{}/{}", it.used + it.taken, it.uses),
            moment(it.expires_ms),
        ]
    });
    let text = match all.is_empty() {
        true => "nobody is invited".to_owned(),
        false => table(
            &["ID", "KIND", "ACCOUNT", "BY", "USED", "UNTIL"],
            &rows.collect::<Vec<_>>(),
        ),
    };
    let shown = all.iter().map(|it| {
        json!({
            "id": it.id, "kind": it.kind, "host": it.host, "by": it.by, "name": it.name, "uses": it.uses,
            "used": it.used, "taken": it.taken, "created_ms": it.created_ms, "expires_ms": it.expires_ms,
        })
    });
    let json = json!({"in_all": in_all, "invites": shown.collect::<Vec<_>>()});
    Ok(Shown { text, json })
}

/// Which accounts may be made.
fn address(invite: &Invite) -> String {
    match invite.name.as_str() {
        "" => format!("any at {}", invite.host),
        name => format!("{name}@{}", invite.host),
    }
}

fn by_whom(invite: &Invite) -> &str {
    match invite.by.as_str() {
        "" => "operator",
        by => by,
    }
}

async fn revoke(mut client: InvitesClient<Channel>, invites: &[String]) -> Result<Shown, Status> {
    let mut revoked = 0;
    for some in invites.chunks(AT_ONCE as usize) {
        let invites = some.to_vec();
        let request = RevokeInvitesRequest { invites };
        revoked += client.revoke_invites(request).await?.into_inner().revoked;
    }
    let text = format!("{} ended", counted(revoked, "invitation"));
    if revoked < invites.len() as u64 {
        return Err(Status::not_found(format!(
            "{text}; the others do not exist: `rookery admin invites list` shows those that do"
        )));
    }
    Ok(Shown::done(text, json!({"revoked": revoked})))
}

/// Invitations in one call.
const AT_ONCE: u32 = 100;
