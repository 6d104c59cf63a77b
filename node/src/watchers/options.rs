//! The section `[watchers]`.

use std::path::PathBuf;

use rookery_control::EventKind;
use rookery_xmpp::options;
use rookery_xmpp::units::Span;

use super::digest::Pace;

options! {
    /// Who is told when something happens that an operator should know: by a message, by a webhook, or both. One node
    /// tells, the one that serves the first shard; if it dies the next one goes on where it was.
    pub struct WatcherOptions {
        /// Accounts of this server that get a message for what happens, in the name of its host. Empty for nobody.
        pub jids: Vec<String> = Vec::new(), "";
        /// What they are told of: `registered`, `removed`, `banned`, `blocked` (by the login guard), `limited` (limits
        /// of registration that were met often), `reported` (by users, XEP-0377) and `policy` (who may register was
        /// changed).
        pub kinds: Vec<EventKind> = vec![
            EventKind::Registered, EventKind::Banned, EventKind::Blocked, EventKind::Limited,
            EventKind::Reported, EventKind::Policy,
        ], "";
        /// What a message says. `{what}` is the event in a line; `{kind}`, `{account}`, `{name}`, `{host}`, `{address}`,
        /// `{time}`, `{detail}` and `{number}` are its parts.
        pub template: String = "{what}".to_owned(), "";
        /// How many events are told one by one within `digest_every`. What is more is told in one message, so that a
        /// flood of registrations is no flood of messages; 0 tells all of it so.
        pub singles: u32 = 5, "messages";
        /// How often there is a message about many events, while there are many.
        pub digest_every: Span = Span::from_ms(600_000), "";
        /// An address to which the same is posted as JSON, as in `https://hooks.example.org/rookery`; empty for none.
        /// It is tried some times; redirects are not followed.
        pub webhook: String = String::new(), "";
        /// The certificates that issued the webhook's (PEM); empty for those that the system trusts.
        pub webhook_ca: PathBuf = PathBuf::new(), "";
        /// How long the webhook may take to answer.
        pub webhook_timeout: Span = Span::from_ms(10_000), "";
    }
}

impl WatcherOptions {
    /// Whether nobody is told.
    pub(super) fn is_off(&self) -> bool {
        self.jids.is_empty() && self.webhook.is_empty()
    }

    pub(super) fn pace(&self) -> Pace {
        Pace {
            singles: self.singles,
            stretch_ms: self.digest_every.as_ms().into(),
            kinds: self.kinds.clone(),
        }
    }
}
