//! The configuration sections of the control floor.

mod names;

use std::sync::Arc;

pub use names::{NameOptions, TombstoneSetting};

use rookery_xmpp::options;
use rookery_xmpp::units::{Rate, Span};
use serde::{Deserialize, Serialize};

use crate::state::{
    GuardLimits, Network, OverloadRule, QuotaPolicy, QuotaRate, RegistrationLists,
    RegistrationMode, RegistrationPolicy,
};
use crate::window::{Window, WindowSetting};

options! {
    /// Who may make an account over XMPP, and how fast. These are the values of the configuration; the admin API can
    /// override them while the server runs, durably, until the override is reset.
    ///
    /// A window is written `LIMIT/LENGTH` (`3/1h`) or `off`; in any stretch of that length at most that many
    /// registrations succeed, over the whole cluster. A refused attempt costs nothing.
    pub struct RegistrationOptions {
        /// `on`: open within the windows below. `approval`: the same, and nobody can use an account before a moderator
        /// has approved it (`rookery admin users awaiting`). `invite`: whoever has an invitation (XEP-0401,
        /// `rookery admin invites`), which in the mode `approval` stands for it. `unthrottled`: open without any
        /// throttle, for tests and closed networks. `closed`: nobody registers, only the admin API makes accounts. The
        /// default is closed because an open server that nobody watches becomes a source of spam.
        pub mode: RegistrationChoice = RegistrationChoice::Closed, "";
        /// For one address (IPv4 /32, IPv6 /128): a household or an office behind one address can still join in an
        /// evening, a script on one machine gets nowhere.
        pub per_address: WindowSetting = WindowSetting::fixed(3, 3_600), "registrations / time";
        /// For an IPv4 /24: hosters hand out neighbouring addresses to one customer, so three machines' worth of
        /// addresses are treated as one source.
        pub per_prefix_24: WindowSetting = WindowSetting::fixed(10, 3_600), "registrations / time";
        /// For an IPv6 /64: one subscriber's network, in which every address is free to take.
        pub per_prefix_64: WindowSetting = WindowSetting::fixed(10, 3_600), "registrations / time";
        /// For an IPv6 /48: what one customer of a hoster or a tunnel broker can get, 65,536 times a /64.
        pub per_prefix_48: WindowSetting = WindowSetting::fixed(20, 3_600), "registrations / time";
        /// For one virtual host: so that a flood at one host leaves room for the others, and moderators can follow.
        pub per_host: WindowSetting = WindowSetting::fixed(100, 3_600), "registrations / time";
        /// Over all hosts and addresses: the last line against a botnet that has an address for every account.
        pub in_all: WindowSetting = WindowSetting::fixed(300, 3_600), "registrations / time";
        /// The same as a `per_address` of one registration in so many seconds, in the word that other servers have for
        /// it; 0 leaves it to `per_address`. Only one of the two may be given.
        pub min_seconds_between_registrations: u64 = 0, "s";
        /// Networks, as in `192.0.2.0/24`, whose registrations no window counts: a school or an office whose people all
        /// come on one day. They take no place from others. `rookery admin throttle allow` changes the list while the
        /// server runs.
        pub allow: Vec<Network> = Vec::new(), "";
        /// Networks from which nobody registers; a network here wins over one in `allow`. Who has an account still logs
        /// in from there. `rookery admin throttle block` changes the list while the server runs.
        pub block: Vec<Network> = Vec::new(), "";
        /// Whether only the networks in `allow` register, for a server that is open to its own house.
        pub allow_only: bool = false, "";
        /// Registrations that the throttle remembers at once, those that some window still counts and those under way:
        /// half a kilobyte each on every member of the control group. It is full then, and rather than forget one it
        /// refuses the next, as the two options below say. A sum of the windows that it cannot hold is never reached.
        pub remembered_max: u32 = Window::LIMIT_MAX, "registrations";
        /// What happens while the throttle is full: `refuse` lets nobody in, `allow_listed` still lets in the networks
        /// in `allow`.
        pub overload: OverloadRule = OverloadRule::AllowListed, "";
        /// For how long nobody registers from the IPv4 /24 or IPv6 /48 that fills the throttle more than any other, if
        /// it holds a hundredth of it; `0s` for not at all. Who behind that network is innocent waits as well.
        pub overload_block: Span = Span::from_ms(3_600_000), "";
        /// How often registrations may meet one limit within an hour before that is an event, of which watchers are
        /// told; 0 for never. A mistake in a script meets a limit some times, a flood meets it thousands of times.
        pub limited_often: u32 = 100, "refusals";
        /// How long an attempt may hold its place before the account exists. Longer than the slowest account creation
        /// (two time-outs of a database), short enough that crashed attempts soon give their place back. Taken as
        /// 1 s at least and 1 h at most.
        pub reservation_ms: u64 = 60_000, "ms";
        /// Accounts that may await approval at once, over the whole cluster; more are refused until a moderator has
        /// looked. A screen or two, so that a flood does not bury those who mean it. A tenth of them, and three at
        /// least, may come from one network (IPv4 /24, IPv6 /48) that is not allow-listed, so that no single one
        /// fills it.
        pub awaiting_max: u32 = 100, "accounts";
        /// After how many days an account that nobody has approved is deleted, and its name free again; 0 keeps it for
        /// ever. Long enough for a moderator's holiday.
        pub awaiting_days: u32 = 14, "days";
    }
}

/// A [`RegistrationMode`] in the words of the configuration. None of them is `off`, which could be taken for `closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationChoice {
    /// Open, within the windows.
    On,
    /// Open, without any throttle.
    Unthrottled,
    /// Only who was invited.
    Invite,
    /// Nobody registers.
    Closed,
    /// Open, within the windows, and a moderator approves each account.
    Approval,
}

impl From<RegistrationChoice> for RegistrationMode {
    fn from(choice: RegistrationChoice) -> Self {
        match choice {
            RegistrationChoice::On => Self::On,
            RegistrationChoice::Unthrottled => Self::Off,
            RegistrationChoice::Invite => Self::Invite,
            RegistrationChoice::Closed => Self::Closed,
            RegistrationChoice::Approval => Self::Approval,
        }
    }
}

impl RegistrationOptions {
    /// The policy that these options ask for.
    pub fn policy(&self) -> RegistrationPolicy {
        RegistrationPolicy {
            mode: self.mode.into(),
            per_address: self.per_address_window(),
            per_prefix_24: self.per_prefix_24,
            per_prefix_64: self.per_prefix_64,
            per_prefix_48: self.per_prefix_48,
            per_host: self.per_host,
            in_all: self.in_all,
            reservation_ms: self.reservation_ms,
            awaiting_max: self.awaiting_max,
            awaiting_days: self.awaiting_days,
            lists: Arc::new(self.lists()),
            overload: self.overload,
            overload_block_ms: self.overload_block.as_ms().into(),
            limited_often: self.limited_often,
            remembered_max: self.remembered_max,
        }
    }

    fn per_address_window(&self) -> WindowSetting {
        match Window::new(1, self.min_seconds_between_registrations) {
            Ok(window) => WindowSetting(Some(window)),
            // It is 0: what is too long was refused with the configuration.
            Err(_) => self.per_address,
        }
    }

    fn lists(&self) -> RegistrationLists {
        let set = |networks: &[Network]| networks.iter().map(|network| network.0).collect();
        RegistrationLists {
            allow: set(&self.allow),
            block: set(&self.block),
            allow_only: self.allow_only,
        }
    }
}

options! {
    /// Traffic budgets that hold over all connection nodes together, on top of what `[bandwidth]` allows one stream.
    /// Reading stops while a budget is used up, and nothing is dropped. In a cluster the node that was configured last
    /// has its way: keep the files equal.
    pub struct QuotaOptions {
        /// How fast all sessions of one account are read together, as in `30kb/s`; `off` for no budget. Three to five
        /// times `bandwidth.client_rate` suits people with several devices, and stops who opens ten streams to send ten
        /// times as fast.
        pub account_rate: Rate = Rate::OFF, "";
        /// How long a burst at that rate may be, so that a login or a pasted page is not slowed.
        pub account_burst: Span = Span::from_ms(3_000), "";
        /// How fast all clients of one IPv4 /24 or IPv6 /64 are read together, also before they log in; `off` for no
        /// budget. A provider's NAT may have thousands of users behind one /24.
        pub prefix_rate: Rate = Rate::OFF, "";
        /// How long a burst at that rate may be: a network comes back after an outage with all its clients at once.
        pub prefix_burst: Span = Span::from_ms(3_000), "";
        /// How fast all streams of one remote domain are read together; `off` for no budget. It is there for
        /// federation, which this version does not have.
        pub domain_rate: Rate = Rate::OFF, "";
        /// How long a burst at that rate may be: rooms send their history at once.
        pub domain_burst: Span = Span::from_ms(3_000), "";
        /// How long a node may use what it was lent of a budget without a word from the control group. Three questions
        /// fit into it, so that one that is lost costs nothing.
        pub lease_ms: u64 = 3_000, "ms";
        /// How much longer the control group waits before it lends the same to another node: what two clocks may drift
        /// apart over a lease.
        pub lease_margin_ms: u64 = 300, "ms";
    }
}

impl QuotaOptions {
    /// The policy that these options ask for.
    pub fn policy(&self) -> QuotaPolicy {
        let rate = |rate: Rate, burst: Span| QuotaRate {
            bytes_per_second: rate.bytes_per_second(),
            burst_ms: burst.as_ms(),
        };
        QuotaPolicy {
            account: rate(self.account_rate, self.account_burst),
            prefix: rate(self.prefix_rate, self.prefix_burst),
            domain: rate(self.domain_rate, self.domain_burst),
            lease_ms: self.lease_ms,
            margin_ms: self.lease_margin_ms,
        }
    }
}

options! {
    /// Failed logins over all nodes together, on top of what `[login_guard]` does on each. Who fails too often is let
    /// in no more for a while, but never from where the account was used lately. In a cluster the node that reported
    /// last has its way: keep the files equal.
    pub struct GuardOptions {
        /// Whether this node reports failed logins, and refuses who is blocked.
        pub enabled: bool = true, "";
        /// Failed logins of one address (IPv6: of one /64), at any names, before it is blocked; 0 blocks none. Many
        /// people may share it, and those who have logged in from its prefix lately stay let in.
        pub address_failures_max: u32 = 100, "failures";
        /// Failed logins of one IPv4 /24 or IPv6 /48, at any names, before it is blocked; 0 blocks none.
        pub prefix_failures_max: u32 = 1_000, "failures";
        /// Failed logins of one account, from anywhere, before it is blocked for prefixes that have not logged in to it
        /// lately; 0 blocks none. It bounds how often many machines together may guess at one password.
        pub account_failures_max: u32 = 100, "failures";
        /// Time in which a count falls to its half, in steps from its first failure: failures within one such time are
        /// exactly so many.
        pub half_life: Span = Span::from_ms(3_600_000), "";
        /// How long a block lasts. In each, at most as many more guesses are let through as its limit says.
        pub block_time: Span = Span::from_ms(3_600_000), "";
    }
}

impl GuardOptions {
    /// The limits that these options ask for.
    pub fn limits(&self) -> GuardLimits {
        GuardLimits {
            address_failures_max: self.address_failures_max,
            prefix_failures_max: self.prefix_failures_max,
            account_failures_max: self.account_failures_max,
            half_life_ms: self.half_life.as_ms().into(),
            block_ms: self.block_time.as_ms().into(),
        }
    }
}

options! {
    /// The control group: how its members agree and how much they keep.
    pub struct ControlOptions {
        /// One step of Raft's clock. Heartbeats go out every 2 ticks, an election starts after 10 to 20 without one:
        /// with 70 ms a dead leader is replaced within 1.5 s, and within 3 s when the first vote is split; a pause of
        /// half a second on a busy machine replaces nobody.
        pub tick_ms: u64 = 70, "ms";
        /// How long a proposal may take before its caller is told that the control group is unavailable. More than
        /// an election, so that a new leader answers what the old one left; less than a client's patience.
        pub proposal_timeout_ms: u64 = 5_000, "ms";
        /// After how long without an answer a proposal is made again (it is never applied twice). A message lost on
        /// the way to the leader costs this much.
        pub proposal_retry_ms: u64 = 1_000, "ms";
        /// Proposals and reads of this node under way at once. Beyond it callers are refused at once instead of
        /// queueing without bound.
        pub proposals_pending_max: u32 = 4_096, "proposals";
        /// Log entries applied after which the state is saved as a snapshot and the log is cut. About 2 MB of log,
        /// replayed in some 100 ms at start.
        pub snapshot_after_entries: u64 = 10_000, "entries";
        /// Log entries kept behind a snapshot, so that a member that lags a little needs no snapshot.
        pub log_kept_entries: u64 = 1_000, "entries";
        /// Bytes of entries in one message to a member: lets a lagging member catch up in few round trips while no
        /// message holds up a heartbeat.
        pub message_bytes_max: u64 = 1_048_576, "bytes";
        /// Bytes of proposals that wait for their quorum; beyond it new ones are refused, which bounds memory while
        /// the quorum is lost.
        pub uncommitted_bytes_max: u64 = 16_777_216, "bytes";
        /// Bytes of entries taken from the log in one step of applying them: bounds memory while a long log
        /// is replayed.
        pub apply_bytes_max: u64 = 4_194_304, "bytes";
    }
}

#[cfg(test)]
mod tests {
    use rookery_xmpp::options::Section;

    use super::*;

    #[test]
    fn the_default_throttle_narrows_from_all_down_to_one_address() {
        let policy = RegistrationOptions::default().policy();
        assert_eq!(policy.mode, RegistrationMode::Closed);
        let limits = [
            policy.per_address,
            policy.per_prefix_24,
            policy.per_prefix_48,
            policy.per_host,
            policy.in_all,
        ]
        .map(|setting| setting.0.unwrap().limit());
        assert!(limits.is_sorted(), "{limits:?}");
    }

    #[test]
    fn every_option_has_a_reason_and_unknown_keys_are_refused() {
        for info in RegistrationOptions::OPTIONS
            .iter()
            .chain(ControlOptions::OPTIONS)
            .chain(QuotaOptions::OPTIONS)
            .chain(GuardOptions::OPTIONS)
        {
            assert!(info.reason.len() > 40, "{}", info.name);
        }
        let read = |text: &str| serde_json::from_str::<RegistrationOptions>(text);
        assert_eq!(read("{}").unwrap(), RegistrationOptions::default());
        let open = read(r#"{"mode": "on", "per_address": "1/1d", "per_host": "off"}"#).unwrap();
        assert_eq!(open.per_address, WindowSetting::fixed(1, 86_400));
        assert_eq!(open.per_host, WindowSetting(None));
        let listed = read(
            r#"{"min_seconds_between_registrations": 60, "allow": ["192.0.2.7/24"], "block": ["2001:db8::1"]}"#,
        );
        let listed = listed.unwrap().policy();
        assert_eq!(listed.per_address, WindowSetting::fixed(1, 60));
        let network = |text: &str| text.parse().unwrap();
        assert_eq!(listed.lists.allow, [network("192.0.2.0/24")].into());
        assert_eq!(listed.lists.block, [network("2001:db8::1/128")].into());
        assert!(read(r#"{"allow": ["nowhere"]}"#).is_err());
        assert!(read(r#"{"per_adress": "1/1d"}"#).is_err());
        let off = read(r#"{"mode": "off"}"#).unwrap_err().to_string();
        assert!(
            off.contains("closed") && off.contains("unthrottled"),
            "{off}"
        );
    }
}
