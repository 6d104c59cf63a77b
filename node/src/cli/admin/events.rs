//! `rookery admin events`.

use clap::Subcommand;
use rookery_proto::admin::events_client::EventsClient;
use rookery_proto::admin::{Event, ListEventsRequest, ListEventsResponse};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{moment, table};
use super::Shown;

/// What has happened: accounts that came and went, bans, limits that were met often.
#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List events, the newest first. The latest 4,096 are kept.
    List {
        /// Only these kinds: registered, removed, banned, blocked, limited, reported, policy. May be given many times.
        #[arg(long, value_name = "KIND")]
        kind: Vec<String>,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
}

impl EventsCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let Self::List { kind, limit } = self;
        let mut client = EventsClient::new(channel);
        let mut request = ListEventsRequest {
            kinds: kind,
            page_size: 500,
            page_token: String::new(),
        };
        let (mut events, mut head) = (Vec::new(), ListEventsResponse::default());
        while events.len() < limit {
            let page = client.list_events(request.clone()).await?.into_inner();
            request.page_token = page.next_page_token.clone();
            let is_last = page.next_page_token.is_empty();
            if head.newest == 0 {
                head = page.clone();
            }
            events.extend(page.events);
            if is_last {
                break;
            }
        }
        events.truncate(limit);
        Ok(show(&events, head.newest, head.told))
    }
}

fn show(events: &[Event], newest: u64, told: u64) -> Shown {
    let rows = events.iter().map(|it| {
        vec![
            it.sequence.to_string(),
            moment(it.at_ms),
            it.kind.clone(),
            it.subject.clone(),
            it.address.clone(),
            it.detail.clone(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let text = match rows.is_empty() {
        true => "nothing has happened".to_owned(),
        false => table(&["NUMBER", "WHEN", "WHAT", "WHO", "FROM", "MORE"], &rows),
    };
    let events = events.iter().map(|it| {
        json!({
            "sequence": it.sequence, "at_ms": it.at_ms, "kind": it.kind, "subject": it.subject,
            "address": it.address, "detail": it.detail,
        })
    });
    Shown {
        text,
        json: json!({"events": events.collect::<Vec<_>>(), "newest": newest, "told": told}),
    }
}
