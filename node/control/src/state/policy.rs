//! The live policy: versioned, so that every node can say which one it follows.
//!
//! There are two layers. The *configured* part comes from the configuration file and is proposed by a member whose file
//! says something else than the group holds, at its start. The *override* is what an administrator set while the
//! server ran; it wins, survives restarts and changes of the file, and lasts until it is reset. Where the files of
//! several members differ, the member that started last has its way: keep them equal.

use std::sync::Arc;

use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::{FormatError, ListChange, OverloadRule, QuotaPolicy, RegistrationLists};
use crate::window::{Window, WindowSetting};

/// Whether accounts can be made over XMPP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RegistrationMode {
    /// Open, without any throttle.
    Off,
    /// Open, within the windows.
    On,
    /// Only who was invited, within the windows unless the operator invited them.
    Invite,
    /// Nobody registers.
    #[default]
    Closed,
    /// Open, within the windows, and a moderator has to approve each account before it can be used.
    Approval,
}

impl RegistrationMode {
    /// The word of configuration and command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "unthrottled",
            Self::On => "on",
            Self::Invite => "invite",
            Self::Closed => "closed",
            Self::Approval => "approval",
        }
    }

    /// Whether whoever comes along may get an account. The operator of such a server must be reachable.
    pub fn is_open_to_strangers(self) -> bool {
        match self {
            Self::Off | Self::On | Self::Approval => true,
            Self::Invite | Self::Closed => false,
        }
    }
}

/// Who may register and how fast. See [`RegistrationOptions`](crate::RegistrationOptions) for what each window is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationPolicy {
    /// Open, open without throttle, for the invited, or closed.
    pub mode: RegistrationMode,
    /// For one address.
    pub per_address: WindowSetting,
    /// For an IPv4 /24.
    pub per_prefix_24: WindowSetting,
    /// For an IPv6 /64.
    pub per_prefix_64: WindowSetting,
    /// For an IPv6 /48.
    pub per_prefix_48: WindowSetting,
    /// For one virtual host.
    pub per_host: WindowSetting,
    /// Over everything.
    pub in_all: WindowSetting,
    /// How long a reservation waits to be settled, in milliseconds; 1 s to 1 h, other values are taken as the nearest.
    pub reservation_ms: u64,
    /// The lists of networks as the configuration has them. An administrator's are kept apart
    /// ([`Policy::lists`]), so that a network can be blocked and the rest still follows the configuration.
    #[serde(default)]
    pub lists: Arc<RegistrationLists>,
    /// Who is refused when the throttle is full.
    #[serde(default)]
    pub overload: OverloadRule,
    /// For how long the network that fills it is out, in milliseconds; 0 for not at all.
    #[serde(default)]
    pub overload_block_ms: u64,
    /// How often a limit is met within an hour before that is an event; 0 for never.
    #[serde(default)]
    pub limited_often: u32,
    /// Registrations that are remembered at once, of those that a window counts; [`Window::LIMIT_MAX`] at most.
    #[serde(default = "remembered_max")]
    pub remembered_max: u32,
    /// Accounts that may await approval at once; [`AWAITING_MAX`](super::AWAITING_MAX) at most.
    #[serde(default = "awaiting_max")]
    pub awaiting_max: u32,
    /// After how many days an account is deleted that was not approved; 0 for never.
    #[serde(default)]
    pub awaiting_days: u32,
}

impl RegistrationPolicy {
    /// Every window by its name, widest last.
    pub fn windows(&self) -> [(&'static str, WindowSetting); 6] {
        [
            ("per_address", self.per_address),
            ("per_prefix_24", self.per_prefix_24),
            ("per_prefix_64", self.per_prefix_64),
            ("per_prefix_48", self.per_prefix_48),
            ("per_host", self.per_host),
            ("in_all", self.in_all),
        ]
    }

    /// Registrations that are remembered at once.
    pub(super) fn remembered_max(&self) -> usize {
        self.remembered_max.clamp(1, Window::LIMIT_MAX) as usize
    }

    /// Accounts that may await approval at once.
    pub(super) fn awaiting_max(&self) -> usize {
        self.awaiting_max.min(super::AWAITING_MAX) as usize
    }

    /// Since when an account awaits approval at most, by the time `now`; whoever has waited since before is deleted.
    pub fn awaiting_since_min(&self, now: Timestamp) -> Timestamp {
        match self.awaiting_days {
            0 => Timestamp(0),
            days => Timestamp(now.0.saturating_sub(u64::from(days) * DAY_MS)),
        }
    }

    /// How long a reservation holds its place, in milliseconds.
    pub fn reservation_ms(&self) -> u64 {
        self.reservation_ms.clamp(1_000, 3_600_000)
    }
}

/// Closed, without windows: what holds until the first configuration is applied.
impl Default for RegistrationPolicy {
    fn default() -> Self {
        let off = WindowSetting(None);
        Self {
            mode: RegistrationMode::Closed,
            per_address: off,
            per_prefix_24: off,
            per_prefix_64: off,
            per_prefix_48: off,
            per_host: off,
            in_all: off,
            reservation_ms: 60_000,
            lists: Arc::default(),
            overload: OverloadRule::default(),
            overload_block_ms: 0,
            limited_often: 0,
            remembered_max: remembered_max(),
            awaiting_max: awaiting_max(),
            awaiting_days: 0,
        }
    }
}

/// What a policy remembers that does not say it: all that may be.
fn remembered_max() -> u32 {
    Window::LIMIT_MAX
}

/// What a policy from before there was approval lets wait.
fn awaiting_max() -> u32 {
    100
}

const DAY_MS: u64 = 86_400_000;

/// The policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Grows with every change; the same version is the same policy on every node.
    pub version: u64,
    /// Who may register and how fast.
    pub registration: Arc<RegistrationPolicy>,
    /// Whether an administrator's override is in force instead of the configuration.
    pub registration_overridden: bool,
    /// How much traffic is read over all nodes.
    #[serde(default)]
    pub quota: QuotaPolicy,
    /// From which networks accounts are never made, always, or only.
    #[serde(default)]
    pub lists: Arc<RegistrationLists>,
    /// Whether these are an administrator's instead of the configuration's.
    #[serde(default)]
    pub lists_overridden: bool,
}

impl Policy {
    /// The bytes of the policy for another node.
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// The policy in another node's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        super::decode(bytes)
    }
}

/// Both layers of the policy, as replicated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyState {
    version: u64,
    configured: Option<Arc<RegistrationPolicy>>,
    overridden: Option<Arc<RegistrationPolicy>>,
    #[serde(default)]
    quota: QuotaPolicy,
    #[serde(default)]
    overridden_lists: Option<Arc<RegistrationLists>>,
}

impl PolicyState {
    /// The policy in force.
    pub fn current(&self) -> Policy {
        Policy {
            version: self.version,
            registration: self
                .overridden
                .as_ref()
                .or(self.configured.as_ref())
                .cloned()
                .unwrap_or_default(),
            registration_overridden: self.overridden.is_some(),
            quota: self.quota,
            lists: self.lists(),
            lists_overridden: self.overridden_lists.is_some(),
        }
    }

    /// The lists of networks in force.
    pub(crate) fn lists(&self) -> Arc<RegistrationLists> {
        let configured = self.configured.as_ref().map(|policy| &policy.lists);
        let lists = self.overridden_lists.as_ref().or(configured);
        lists.cloned().unwrap_or_default()
    }

    /// Changes the lists in force, which are the administrator's from then on. How many networks that concerned;
    /// `None`, and no change, if there is no room.
    pub(crate) fn change_lists(&mut self, change: &ListChange) -> Option<u64> {
        let (lists, changed) = self.lists().changed(change)?;
        if changed > 0 {
            self.overridden_lists = Some(Arc::new(lists));
            self.version += 1;
        }
        Some(changed)
    }

    /// Returns to the configuration's lists.
    pub(crate) fn reset_lists(&mut self) -> u64 {
        if self.overridden_lists.take().is_some() {
            self.version += 1;
        }
        self.version
    }

    /// The policy in force for registrations.
    pub(crate) fn registration(&self) -> Arc<RegistrationPolicy> {
        self.current().registration
    }

    /// What the configuration asked for, once any member has proposed its own.
    pub fn configured(&self) -> Option<&RegistrationPolicy> {
        self.configured.as_deref()
    }

    pub(crate) fn configure(&mut self, policy: RegistrationPolicy) -> u64 {
        if self.configured.as_deref() != Some(&policy) {
            self.configured = Some(Arc::new(policy));
            self.version += 1;
        }
        self.version
    }

    /// The traffic budgets in force.
    pub(crate) fn quota(&self) -> QuotaPolicy {
        self.quota
    }

    pub(crate) fn configure_quota(&mut self, policy: QuotaPolicy) -> u64 {
        if self.quota != policy {
            self.quota = policy;
            self.version += 1;
        }
        self.version
    }

    pub(crate) fn set_override(&mut self, mut policy: Option<RegistrationPolicy>) -> u64 {
        if let Some(policy) = &mut policy {
            policy.lists = Arc::default();
        }
        if self.overridden.as_deref() != policy.as_ref() {
            self.overridden = policy.map(Arc::new);
            self.version += 1;
        }
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(mode: RegistrationMode) -> RegistrationPolicy {
        RegistrationPolicy {
            mode,
            ..RegistrationPolicy::default()
        }
    }

    #[test]
    fn nothing_is_open_before_the_first_configuration() {
        assert_eq!(
            PolicyState::default().registration().mode,
            RegistrationMode::Closed
        );
    }

    #[test]
    fn an_override_wins_over_every_configuration_until_it_is_reset() {
        let mut state = PolicyState::default();
        state.configure(mode(RegistrationMode::On));
        state.set_override(Some(mode(RegistrationMode::Closed)));
        state.configure(mode(RegistrationMode::Off));
        assert_eq!(state.registration().mode, RegistrationMode::Closed);
        assert!(state.current().registration_overridden);
        state.set_override(None);
        assert_eq!(state.registration().mode, RegistrationMode::Off);
    }

    #[test]
    fn lists_are_overridden_apart_from_the_rest() {
        let mut state = PolicyState::default();
        let network = |text: &str| text.parse::<ipnet::IpNet>().unwrap();
        let configured = RegistrationLists {
            block: [network("192.0.2.0/24")].into(),
            ..RegistrationLists::default()
        };
        let lists = Arc::new(configured);
        let policy = |mode| RegistrationPolicy {
            lists: lists.clone(),
            ..self::mode(mode)
        };
        state.configure(policy(RegistrationMode::On));
        let block = |text| ListChange {
            block: vec![network(text)],
            ..ListChange::default()
        };
        assert_eq!(state.change_lists(&block("192.0.2.0/24")), Some(0));
        assert!(!state.current().lists_overridden, "nothing was changed");
        assert_eq!(state.change_lists(&block("198.51.100.0/24")), Some(1));
        assert_eq!(state.lists().block.len(), 2);
        state.set_override(Some(policy(RegistrationMode::Closed)));
        state.configure(policy(RegistrationMode::Off));
        let now = state.current();
        assert!(now.lists_overridden && now.lists.block.len() == 2);
        assert_eq!(now.registration.mode, RegistrationMode::Closed);
        let version = state.reset_lists();
        assert_eq!((state.lists(), state.reset_lists()), (lists, version));
        assert_eq!(state.registration().mode, RegistrationMode::Closed);
    }

    #[test]
    fn a_policy_from_before_the_lists_is_read() {
        let mut json = serde_json::to_value(Policy::default()).unwrap();
        for new in ["lists", "lists_overridden"] {
            json.as_object_mut().unwrap().remove(new).unwrap();
        }
        for new in ["lists", "overload", "overload_block_ms", "limited_often"] {
            json["registration"]
                .as_object_mut()
                .unwrap()
                .remove(new)
                .unwrap();
        }
        assert_eq!(
            serde_json::from_value::<Policy>(json).unwrap(),
            Policy::default()
        );
    }

    #[test]
    fn the_version_grows_with_changes_only() {
        let mut state = PolicyState::default();
        assert_eq!(state.configure(mode(RegistrationMode::On)), 1);
        assert_eq!(state.configure(mode(RegistrationMode::On)), 1);
        assert_eq!(state.set_override(None), 1);
        assert_eq!(state.set_override(Some(mode(RegistrationMode::On))), 2);
        assert_eq!(state.set_override(None), 3);
    }
}
