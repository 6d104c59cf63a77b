//! `rookery admin throttle`.

use clap::{Args, Subcommand};
use rookery_proto::admin::throttle_client::ThrottleClient;
use rookery_proto::admin::{
    ResetThrottleRequest, ShowRefusalsRequest, ShowRefusalsResponse, ShowThrottleRequest,
    ShowThrottleResponse,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, duration, moment, table};
use super::Shown;
use super::throttle_lists::{List, ListCommand, Switch, only, reset};

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
    /// Empty the window of one key (the same registrations still count elsewhere), or all windows.
    Reset(Which),
    /// Networks whose registrations no window counts.
    #[command(subcommand)]
    Allow(ListCommand),
    /// Networks from which nobody registers.
    #[command(subcommand)]
    Block(ListCommand),
    /// Let only the allowed networks register, or everybody again who is not blocked.
    Only {
        /// Which of the two.
        switch: Switch,
    },
    /// Return to the networks of the configuration.
    ResetLists,
    /// Show how many registrations were refused, by cause.
    Refusals,
}

/// One key, or all.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Which, as `throttle show` writes it.
    counted: Option<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

impl ThrottleCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = ThrottleClient::new(channel);
        match self {
            Self::Show { counted, limit } => {
                let key = counted.unwrap_or_default();
                let request = ShowThrottleRequest { key, limit };
                let shown = client.show_throttle(request).await?.into_inner();
                let refused = client.show_refusals(ShowRefusalsRequest {}).await?;
                Ok(show(&shown, &refused.into_inner()))
            }
            Self::Reset(Which { counted: key, all }) => {
                let key = key.unwrap_or_default();
                let request = ResetThrottleRequest {
                    key: key.clone(),
                    all,
                };
                let forgiven = client.reset_throttle(request).await?.into_inner().forgiven;
                let shown = if all { "all windows" } else { &key };
                let text = format!("{shown}: {} forgiven", counted(forgiven, "registration"));
                let json = json!({"key": key, "all": all, "forgiven": forgiven});
                Ok(Shown::done(text, json))
            }
            Self::Allow(command) => command.run(List::Allow, &mut client).await,
            Self::Block(command) => command.run(List::Block, &mut client).await,
            Self::Only { switch } => only(switch, &mut client).await,
            Self::ResetLists => reset(&mut client).await,
            Self::Refusals => {
                let refused = client.show_refusals(ShowRefusalsRequest {}).await?;
                Ok(refusals(&refused.into_inner()))
            }
        }
    }
}

fn show(shown: &ShowThrottleResponse, refused: &ShowRefusalsResponse) -> Shown {
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
    let out = shown.out.iter().map(|it| {
        let until = moment(it.until_ms);
        format!(
            "\n{} has filled the throttle, nobody registers from there until {until}",
            it.network
        )
    });
    let out: String = out.collect();
    let windows = shown.windows.iter().map(|it| {
        json!({
            "key": it.key, "window": it.window, "used": it.used, "limit": it.limit,
            "free_in_ms": it.free_in_ms,
        })
    });
    let out_json = shown.out.iter();
    let out_json = out_json.map(|it| json!({"network": it.network, "until_ms": it.until_ms}));
    let in_hour: u64 = refused.causes.iter().map(|it| it.hour).sum();
    let refused = match in_hour {
        0 => String::new(),
        count => format!("\n{} refused in this hour", counted(count, "registration")),
    };
    Shown {
        text: text + more + &out + &refused,
        json: json!({
            "windows": windows.collect::<Vec<_>>(), "keys": shown.keys, "remembered": shown.remembered,
            "out": out_json.collect::<Vec<_>>(), "refused_in_hour": in_hour,
        }),
    }
}

fn refusals(shown: &ShowRefusalsResponse) -> Shown {
    let rows = shown.causes.iter().map(|it| {
        let counts = [it.hour, it.day, it.total].map(|count| count.to_string());
        [vec![it.cause.clone()], counts.to_vec()].concat()
    });
    let rows: Vec<_> = rows.collect();
    let text = match rows.is_empty() {
        true => "no registration was refused".to_owned(),
        false => table(&["CAUSE", "THIS HOUR", "24 HOURS", "IN ALL"], &rows),
    };
    let causes = shown
        .causes
        .iter()
        .map(|it| json!({"cause": it.cause, "hour": it.hour, "day": it.day, "total": it.total}));
    let hours = shown.hours.iter();
    let hours = hours.map(|it| json!({"since_ms": it.since_ms, "counts": it.counts}));
    Shown {
        text,
        json: json!({
            "causes": causes.collect::<Vec<_>>(), "hours": hours.collect::<Vec<_>>(),
        }),
    }
}
