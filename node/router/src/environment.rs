//! What all shards of a process share, and never changes while a stanza is handled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use rookery_control::NameOptions;
use rookery_session::carrier::ShardId;
use rookery_store::name::Tombstone;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::Jid;

use crate::contact::Contact;
use crate::modules::Registry;
use crate::noticed::Noticed;
use crate::{
    AccountOptions, ArchiveOptions, CaptchaOptions, InviteSettings, PasswordOptions,
    RegistrationFormOptions, RouterOptions, ServerInfo,
};

/// The surroundings of a shard: its hosts, its options, its modules.
pub struct Environment {
    /// The virtual hosts served here, prepared.
    pub hosts: BTreeSet<String>,
    /// Accounts whose owners operate the server.
    pub admins: BTreeSet<Jid>,
    /// The limits; replaced as a whole when the configuration is read again.
    pub options: ArcSwap<RouterOptions>,
    /// What of archives is kept, and for how much work they may be asked; replaced like the options.
    pub archive: ArcSwap<ArchiveOptions>,
    /// How names are checked, and what becomes of those of deleted accounts; replaced like the options.
    pub names: ArcSwap<NameOptions>,
    /// Whom users may invite; replaced like the options.
    pub invites: ArcSwap<InviteSettings>,
    /// How people reach whoever runs the server; replaced like the options.
    pub contact: ArcSwap<Contact>,
    /// Which hosts tell of themselves; replaced like the options.
    pub server_info: ArcSwap<ServerInfo>,
    /// What the control group is to hear of: refused registrations, and events.
    pub noticed: Noticed,
    /// Which passwords accounts may have; replaced like the options.
    pub passwords: ArcSwap<PasswordOptions>,
    /// What strangers are asked for; replaced like the options.
    pub form: ArcSwap<RegistrationFormOptions>,
    /// What strangers must solve; replaced like the options.
    pub captcha: ArcSwap<CaptchaOptions>,
    /// What becomes of accounts that are removed; replaced like the options.
    pub accounts: ArcSwap<AccountOptions>,
    /// How many shards there are; fixed at start, unlike the other options.
    pub shards: u16,
    /// The modules.
    pub modules: Registry,
    /// Bytes that are kept of streams that can be resumed.
    pub(crate) unacked_bytes: Arc<AtomicU64>,
    /// When this server was started (XEP-0012 5).
    pub started: Timestamp,
}

impl Environment {
    /// An environment for these hosts, whose accounts archive nothing unless they ask for it.
    pub fn new(
        hosts: impl IntoIterator<Item = String>,
        admins: impl IntoIterator<Item = Jid>,
        options: RouterOptions,
        modules: Registry,
        started: Timestamp,
    ) -> Arc<Self> {
        Arc::new(Self {
            hosts: hosts.into_iter().collect(),
            admins: admins.into_iter().collect(),
            shards: options.shards.max(1),
            options: ArcSwap::from_pointee(options),
            archive: ArcSwap::default(),
            names: ArcSwap::default(),
            invites: ArcSwap::default(),
            contact: ArcSwap::default(),
            server_info: ArcSwap::default(),
            noticed: Noticed::default(),
            passwords: ArcSwap::default(),
            form: ArcSwap::default(),
            captcha: ArcSwap::default(),
            accounts: ArcSwap::default(),
            modules,
            unacked_bytes: Arc::default(),
            started,
        })
    }

    /// Whether stanzas for this domain end here.
    pub fn is_local(&self, domain: &str) -> bool {
        self.hosts.contains(domain)
    }

    /// The tombstone of an account that is deleted now, if it gets one.
    pub(crate) fn tombstone(&self, now: Timestamp) -> Option<Tombstone> {
        let until = self.names.load().tombstones.until(now)?;
        Some(Tombstone { at: now, until })
    }

    /// The tombstone of a registration that is denied now, with the wish that nobody gets its name: as long as those
    /// of others hold, and for ever where they get none.
    pub(crate) fn tombstone_of_denied(&self, now: Timestamp) -> Tombstone {
        let forever = Tombstone {
            at: now,
            until: None,
        };
        self.tombstone(now).unwrap_or(forever)
    }

    /// How long an account that is removed can be restored.
    pub(crate) fn removal_grace(&self) -> Duration {
        Duration::from_millis(self.accounts.load().removal_grace.as_ms().into())
    }

    /// The shard that owns a bare JID.
    pub fn shard_of(&self, bare: &str) -> ShardId {
        ShardId::of(bare, self.shards)
    }
}
