//! The registration throttle: reserve → create the account → commit or release.
//!
//! ```text
//!            reserve                        commit
//!   (room in every window) ──► reserved ──────────────► committed ──► forgotten, once older than every window
//!                                 │  release, or not
//!                                 │  settled in time
//!                                 └──────────────────► given back
//! ```
//!
//! A reservation counts in every window from the moment it is made, so concurrent attempts cannot pass together; a
//! success is dated by its reservation. What expired unsettled is given back by the next command, whatever it is, and
//! a commit that comes later is told so.
//!
//! Who is let through by the lists, or because there is no throttle, is exempt: no window counts it, and it is
//! remembered only until it is settled.
//!
//! Memory is bounded by [`RegistrationPolicy::remembered_max`] and, of those that are exempt, [`EXEMPT_MAX`]: when that
//! many registrations are remembered, further ones are refused with [`WindowKind::Overload`]. Forgetting one instead
//! would let somebody pass. A grant has at most five keys, and a key is held only while it has a grant.
//!
//! A policy that lengthens a window sees back only as far as the policy before it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rookery_xmpp::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::guard::networks;
use super::ledger::Ledger;
use super::source::{Key, WindowKind, keys};
use super::{
    EventKind, NameForms, NameRule, NewEvent, Outcome, OverloadRule, RegistrationMode,
    RegistrationPolicy, ThrottleKey, ThrottleReport, ThrottleUse,
};
use crate::window::Window;

/// A place in the windows, good for one registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReservationId(u64);

impl ReservationId {
    /// The reservation of a registration that nobody remembers. Settling it is free. Groups of an earlier build gave it
    /// to all while the throttle was off.
    pub const UNCOUNTED: Self = Self(0);

    /// Whether there is something to settle.
    pub fn is_counted(self) -> bool {
        self != Self::UNCOUNTED
    }
}

/// All registrations that some window may still count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "Vec<(ReservationId, Grant)>",
    into = "Vec<(ReservationId, Grant)>"
)]
pub(super) struct Registrations {
    /// By id, which is the order of time as well: an id is the index of its log entry.
    grants: BTreeMap<ReservationId, Grant>,
    /// Derived: the unsettled ones by when they expire.
    unsettled: BTreeSet<(Timestamp, ReservationId)>,
    /// Derived: the windows' contents.
    ledger: Ledger,
    /// Derived: how many of the grants are exempt.
    exempt: usize,
    /// Derived: how many of them are of accounts that will await approval.
    about_to_await: usize,
}

impl Registrations {
    /// Gives back what expired by `now` and forgets what no window of `policy` counts any more.
    pub(super) fn advance(&mut self, now: Timestamp, policy: &RegistrationPolicy) {
        while let Some((expires, id)) = self.unsettled.first().copied()
            && expires <= now
        {
            self.forget(id);
        }
        let horizon = Duration::from_millis(policy.horizon_ms());
        while let Some((id, grant)) = self.grants.first_key_value()
            && grant.expires.is_none()
            && grant.at.plus(horizon) <= now
        {
            let id = *id;
            self.forget(id);
        }
    }

    /// Takes a place in every window, or says which window has none. `index` becomes the reservation's id. Who
    /// `is_listed` is let through by the lists, or invited by the operator.
    pub(super) fn reserve(
        &mut self,
        index: u64,
        now: Timestamp,
        host: &str,
        address: IpAddr,
        policy: &RegistrationPolicy,
        is_listed: bool,
    ) -> Outcome {
        if policy.mode == RegistrationMode::Closed {
            return Outcome::Closed;
        }
        let exempt = is_listed || policy.mode == RegistrationMode::Off;
        let refused = match exempt {
            true => self.refuse_exempt(now, policy),
            false => self.refuse_counted(now, host, address, policy),
        };
        if let Some(refused) = refused {
            return refused;
        }
        let id = ReservationId(index);
        let expires = now.plus(Duration::from_millis(policy.reservation_ms()));
        let grant = Grant {
            at: now,
            address,
            host: host.into(),
            expires: Some(expires),
            forgiven: BTreeSet::new(),
            name: None,
            exempt,
            awaits: None,
        };
        self.insert(id, grant);
        Outcome::Reserved(id)
    }

    /// Which window has no place, or that too much is remembered.
    fn refuse_counted(
        &self,
        now: Timestamp,
        host: &str,
        address: IpAddr,
        policy: &RegistrationPolicy,
    ) -> Option<Outcome> {
        let keys = keys(host, address);
        let full = keys.iter().filter_map(|(kind, key)| {
            let wait = self.ledger.wait_ms(key, policy.window(*kind)?, now)?;
            Some((wait, *kind))
        });
        if let Some((retry_after_ms, window)) = full.max() {
            return Some(Outcome::Throttled {
                window,
                retry_after_ms,
            });
        }
        self.is_full(policy).then(|| self.overloaded(now, policy))
    }

    /// That too much is remembered.
    fn refuse_exempt(&self, now: Timestamp, policy: &RegistrationPolicy) -> Option<Outcome> {
        let shares =
            policy.mode != RegistrationMode::Off && policy.overload == OverloadRule::Refuse;
        let refused = self.exempt >= EXEMPT_MAX || shares && self.is_full(policy);
        refused.then(|| self.overloaded(now, policy))
    }

    fn overloaded(&self, now: Timestamp, policy: &RegistrationPolicy) -> Outcome {
        Outcome::Throttled {
            window: WindowKind::Overload,
            retry_after_ms: self.overload_ms(now, policy),
        }
    }

    /// Whether no more is remembered of those who are counted.
    fn is_full(&self, policy: &RegistrationPolicy) -> bool {
        self.grants.len() - self.exempt >= policy.remembered_max()
    }

    /// The IPv4 /24 or IPv6 /48 that fills more of the throttle than any other, if it is so much that it matters: one
    /// of a hundred that are remembered at most. A botnet that is spread more thinly has no prefix whose users would
    /// not be shut out for others.
    pub(super) fn fullest_prefix(&self, policy: &RegistrationPolicy) -> Option<IpNet> {
        let prefixes = self.ledger.keys().filter_map(|key| {
            let network = match *key {
                Key::Prefix(WindowKind::Prefix24, IpAddr::V4(first)) => {
                    IpNet::from(Ipv4Net::new(first, 24).ok()?)
                }
                Key::Prefix(WindowKind::Prefix48, IpAddr::V6(first)) => {
                    IpNet::from(Ipv6Net::new(first, 48).ok()?)
                }
                _ => return None,
            };
            Some((self.ledger.held(key), network))
        });
        let (held, network) = prefixes.max()?;
        (held * FILLING_PARTS >= policy.remembered_max()).then_some(network)
    }

    /// What is to be told of a reservation that is about to be settled for the first time.
    pub(super) fn event(&self, id: ReservationId) -> Option<NewEvent> {
        let grant = self.grants.get(&id)?;
        grant.expires?;
        let name = grant.name.as_ref().map(|forms| forms.name.clone());
        Some(NewEvent {
            host: Some(grant.host.to_string()),
            name,
            address: Some(grant.address),
            ..NewEvent::new(EventKind::Registered, "")
        })
    }

    /// The account exists. Committing twice is the same as once, but for those that are exempt: they are forgotten.
    pub(super) fn commit(&mut self, id: ReservationId) -> Outcome {
        let Some(grant) = self.grants.get_mut(&id) else {
            return Outcome::NotReserved;
        };
        if grant.exempt {
            self.forget(id);
            return Outcome::Settled;
        }
        if let Some(expires) = grant.expires.take() {
            self.unsettled.remove(&(expires, id));
            grant.name = None;
            if grant.awaits.take().is_some() {
                self.about_to_await -= 1;
            }
        }
        Outcome::Settled
    }

    /// The account that a reservation is for will await approval when it is made.
    pub(super) fn will_await(&mut self, id: ReservationId, account: String) {
        if let Some(grant) = self.grants.get_mut(&id)
            && grant.awaits.replace(account.into()).is_none()
        {
            self.about_to_await += 1;
        }
    }

    /// The account that awaits approval when this reservation is committed, if one does.
    pub(super) fn awaits(&self, id: ReservationId) -> Option<String> {
        let account = self.grants.get(&id)?.awaits.as_ref()?;
        Some(account.to_string())
    }

    /// Reservations that are not settled, of accounts that will await approval.
    pub(super) fn about_to_await(&self) -> usize {
        self.about_to_await
    }

    /// Those of them that come from this network.
    pub(super) fn about_to_await_from(&self, network: IpNet) -> usize {
        let unsettled = self.unsettled.iter().map(|(_, id)| id);
        let grants = unsettled.filter_map(|id| self.grants.get(id));
        let awaiting = grants.filter(|grant| grant.awaits.is_some());
        awaiting
            .filter(|grant| network.contains(&grant.address.to_canonical()))
            .count()
    }

    /// The network that a reservation is for.
    pub(super) fn network(&self, id: ReservationId) -> Option<IpNet> {
        let grant = self.grants.get(&id)?;
        let [_, network] = networks(grant.address);
        Some(network)
    }

    /// Keeps the name that a reservation is for until it is settled.
    pub(super) fn remember_name(&mut self, id: ReservationId, forms: &NameForms) {
        if let Some(grant) = self.grants.get_mut(&id) {
            grant.name = Some(Box::new(forms.clone()));
        }
    }

    /// The accounts that are reserved, may still be made, and would have names that one of these rules withholds.
    pub(super) fn under_way(&self, rules: &[NameRule]) -> Vec<String> {
        let unsettled = self.unsettled.iter().map(|(_, id)| id);
        let grants = unsettled.filter_map(|id| self.grants.get(id));
        let held = grants.filter_map(|grant| {
            let forms = grant.name.as_ref()?;
            let is_held = rules.iter().any(|rule| rule.withholds(forms));
            is_held.then(|| format!("{}@{}", forms.name, grant.host))
        });
        held.take(UNDER_WAY_MAX).collect()
    }

    /// The account was not made: every window gets its place back.
    pub(super) fn release(&mut self, id: ReservationId) -> Outcome {
        match self.grants.get(&id) {
            Some(grant) if grant.expires.is_some() => {
                self.forget(id);
                Outcome::Settled
            }
            _ => Outcome::NotReserved,
        }
    }

    /// What counts where, the fullest first; by one key if it is named.
    pub(super) fn report(
        &self,
        of: Option<&ThrottleKey>,
        now: Timestamp,
        policy: &RegistrationPolicy,
    ) -> ThrottleReport {
        let wanted = |key: &&Key| of.is_none_or(|of| of.0 == **key);
        let uses = self.ledger.keys().filter(wanted).map(|key| {
            let window = policy.window(key.kind());
            let wait = window.and_then(|window| self.ledger.wait_ms(key, window, now));
            ThrottleUse {
                key: ThrottleKey(key.clone()),
                used: self.ledger.used(key, window, now) as u32,
                limit: window.map(Window::limit),
                free_in_ms: wait.unwrap_or(0),
            }
        });
        let mut uses: Vec<_> = uses.collect();
        let fullness = |it: &ThrottleUse| {
            let limit = u64::from(it.limit.unwrap_or(u32::MAX));
            u64::from(it.used) * 1_000_000 / limit
        };
        uses.sort_by(|a, b| {
            fullness(b)
                .cmp(&fullness(a))
                .then_with(|| a.key.cmp(&b.key))
        });
        let keys = uses.len() as u64;
        uses.truncate(ThrottleReport::REPORT_MAX);
        ThrottleReport {
            uses,
            keys,
            out: Vec::new(),
            remembered: self.len() as u64,
        }
    }

    /// Empties one key's window. What it counted still counts in the others.
    pub(super) fn reset(&mut self, key: &ThrottleKey) -> Outcome {
        let ids = self.ledger.take(&key.0);
        for id in &ids {
            if let Some(grant) = self.grants.get_mut(id) {
                grant.forgiven.insert(key.window());
            }
        }
        Outcome::ThrottleReset {
            forgiven: ids.len() as u64,
        }
    }

    /// Empties every window: all registrations that are settled are forgotten.
    pub(super) fn reset_all(&mut self) -> Outcome {
        let before = self.grants.len();
        let settled = self
            .grants
            .iter()
            .filter(|(_, grant)| grant.expires.is_none());
        let settled: Vec<_> = settled.map(|(id, _)| *id).collect();
        for id in settled {
            self.forget(id);
        }
        // Those under way are counted by no window any more, and may still be settled.
        let ids: Vec<_> = self.grants.keys().copied().collect();
        for id in ids {
            self.forgive(id);
        }
        let forgiven = before as u64;
        Outcome::ThrottleReset { forgiven }
    }

    fn forgive(&mut self, id: ReservationId) {
        let Some(grant) = self.grants.get_mut(&id) else {
            return;
        };
        for (kind, key) in keys(&grant.host, grant.address) {
            grant.forgiven.insert(kind);
            self.ledger.remove(&key, grant.at, id);
        }
    }

    /// Registrations that are remembered.
    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn iter(
        &self,
    ) -> impl Iterator<Item = (ReservationId, Timestamp, IpAddr, bool)> + '_ {
        let shown = |(id, grant): (&ReservationId, &Grant)| {
            (*id, grant.at, grant.address, grant.expires.is_none())
        };
        self.grants.iter().map(shown)
    }

    fn insert(&mut self, id: ReservationId, grant: Grant) {
        self.exempt += usize::from(grant.exempt);
        for (kind, key) in keys(&grant.host, grant.address) {
            if !grant.exempt && !grant.forgiven.contains(&kind) {
                self.ledger.add(key, grant.at, id);
            }
        }
        if let Some(expires) = grant.expires {
            self.unsettled.insert((expires, id));
        }
        self.about_to_await += usize::from(grant.awaits.is_some());
        self.grants.insert(id, grant);
    }

    fn forget(&mut self, id: ReservationId) {
        let Some(grant) = self.grants.remove(&id) else {
            return;
        };
        self.exempt -= usize::from(grant.exempt);
        if let Some(expires) = grant.expires {
            self.unsettled.remove(&(expires, id));
        }
        self.about_to_await -= usize::from(grant.awaits.is_some());
        for (_, key) in keys(&grant.host, grant.address) {
            self.ledger.remove(&key, grant.at, id);
        }
    }

    /// When the first of all that is remembered goes: it leaves the longest window, or expires.
    fn overload_ms(&self, now: Timestamp, policy: &RegistrationPolicy) -> u64 {
        let leaves = self
            .grants
            .first_key_value()
            .map(|(_, grant)| grant.at.0.saturating_add(policy.horizon_ms()));
        let expires = self.unsettled.first().map(|(expires, _)| expires.0);
        leaves
            .into_iter()
            .chain(expires)
            .min()
            .map_or(0, |at| at.saturating_sub(now.0))
    }
}

impl From<Vec<(ReservationId, Grant)>> for Registrations {
    fn from(grants: Vec<(ReservationId, Grant)>) -> Self {
        let mut registrations = Self::default();
        for (id, grant) in grants {
            registrations.insert(id, grant);
        }
        registrations
    }
}

impl From<Registrations> for Vec<(ReservationId, Grant)> {
    fn from(registrations: Registrations) -> Self {
        registrations.grants.into_iter().collect()
    }
}

/// One remembered registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Grant {
    at: Timestamp,
    address: IpAddr,
    host: Box<str>,
    /// When the place is given back; `None` once it is committed.
    expires: Option<Timestamp>,
    /// Windows that an administrator has emptied since: it counts there no more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forgiven: BTreeSet<WindowKind>,
    /// What it is for, while it is unsettled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Box<NameForms>>,
    /// Whether no window counts it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    exempt: bool,
    /// The account that will await approval, while it is unsettled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    awaits: Option<Box<str>>,
}

/// Registrations under way that no window counts.
const EXEMPT_MAX: usize = 10_000;

/// The part of the throttle that one prefix fills before it is out for that: one of so many.
const FILLING_PARTS: usize = 100;

/// Registrations under way that are named in one answer: more reserve one name only in an attack.
const UNDER_WAY_MAX: usize = 100;

#[cfg(test)]
mod tests;
