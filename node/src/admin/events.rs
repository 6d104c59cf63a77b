//! The service `Events`.

use rookery_control::{Control, Event, EventKind, Events as Kept};
use rookery_proto::admin::events_server::Events;
use rookery_proto::admin::{Event as ApiEvent, ListEventsRequest, ListEventsResponse};
use tonic::{Request, Response, Status};

use super::nodes::unavailable;
use super::status::page_size;

/// Answers for what has happened.
pub(super) struct EventsService {
    control: Control,
}

impl EventsService {
    pub(super) fn new(control: Control) -> Self {
        Self { control }
    }
}

#[tonic::async_trait]
impl Events for EventsService {
    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let request = request.into_inner();
        let kinds = request.kinds.iter().map(|kind| kind.parse::<EventKind>());
        let kinds = kinds.collect::<Result<Vec<_>, _>>();
        let kinds = kinds.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                Status::invalid_argument("`page_token` is not one of an earlier page")
            })?),
        };
        let size = page_size(request.page_size).min(Kept::PAGE_MAX);
        let events = self.control.latest_events(before, size as u32).await;
        let events = events.map_err(unavailable)?;
        let last = events.last().filter(|last| last.sequence > 1);
        let next = last.filter(|_| events.len() == size);
        let next_page_token = next.map_or_else(String::new, |last| last.sequence.to_string());
        let wanted = |event: &&Event| kinds.is_empty() || kinds.contains(&event.what.kind);
        let head = *self.control.watch_events().borrow();
        Ok(Response::new(ListEventsResponse {
            events: events.iter().filter(wanted).map(to_api).collect(),
            next_page_token,
            newest: head.newest,
            told: head.told,
        }))
    }
}

fn to_api(event: &Event) -> ApiEvent {
    let address = event.what.address.map(|address| address.to_string());
    ApiEvent {
        sequence: event.sequence,
        at_ms: event.at.as_millis(),
        kind: event.what.kind.as_str().to_owned(),
        subject: event.subject().unwrap_or_default(),
        address: address.unwrap_or_default(),
        detail: event.what.detail.clone(),
    }
}
