//! `rookery admin guard`.

use clap::{Args, Subcommand};
use rookery_proto::admin::guard_client::GuardClient;
use rookery_proto::admin::{ResetGuardRequest, ShowGuardRequest, ShowGuardResponse};
use rookery_xmpp::clock::Timestamp;
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, duration, table};
use super::Shown;

/// Failed logins, over all nodes, and who is let in no more for them.
#[derive(Debug, Subcommand)]
pub(super) enum GuardCommand {
    /// Show who fails how often, the most failures first.
    Show {
        /// One network or account only, as in `192.0.2.7`, `192.0.2.0/24` or `juliet@example.org`.
        target: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Forget failed logins, and let in who was blocked for them.
    Reset(Whom),
}

/// One of them, or all.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Whom {
    /// Which network or account, as `guard show` writes it.
    target: Option<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

impl GuardCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = GuardClient::new(channel);
        match self {
            Self::Show { target, limit } => {
                let target = target.unwrap_or_default();
                let request = ShowGuardRequest { target, limit };
                Ok(show(&client.show_guard(request).await?.into_inner()))
            }
            Self::Reset(Whom { target, all }) => {
                let target = target.unwrap_or_default();
                let request = ResetGuardRequest {
                    target: target.clone(),
                    all,
                };
                let forgiven = client.reset_guard(request).await?.into_inner().forgiven;
                let shown = if all { "all" } else { &target };
                let text = format!("{shown}: {} forgiven", counted(forgiven, "count"));
                let json = json!({"target": target, "all": all, "forgiven": forgiven});
                Ok(Shown::done(text, json))
            }
        }
    }
}

fn show(shown: &ShowGuardResponse) -> Shown {
    let now = Timestamp::now().as_millis();
    let blocked = |until: Option<u64>| match until {
        None => "no".to_owned(),
        Some(until) => format!("for {}", duration(until.saturating_sub(now))),
    };
    let rows = shown.counts.iter().map(|it| {
        let known = match (it.blocked_until_ms, it.kind.as_str()) {
            (Some(_), "account") => counted(it.known.into(), "network"),
            _ => String::new(),
        };
        let blocked = blocked(it.blocked_until_ms);
        vec![it.target.clone(), it.failures.to_string(), blocked, known]
    });
    let rows: Vec<_> = rows.collect();
    let text = match rows.is_empty() {
        true => "nobody has failed to log in lately".to_owned(),
        false => table(&["WHO", "FAILURES", "BLOCKED", "BUT NOT FROM"], &rows),
    };
    let more = if shown.targets > rows.len() as u64 {
        "\n…"
    } else {
        ""
    };
    let counts = shown.counts.iter().map(|it| {
        json!({
            "target": it.target, "kind": it.kind, "failures": it.failures,
            "blocked_until_ms": it.blocked_until_ms, "known": it.known,
        })
    });
    Shown {
        text: text + more,
        json: json!({"counts": counts.collect::<Vec<_>>(), "targets": shown.targets}),
    }
}
