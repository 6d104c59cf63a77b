//! `rookery admin throttle`.

use clap::Subcommand;
use rookery_proto::admin::throttle_client::ThrottleClient;
use rookery_proto::admin::{ResetThrottleRequest, ShowThrottleRequest, ShowThrottleResponse};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, duration, table};
use super::Shown;

/// What the registration throttle has counted.
#[derive(Debug, Subcommand)]
pub(super) enum ThrottleCommand {
    /// Show which windows are how full, the fullest first.
    Show {
        /// One key only, as in `address:192.0.2.7`, `prefix_24:192.0.2.0`, `host:example.org` or `all`.
        counted: Option<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
    /// Empty the window of one key. The same registrations still count elsewhere.
    Reset {
        /// Which, as `throttle show` writes it.
        counted: String,
    },
}

impl ThrottleCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = ThrottleClient::new(channel);
        match self {
            Self::Show { counted, limit } => {
                let key = counted.unwrap_or_default();
                let request = ShowThrottleRequest { key, limit };
                Ok(show(&client.show_throttle(request).await?.into_inner()))
            }
            Self::Reset { counted: key } => {
                let request = ResetThrottleRequest { key: key.clone() };
                let forgiven = client.reset_throttle(request).await?.into_inner().forgiven;
                let text = format!("{key}: {} forgiven", counted(forgiven, "registration"));
                Ok(Shown::done(text, json!({"key": key, "forgiven": forgiven})))
            }
        }
    }
}

fn show(shown: &ShowThrottleResponse) -> Shown {
    let limit =
        |limit: Option<u32>| limit.map_or_else(|| "off".to_owned(), |limit| limit.to_string());
    let free = |ms: u64| match ms {
        0 => "now".to_owned(),
        ms => format!("in {}", duration(ms)),
    };
    let rows = shown.windows.iter().map(|it| {
        let used = format!("{} of {}", it.used, limit(it.limit));
        vec![it.key.clone(), used, free(it.free_in_ms)]
    });
    let rows: Vec<_> = rows.collect();
    let text = match rows.is_empty() {
        true => "nothing is counted".to_owned(),
        false => table(&["KEY", "USED", "FREE"], &rows),
    };
    let more = if shown.keys > rows.len() as u64 {
        "\n…"
    } else {
        ""
    };
    let windows = shown.windows.iter().map(|it| {
        json!({
            "key": it.key, "window": it.window, "used": it.used, "limit": it.limit,
            "free_in_ms": it.free_in_ms,
        })
    });
    Shown {
        text: text + more,
        json: json!({"windows": windows.collect::<Vec<_>>(), "keys": shown.keys}),
    }
}
