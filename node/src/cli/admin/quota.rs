//! `rookery admin quota`.

use clap::Subcommand;
use rookery_proto::admin::quota_client::QuotaClient;
use rookery_proto::admin::{ResetQuotaRequest, ShowQuotaRequest, ShowQuotaResponse};
use rookery_xmpp::units::{Rate, Span};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::table;
use super::Shown;

/// The traffic budgets of accounts, networks and domains.
#[derive(Debug, Subcommand)]
pub(super) enum QuotaCommand {
    /// Show what is read where, and how budgets are shared out over the nodes.
    Show {
        /// One budget only, as in `account:juliet@example.org`, `prefix:192.0.2.0/24` or
        /// `domain:example.net`.
        budget: Option<String>,
        /// At most so many budgets, those first from which most was read.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Give a budget all of its burst again, on every node, within some seconds.
    Reset {
        /// Which, as `quota show` writes it.
        budget: String,
    },
}

impl QuotaCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = QuotaClient::new(channel);
        match self {
            Self::Show { budget, limit } => {
                let key = budget.unwrap_or_default();
                let request = ShowQuotaRequest { key, limit };
                Ok(show(&client.show_quota(request).await?.into_inner()))
            }
            Self::Reset { budget: key } => {
                let request = ResetQuotaRequest { key: key.clone() };
                client.reset_quota(request).await?;
                let text = format!("{key} has all of its burst again");
                Ok(Shown::done(text, json!({"key": key})))
            }
        }
    }
}

fn show(shown: &ShowQuotaResponse) -> Shown {
    let mut parts = vec![budgets(shown), streams(shown)];
    if !shown.keys.is_empty() {
        parts.push(keys(shown));
    }
    if !shown.floors.is_empty() {
        let percent = |billionths: u32| f64::from(billionths) / 1e7;
        let floors = shown.floors.iter().map(|floor| {
            let (node, percent) = (floor.node, percent(floor.billionths));
            format!("node {node} {percent:.1} %")
        });
        let floors = floors.collect::<Vec<_>>().join(", ");
        parts.push(format!("floors of every budget: {floors}"));
    }
    if !shown.leases.is_empty() {
        parts.push(leases(shown));
    }
    Shown {
        text: parts.join("\n\n"),
        json: as_json(shown),
    }
}

fn budgets(shown: &ShowQuotaResponse) -> String {
    if shown.budgets.is_empty() {
        return "no budgets: set them under [quota] in the configuration".to_owned();
    }
    let lines = shown.budgets.iter().map(|budget| {
        let rate = rate(budget.bytes_per_second, budget.burst_ms);
        format!("{:<8} {rate}", budget.kind)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn rate(bytes_per_second: u32, burst_ms: u32) -> String {
    let (rate, burst) = (Rate::new(bytes_per_second), Span::from_ms(burst_ms));
    match rate.is_off() {
        true => "no limit in bytes".to_owned(),
        false => format!("{rate}, burst {burst}"),
    }
}

fn streams(shown: &ShowQuotaResponse) -> String {
    let lines = shown.streams.iter().map(|stream| {
        let rate = rate(stream.bytes_per_second, stream.burst_ms);
        let stanzas = match (stream.stanzas_per_second, stream.stanzas_burst) {
            (0, _) => String::new(),
            (per_second, burst) => format!("; {per_second} stanzas/s, burst {burst}"),
        };
        format!("\n{:<10} {rate}{stanzas}", stream.kind)
    });
    let lines = lines.collect::<String>();
    let exempt = match shown.exempt.is_empty() {
        true => String::new(),
        false => format!("\nexempt     {}", shown.exempt.join(", ")),
    };
    format!("each stream on this node:{lines}{exempt}")
}

fn keys(shown: &ShowQuotaResponse) -> String {
    let head = [
        "BUDGET", "FLOOR", "LEASED", "LEFT", "READ", "WAITS", "SESSIONS",
    ];
    let rows = shown.keys.iter().map(|key| {
        vec![
            key.key.clone(),
            key.floor.to_string(),
            key.leased.to_string(),
            key.level_bytes.to_string(),
            key.read_bytes.to_string(),
            key.waits.to_string(),
            key.sessions.to_string(),
        ]
    });
    let more = if shown.more_keys { "\n…" } else { "" };
    format!(
        "on this node, in bytes and bytes/s:\n{}{more}",
        table(&head, &rows.collect::<Vec<_>>())
    )
}

fn leases(shown: &ShowQuotaResponse) -> String {
    let rows = shown.leases.iter().map(|lease| {
        vec![
            lease.key.clone(),
            lease.node.to_string(),
            lease.leased.to_string(),
            lease.wanted.to_string(),
        ]
    });
    let more = if shown.more_leases { "\n…" } else { "" };
    let head = ["BUDGET", "NODE", "LEASED", "WANTED"];
    format!(
        "leased by the control group, in bytes/s:\n{}{more}",
        table(&head, &rows.collect::<Vec<_>>())
    )
}

fn as_json(shown: &ShowQuotaResponse) -> serde_json::Value {
    let budgets = shown.budgets.iter().map(|it| {
        json!({"kind": it.kind, "bytes_per_second": it.bytes_per_second, "burst_ms": it.burst_ms})
    });
    let streams = shown.streams.iter().map(|it| {
        json!({
            "kind": it.kind, "bytes_per_second": it.bytes_per_second, "burst_ms": it.burst_ms,
            "stanzas_per_second": it.stanzas_per_second, "stanzas_burst": it.stanzas_burst,
        })
    });
    let keys = shown.keys.iter().map(|it| {
        json!({
            "key": it.key, "floor": it.floor, "leased": it.leased, "level_bytes": it.level_bytes,
            "read_bytes": it.read_bytes, "waits": it.waits, "sessions": it.sessions,
        })
    });
    let floors = shown
        .floors
        .iter()
        .map(|it| json!({"node": it.node, "billionths": it.billionths}));
    let leases = shown.leases.iter().map(
        |it| json!({"key": it.key, "node": it.node, "leased": it.leased, "wanted": it.wanted}),
    );
    json!({
        "budgets": budgets.collect::<Vec<_>>(),
        "streams": streams.collect::<Vec<_>>(),
        "exempt": shown.exempt,
        "keys": keys.collect::<Vec<_>>(),
        "floors": floors.collect::<Vec<_>>(),
        "leases": leases.collect::<Vec<_>>(),
        "more": shown.more_keys || shown.more_leases,
    })
}
