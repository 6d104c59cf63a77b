//! What is answered to each request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use metrics::counter;
use rookery_control::{
    Control, InviteId, InviteRefused, InviteTerms, RegistrationMode, WindowSetting,
};
use rookery_router::environment::Environment;
use rookery_router::shard::of_somebody_who_may;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::datetime;
use rookery_xmpp::jid::Jid;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::guests::{Guests, Limits};
use super::options::WebOptions;
use super::{client, page};
use crate::admin::Shards;
use page::Standing;

/// What all connections share.
pub(super) struct Shared {
    control: Control,
    /// Know whether those who invite still have their accounts.
    shards: Shards,
    /// Has the addresses for `security.txt`.
    environment: Arc<Environment>,
    options: WebOptions,
    guests: Mutex<Guests>,
    /// All of them together, as far as they make this node ask the control group.
    asking: Mutex<Guests>,
    /// Questions to the control group at once.
    questions: Semaphore,
    began: Instant,
}

/// The other end of a connection.
#[derive(Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

impl Shared {
    pub(super) fn new(
        options: WebOptions,
        (control, shards): (Control, Shards),
        environment: Arc<Environment>,
    ) -> Arc<Self> {
        let guests = Guests::new(Limits {
            requests: options.requests_per_address,
            connections_max: options.connections_per_address_max,
        });
        let asking = Guests::new(Limits {
            requests: WindowSetting::fixed(QUESTIONS_BURST, 2),
            connections_max: 0,
        });
        Arc::new(Self {
            asking: Mutex::new(asking),
            control,
            shards,
            environment,
            options,
            guests: Mutex::new(guests),
            questions: Semaphore::new(QUESTIONS_MAX),
            began: Instant::now(),
        })
    }

    /// Whether a connection may stay. A trusted proxy's always may, for its clients are many.
    pub(super) fn enters(&self, peer: IpAddr) -> bool {
        self.is_proxy(peer) || self.guests(|guests, now_ms| guests.enter(peer, now_ms))
    }

    /// A connection that might stay has ended.
    pub(super) fn left(&self, peer: IpAddr) {
        if !self.is_proxy(peer) {
            self.guests(|guests, _| guests.leave(peer));
        }
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.options
            .proxy_trusted
            .iter()
            .any(|net| net.contains(&peer))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether the control group may be asked once more: a flood from many addresses must not keep it from its work.
    fn may_ask(&self) -> bool {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking
            .ask(Ipv4Addr::UNSPECIFIED.into(), self.now_ms())
            .is_ok()
    }

    fn guests<T>(&self, run: impl FnOnce(&mut Guests, u64) -> T) -> T {
        let now_ms = self.now_ms();
        run(
            &mut self.guests.lock().unwrap_or_else(PoisonError::into_inner),
            now_ms,
        )
    }

    /// What a token is worth. What cannot be one is not asked about.
    async fn standing(&self, token: &str) -> Standing {
        let could_be =
            token.len() == TOKEN_BYTES && token.bytes().all(|it| it.is_ascii_alphanumeric());
        if !could_be {
            return Standing::Unknown;
        }
        let place = self.questions.try_acquire();
        if place.is_err() || !self.may_ask() {
            return Standing::NotNow;
        }
        let checked = self.control.check_invite(None, InviteId::of(token)).await;
        match checked.map(|terms| terms.and_then(|it| of_somebody_who_may(&self.control, it))) {
            Ok(Ok(terms)) => self.by_its_maker(terms).await,
            Ok(Err(InviteRefused::Unknown)) => Standing::Unknown,
            Ok(Err(_)) => Standing::Over,
            Err(_) => Standing::NotNow,
        }
    }
}

impl Shared {
    /// As registration judges an invitation that nothing else speaks against: it is worth nothing once the account of
    /// whoever has made it is removed or disabled, and nobody gets an account where registration is closed.
    async fn by_its_maker(&self, terms: InviteTerms) -> Standing {
        if self.control.policy().registration.mode == RegistrationMode::Closed {
            return Standing::Closed;
        }
        let Some(Ok(by)) = terms.by.as_deref().map(Jid::parse) else {
            return Standing::Good(terms);
        };
        match self.shards.is_in_use(&by).await {
            Ok(true) => Standing::Good(terms),
            Ok(false) => Standing::Unknown,
            Err(_) => Standing::NotNow,
        }
    }
}

/// All paths.
pub(super) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/invite/{token}", get(show_invitation))
        .route("/.well-known/security.txt", get(show_security))
        .route("/style.css", get(show_style))
        .fallback(show_nothing)
        .layer(from_fn_with_state(shared.clone(), guard))
        .with_state(shared)
}

/// Lets a request through that is not too many, and says to browsers what pages may do.
async fn guard(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let forwarded = words(request.headers());
    let address = client::address(peer, &forwarded, &shared.options.proxy_trusted);
    let mut response = match shared.guests(|guests, now_ms| guests.ask(address, now_ms)) {
        Ok(()) => next.run(request).await,
        Err(wait) => too_many(wait),
    };
    let status = response.status().as_u16().to_string();
    counter!("rookery_web_requests_total", "status" => status).increment(1);
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name.clone(), value);
    }
    response
}

fn words(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all("x-forwarded-for").iter();
    // A line that is no text is a word that cannot be read.
    lines
        .map(|line| line.to_str().unwrap_or_default())
        .collect()
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_millis().div_ceil(1_000).to_string();
    let text = "Too many requests have come from your network.";
    let page = html(
        StatusCode::TOO_MANY_REQUESTS,
        page::note("Please wait", text),
    );
    ([(header::RETRY_AFTER, seconds)], page).into_response()
}

async fn show_invitation(State(shared): State<Arc<Shared>>, Path(token): Path<String>) -> Response {
    let standing = shared.standing(&token).await;
    let (status, result) = match standing {
        Standing::Good(_) => (StatusCode::OK, "good"),
        Standing::Over => (StatusCode::GONE, "over"),
        Standing::Unknown => (StatusCode::NOT_FOUND, "unknown"),
        Standing::Closed => (StatusCode::FORBIDDEN, "closed"),
        Standing::NotNow => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    counter!("rookery_invites_shown_total", "by" => "page", "result" => result).increment(1);
    html(status, page::invitation(&standing, &token))
}

/// RFC 9116 2.5. It is made anew for each request, so it never is out of date.
async fn show_security(State(shared): State<Arc<Shared>>) -> Response {
    let contact = shared.environment.contact.load();
    let contacts = &contact.options.security;
    if contacts.is_empty() {
        return show_nothing().await;
    }
    let mut text: String = contacts
        .iter()
        .map(|it| format!("Contact: {it}\n"))
        .collect();
    let expires = Timestamp::now().plus(SECURITY_LIFE);
    text.push_str(&format!("Expires: {}\n", datetime::format(expires)));
    text.push_str("Preferred-Languages: en\n");
    let base = shared.options.base_url.trim_end_matches('/');
    if !base.is_empty() {
        text.push_str(&format!("Canonical: {base}/.well-known/security.txt\n"));
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn show_style() -> Response {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        page::STYLE,
    )
        .into_response()
}

async fn show_nothing() -> Response {
    let page = page::note(
        "There is no such page",
        "Look whether the address is complete.",
    );
    html(StatusCode::NOT_FOUND, page)
}

fn html(status: StatusCode, page: String) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (status, kind, page).into_response()
}

/// With every answer: nothing runs, nothing is fetched from elsewhere, no page is kept or shown inside another, and no
/// other site learns the address, which has the token.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// How long a token is.
const TOKEN_BYTES: usize = 26;

/// More wait for nothing: the control group has other work.
const QUESTIONS_MAX: usize = 32;

/// Questions of one node at once, and again in each two seconds. That is a page for each guest of a large party, and a
/// hundredth of what the control group decides.
const QUESTIONS_BURST: u32 = 100;

/// Until when `security.txt` says that it can be believed.
const SECURITY_LIFE: Duration = Duration::from_secs(30 * 86_400);
