//! Tells operators what happens: by a message in the name of the host, and by a webhook.
//!
//! ```text
//! control group ─ EventsHead ─► Teller (where the first shard is served) ─ events_after(read) ─► Digest (machine)
//!        ▲                                                                                          │ Letter
//!        └── tell_events: up to what was sent ◄── messages: dealt with by their shards ◄────────────┘ webhook: 2xx
//! ```
//!
//! How far watchers were told is in the control group, and moves only when a letter has arrived: who takes over after a
//! crash repeats at most the letter that was on its way, and leaves nothing out. What is not told yet is nowhere but in
//! the group's ring of events, so nothing here grows.

mod digest;
mod letter;
mod message;
mod options;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{counter, gauge};
use rookery_control::{Control, EventsHead, Unavailable};
use rookery_router::environment::Environment;
use rookery_session::carrier::Peers;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;
use tokio::sync::watch;

use self::digest::{Digest, Letter};
pub use self::letter::{Template, TemplateError};
pub use self::options::WatcherOptions;
pub(crate) use self::webhook::Target;
use self::webhook::Webhook;

/// What tells, and whom.
pub(crate) struct Teller<F> {
    /// Where events are.
    pub(crate) control: Control,
    /// The way to the watchers' accounts.
    pub(crate) peers: Arc<dyn Peers>,
    /// The hosts, the first of which writes.
    pub(crate) environment: Arc<Environment>,
    /// Whether this node tells at present.
    pub(crate) is_my_turn: F,
    /// What the configuration says now.
    pub(crate) options: watch::Receiver<Arc<WatcherOptions>>,
}

/// What one teller has under way.
#[derive(Default)]
struct State {
    digest: Option<Digest>,
    webhook: Option<Webhook>,
    /// The webhook has failed: it gets one try for each letter until it works again.
    is_webhook_down: bool,
}

impl<F: Fn() -> bool> Teller<F> {
    /// Tells for ever, or until the control group is gone.
    pub(crate) async fn keep(mut self) {
        let mut heads = self.control.watch_events();
        let mut state = State::default();
        let mut options = self.options.borrow_and_update().clone();
        state.set_options(&options);
        loop {
            let head = *heads.borrow_and_update();
            gauge!("rookery_events_untold").set((head.newest - head.told) as f64);
            let wait = match self.turn(&mut state, &options, head).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::debug!(%error, "events are not told yet");
                    BETWEEN_TRIES
                }
            };
            tokio::select! {
                changed = heads.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                Ok(()) = self.options.changed() => {
                    options = self.options.borrow_and_update().clone();
                    state.set_options(&options);
                }
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Tells what there is, and says when to look again.
    async fn turn(
        &self,
        state: &mut State,
        options: &WatcherOptions,
        head: EventsHead,
    ) -> Result<Duration, Unavailable> {
        if options.is_off() || !(self.is_my_turn)() {
            state.digest = None;
            return Ok(LOOK);
        }
        let start = || Digest::new(options.pace(), head.told);
        let mut digest = state.digest.take().unwrap_or_else(start);
        let turn = self.read(state, options, &mut digest, head).await;
        let due = digest.due_at().map(|due| due.since(Timestamp::now()));
        state.digest = Some(digest);
        turn?;
        Ok(due.unwrap_or(LOOK).clamp(SHORTEST, LOOK))
    }

    async fn read(
        &self,
        state: &mut State,
        options: &WatcherOptions,
        digest: &mut Digest,
        head: EventsHead,
    ) -> Result<(), Unavailable> {
        let mut told = head.told;
        while digest.read() < head.newest {
            let events = self.control.events_after(digest.read(), PAGE).await?;
            if events.is_empty() {
                break;
            }
            for event in events {
                if let Some(letter) = digest.take(event, Timestamp::now()) {
                    self.deliver(state, options, &letter).await;
                    told = self.told(digest, told).await?;
                }
            }
        }
        if let Some(letter) = digest.due(Timestamp::now()) {
            self.deliver(state, options, &letter).await;
        }
        self.told(digest, told).await.map(drop)
    }

    /// Has the group know how far watchers were told.
    async fn told(&self, digest: &Digest, before: u64) -> Result<u64, Unavailable> {
        let told = digest.told();
        if told > before {
            self.control.tell_events(told).await?;
        }
        Ok(told.max(before))
    }

    async fn deliver(&self, state: &mut State, options: &WatcherOptions, letter: &Letter) {
        // The checks of the configuration have read it.
        let template = options.template.parse();
        let template: Template = template.unwrap_or_else(|_| Template::default());
        let text = letter.text(&template);
        if let Some(host) = self.host(options) {
            for jid in options
                .jids
                .iter()
                .filter_map(|jid| jid.parse::<Jid>().ok())
            {
                let arrived =
                    message::send(&self.peers, &self.environment, &host, jid, &text).await;
                count("message", arrived);
            }
        }
        if let Some(webhook) = &state.webhook {
            let body = Bytes::from(letter.json(&template).to_string());
            let tries = if state.is_webhook_down { 1 } else { TRIES_MAX };
            let posted = post(webhook, &body, tries).await;
            state.is_webhook_down = !posted;
            count("webhook", posted);
        }
    }

    /// In whose name watchers are written to: the host of the first of them.
    fn host(&self, options: &WatcherOptions) -> Option<Jid> {
        let first = options.jids.first()?.parse::<Jid>().ok()?;
        Jid::from_parts(None, first.domain(), None).ok()
    }
}

impl State {
    fn set_options(&mut self, options: &WatcherOptions) {
        if let Some(digest) = &mut self.digest {
            digest.set_pace(options.pace());
        }
        self.is_webhook_down = false;
        self.webhook = options.webhook.parse::<Target>().ok().and_then(|target| {
            let timeout = Duration::from_millis(options.webhook_timeout.as_ms().into());
            let webhook = Webhook::new(target, &options.webhook_ca, timeout);
            webhook
                .inspect_err(|error| tracing::error!(%error, "webhook of watchers cannot be used"))
                .ok()
        });
    }
}

/// Posts until it works, so many times at most.
async fn post(webhook: &Webhook, body: &Bytes, tries: u32) -> bool {
    let mut wait = BETWEEN_TRIES;
    for left in (0..tries).rev() {
        match webhook.post(body.clone()).await {
            Ok(()) => return true,
            Err(error) if left > 0 && error.is_temporary() => {
                tracing::debug!(%error, left, "webhook of watchers did not take an event");
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Err(error) => {
                tracing::warn!(%error, "webhook of watchers did not take an event, given up");
                return false;
            }
        }
    }
    false
}

fn count(way: &'static str, is_sent: bool) {
    let result = if is_sent { "sent" } else { "failed" };
    counter!("rookery_watchers_letters_total", "way" => way, "result" => result).increment(1);
}

/// Events read at once.
const PAGE: u32 = 200;

/// Between two looks whether it is this node's turn.
const LOOK: Duration = Duration::from_secs(5);

/// So that a digest that is due at once is not looked for without a pause.
const SHORTEST: Duration = Duration::from_millis(100);

/// Until a group, or a webhook, that did not answer is asked again; a webhook's pause doubles.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Tries of a webhook for one letter: half a minute and its timeouts.
const TRIES_MAX: u32 = 5;
