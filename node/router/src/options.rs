//! Options of the router role.

mod accounts;
mod invites;
mod server_info;

pub use accounts::AccountOptions;
pub use invites::{InviteOptions, InviteSettings, InvitesBy};
pub use server_info::{ServerInfo, ServerInfoOptions};

rookery_xmpp::options! {
    /// What one account may hold and do, and what a shard keeps in memory.
    pub struct RouterOptions {
        /// Number of shards. Fixed for the life of a deployment: it decides which shard owns an
        /// account.
        pub shards: u16 = 1024, "shards";
        /// Sessions that one account may have at once; more are refused with `resource-constraint`.
        pub resources_max: u32 = 10, "sessions";
        /// How long a client that was lost may come back and resume its stream (XEP-0198 5); until then its session
        /// stays. A phone in a tunnel, or a laptop on the way to the next room. 0 lets no stream be resumed.
        pub resume_s: u32 = 300, "s";
        /// Stanzas that are kept for such a stream until its client acknowledges them; past it, the log takes over.
        pub resume_stanzas_max: u32 = 500, "stanzas";
        /// Bytes of them, held in memory here and at the session's node.
        pub resume_bytes_max: u32 = 1_048_576, "bytes";
        /// Bytes of all of them, over the streams whose accounts this node owns: past it messages go to the log for
        /// those who do not acknowledge, as if each had reached its own bound.
        pub resume_bytes_in_all_max: u64 = 268_435_456, "bytes";
        /// Whether a message for somebody whose session is in this same process is put into the log before its sender
        /// is told that it was received (XEP-0198): a process that dies then loses nothing. `false` makes a single
        /// server several times faster, and is as safe as others are: what was given to a client and not
        /// acknowledged dies with the process, unless it is archived. Sessions on other nodes are not concerned: their
        /// messages are kept twice.
        pub deliver_durably: bool = true, "";
        /// What happens when a client binds a resource that is in use: `replace` closes the older
        /// session (RFC 6120 7.7.2.2), `refuse` keeps it, `rename` gives the newcomer another
        /// resource.
        pub resource_conflict: ResourceConflict = ResourceConflict::Replace, "";
        /// Contacts in one roster; more are refused with `policy-violation`.
        pub roster_items_max: u32 = 2000, "contacts";
        /// Addresses, names and groups of one roster together; more is refused with
        /// `policy-violation`. A client gets all of it at once.
        pub roster_bytes_max: u32 = 524_288, "bytes";
        /// Groups of one contact.
        pub roster_groups_max: u32 = 32, "groups";
        /// Length of a contact's name or of a group's name.
        pub roster_name_bytes_max: u32 = 1023, "bytes";
        /// Subscription requests kept for an account that has not answered them; more are dropped,
        /// for the sender of a flood must not fill the store.
        pub subscription_requests_max: u32 = 200, "requests";
        /// Messages kept for an account that is offline; more are refused with
        /// `service-unavailable` (XEP-0160).
        pub offline_messages_max: u64 = 1000, "messages";
        /// Bytes of private XML (XEP-0049) or of a vCard (XEP-0054) that one account may store
        /// under one key.
        pub document_bytes_max: u32 = 65_536, "bytes";
        /// Keys of private XML that one account may use.
        pub private_documents_max: u32 = 100, "documents";
        /// Entries on one block list (XEP-0191).
        pub blocklist_items_max: u32 = 1000, "addresses";
        /// Entities to which one session may have sent directed presence, so that each can be told
        /// when it ends.
        pub directed_presence_max: u32 = 500, "addresses";
        /// Size of a presence: it is kept for each session and each unanswered request, and sent to
        /// every contact. Larger ones are refused with `policy-violation`.
        pub presence_bytes_max: u32 = 8192, "bytes";
        /// Presence that one account may cause (a broadcast counts once for each contact that sees
        /// it, a first presence also for each contact that is asked). More is refused with
        /// `resource-constraint`.
        pub presence_fanout_per_s: u32 = 1000, "stanzas/s";
        /// The same, at once: a login with a large roster, several times over.
        pub presence_fanout_burst: u32 = 20_000, "stanzas";
        /// Stanzas that wait for one account while it is loaded or while a change of it is written.
        pub waiting_stanzas_max: u32 = 2000, "stanzas";
        /// Bytes that wait for one account, for the same reason.
        pub waiting_bytes_max: u32 = 4_194_304, "bytes";
        /// How long an account is tried to be read whose sessions a former owner of its shard had bound. Then they end,
        /// so it is longer than a database that is restarted takes, and shorter than people wait.
        pub load_retry_ms: u64 = 30_000, "ms";
        /// How long an account without sessions stays in memory after its last use. Longer than frames are kept by
        /// their senders: it knows which of them it has seen.
        pub account_idle_s: u32 = 300, "s";
        /// Frames that may wait at one shard; a fuller shard makes sessions stop reading, and peers
        /// bounce.
        pub shard_queue_max: u32 = 256, "frames";
        /// Iterations of PBKDF2 for new passwords (RFC 7677 asks for at least 4096).
        pub scram_iterations: u32 = 10_000, "iterations";
        /// Key derivations that run at once; more wait. Each occupies a core for some milliseconds.
        pub derivations_max: u32 = 2, "threads";
    }
}

rookery_xmpp::options! {
    /// The message archives of accounts (XEP-0313).
    pub struct ArchiveOptions {
        /// What is archived for accounts that have set no preference (XEP-0441): `never` nothing, `roster` what they
        /// write to their contacts and get from them, `always` everything. Each message that is archived is written
        /// once for its sender and once for its recipient. By default nobody's messages are kept who has not asked for
        /// it, as with ejabberd, whose option has the same default, and with Prosody before its `mam` module is
        /// loaded. Who comes from a Prosody that has loaded it is used to `always` with `retention_days = 7`. People
        /// with several devices expect an archive: a server for them sets `always`, and says so in its privacy policy.
        pub default: ArchiveDefault = ArchiveDefault::Never, "";
        /// How long messages stay, archived or waiting for their reader; 0 keeps them for ever. Looked at once an
        /// hour.
        pub retention_days: u32 = 0, "days";
        /// Entries in one account's archive; the oldest make room. 0 sets no limit. A public server has accounts that
        /// write day and night.
        pub entries_max: u64 = 200_000, "entries";
        /// Bytes of the messages in one account's archive; the oldest make room. 0 sets no limit. Messages are some
        /// hundreds of bytes: this is for accounts that fill theirs with something else.
        pub bytes_max: u64 = 268_435_456, "bytes";
        /// Results of a query that asks for no number.
        pub page_entries_default: u32 = 50, "entries";
        /// Results of one query at most; one that asks for more gets a shorter page. Fewer than a session's queue
        /// holds.
        pub page_entries_max: u32 = 250, "entries";
        /// Bytes of the messages in one page, a single larger one aside: a session's queue must hold it.
        pub page_bytes_max: u32 = 262_144, "bytes";
        /// Entries that one query may look at. One that looks for what is rare gets what was found within them, and
        /// goes on behind.
        pub scan_entries_max: u32 = 5_000, "entries";
        /// Entries that the queries of one account may look at a second and not give: a client that looks for what it
        /// wrote with somebody years ago needs many, and whoever has many accounts could keep the machine busy with it.
        pub search_entries_per_s: u32 = 2_000, "entries/s";
        /// The same, at once: twenty queries that find nothing.
        pub search_entries_burst: u32 = 100_000, "entries";
        /// How far back a retraction (XEP-0424) reaches in an archive: so many entries are looked through for the
        /// message. What is older stays.
        pub retract_entries_max: u32 = 10_000, "entries";
        /// Queries of one account that may be under way at once; more are refused with `resource-constraint`.
        pub queries_max: u32 = 2, "queries";
        /// Addresses that one account may name in its preferences, always and never together.
        pub preferences_max: u32 = 1_000, "addresses";
    }
}

/// What is archived of those with whom an account has said nothing of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveDefault {
    /// Nothing.
    Never,
    /// What is to or from a contact.
    Roster,
    /// Everything.
    Always,
}

impl ArchiveDefault {
    /// The name, in the configuration and for clients (XEP-0441 2.1.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Roster => "roster",
            Self::Always => "always",
        }
    }

    /// The value of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Never, Self::Roster, Self::Always];
        all.into_iter().find(|value| value.name() == name)
    }
}

/// The longest password that an account may have, in bytes. Most of what a client that has not logged in may say in one
/// stanza (8 KiB): a longer one could not be proved.
pub const PASSWORD_BYTES_MAX: usize = 4_096;

/// The conflict policy of resource binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResourceConflict {
    /// The older session is closed with `conflict`.
    Replace,
    /// The newcomer gets `conflict`.
    Refuse,
    /// The newcomer gets another resource.
    Rename,
}
