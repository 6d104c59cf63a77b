//! `rookery admin bans`.

use std::time::Duration;

use clap::Subcommand;
use rookery_proto::admin::bans_client::BansClient;
use rookery_proto::admin::{AddBansRequest, Ban, ListBansRequest, RemoveBansRequest};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, moment, table};
use super::Shown;

/// Who may not connect.
#[derive(Debug, Subcommand)]
pub(super) enum BansCommand {
    /// List the bans that hold.
    List,
    /// Ban addresses, networks, accounts or domains, on all nodes: nobody of theirs comes in, and who is
    /// here is closed. Banning again changes reason and end.
    Add {
        /// As in `192.0.2.0/24`, `2001:db8::/48`, `juliet@example.org` or `example.net`.
        #[arg(required = true)]
        targets: Vec<String>,
        /// Why, for operators.
        #[arg(long)]
        reason: String,
        /// How long, as in `90m`, `12h` or `7d`; without it for ever.
        #[arg(long, value_parser = span)]
        expires: Option<Duration>,
    },
    /// Lift bans.
    Remove {
        /// As `bans list` writes them.
        #[arg(required = true)]
        targets: Vec<String>,
    },
}

impl BansCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = BansClient::new(channel);
        match self {
            Self::List => list(client).await,
            Self::Add {
                targets,
                reason,
                expires,
            } => {
                let mut version = 0;
                for some in targets.chunks(TARGETS_MAX) {
                    let request = AddBansRequest {
                        targets: some.to_vec(),
                        reason: reason.clone(),
                        seconds: expires.map_or(0, |expires| expires.as_secs()),
                    };
                    version = client.add_bans(request).await?.into_inner().version;
                }
                let count = targets.len() as u64;
                let text = format!("{} added", counted(count, "ban"));
                Ok(Shown::done(
                    text,
                    json!({"version": version, "added": count}),
                ))
            }
            Self::Remove { targets } => remove(client, &targets).await,
        }
    }
}

async fn remove(mut client: BansClient<Channel>, targets: &[String]) -> Result<Shown, Status> {
    let (mut version, mut removed, mut missing) = (0, 0, Vec::new());
    for some in targets.chunks(TARGETS_MAX) {
        let targets = some.to_vec();
        let request = RemoveBansRequest { targets };
        let answer = client.remove_bans(request).await?.into_inner();
        version = answer.version;
        removed += answer.removed;
        missing.extend(answer.missing);
    }
    let lifted = format!("{} lifted", counted(removed, "ban"));
    if removed == 0 || !missing.is_empty() {
        let which = match missing.is_empty() {
            true => "none of them was banned".to_owned(),
            false => format!("not banned: {}", missing.join(", ")),
        };
        return Err(Status::not_found(format!(
            "{lifted}; {which}: `rookery admin bans list` shows those that exist"
        )));
    }
    Ok(Shown::done(
        lifted,
        json!({"version": version, "removed": removed}),
    ))
}

async fn list(mut client: BansClient<Channel>) -> Result<Shown, Status> {
    let mut bans: Vec<Ban> = Vec::new();
    let (mut page_token, mut version) = (String::new(), 0);
    let mut stale = String::new();
    loop {
        let request = ListBansRequest {
            page_size: TARGETS_MAX as u32,
            page_token,
        };
        let page = client.list_bans(request).await?.into_inner();
        bans.extend(page.bans);
        stale.push_str(&page.stale);
        (page_token, version) = (page.next_page_token, version.max(page.version));
        if page_token.is_empty() {
            break;
        }
    }
    let until = |ban: &Ban| match ban.expires_ms {
        0 => "for ever".to_owned(),
        ms => moment(ms),
    };
    let rows = bans.iter().map(|ban| {
        let since = moment(ban.since_ms);
        vec![
            ban.target.clone(),
            ban.kind.clone(),
            since,
            until(ban),
            ban.reason.clone(),
        ]
    });
    let text = match bans.is_empty() {
        true => "nobody is banned".to_owned(),
        false => table(
            &["TARGET", "KIND", "SINCE", "UNTIL", "REASON"],
            &rows.collect::<Vec<_>>(),
        ),
    };
    let shown = bans.iter().map(|ban| {
        json!({
            "target": ban.target, "kind": ban.kind, "reason": ban.reason, "since_ms": ban.since_ms,
            "expires_ms": ban.expires_ms,
        })
    });
    let json = json!({"version": version, "bans": shown.collect::<Vec<_>>()});
    Ok(Shown { text, json }.or_stale(&stale))
}

/// `90m`, `12h`, `7d`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "write it as 90m, 12h or 7d".to_owned();
    let last = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(last).ok_or_else(wrong)?;
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=SPAN_SECONDS_MAX) => Ok(Duration::from_secs(seconds)),
        _ => Err("from 1m to 3650d".to_owned()),
    }
}

/// Ten years; who means for ever leaves it out.
const SPAN_SECONDS_MAX: u64 = 3_650 * 86_400;

/// In one call, and on one page.
const TARGETS_MAX: usize = 1_000;
