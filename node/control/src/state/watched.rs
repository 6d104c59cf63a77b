//! The parts of the state that operators watch: what was refused, and what has happened.

use std::net::IpAddr;
use std::sync::Arc;

use super::awaiting::Awaiting;
use super::guard::networks;
use super::{
    BanTarget, Command, ControlState, EventKind, Events, Listing, NewEvent, Outcome, RefusalCause,
    RegistrationMode, ReservationId, Wanted, WindowKind,
};

impl ControlState {
    /// Takes a place, unless the lists or a rule about names are against it: that costs no place in a window.
    pub(super) fn reserve(&mut self, index: u64, command: &Command) -> Outcome {
        let Command::Reserve {
            host,
            address,
            name,
            forms,
            invite,
        } = command
        else {
            return Outcome::Stale;
        };
        let (now, policy) = (self.time, self.policy.registration());
        let listing = self.policy.lists().judge(*address);
        match listing {
            Listing::Blocked => return Outcome::Refused(RefusalCause::Blocked),
            Listing::NotAllowed => return Outcome::Refused(RefusalCause::NotAllowed),
            Listing::Unlisted if self.overload.holds(*address, now) => {
                return Outcome::Refused(RefusalCause::Blocked);
            }
            Listing::Allowed | Listing::Unlisted => {}
        }
        if policy.mode != RegistrationMode::Closed
            && let Some(refused) = forms.as_ref().and_then(|forms| self.withheld(forms))
        {
            return refused;
        }
        // Who was invited needs no approval.
        let approval = policy.mode == RegistrationMode::Approval && invite.is_none();
        let is_listed = listing == Listing::Allowed;
        if approval && self.queue_is_full(*address, is_listed, policy.awaiting_max()) {
            return Outcome::Throttled {
                window: WindowKind::Awaiting,
                retry_after_ms: ASK_AGAIN_MS,
            };
        }
        let wanted = Wanted {
            index,
            host,
            address: *address,
            name,
            invite: *invite,
            is_listed,
        };
        let outcome = self.reserve_place(&wanted, &policy);
        if let (Some(id), Some(forms)) = (outcome.reservation(), forms) {
            self.registrations.remember_name(id, forms);
        }
        if matches!(outcome, Outcome::Throttled { window, .. } if window == WindowKind::Overload) {
            self.look_who_fills(policy.overload_block_ms);
        }
        match outcome {
            Outcome::Reserved(id) if approval => {
                self.registrations.will_await(id, format!("{name}@{host}"));
                Outcome::ReservedToAwait(id)
            }
            outcome => outcome,
        }
    }

    /// Whether nobody more may come to await approval, or nobody more of that network.
    fn queue_is_full(&self, address: IpAddr, is_listed: bool, awaiting_max: usize) -> bool {
        let waiting = self.awaiting.len() + self.registrations.about_to_await();
        if waiting >= awaiting_max || is_listed {
            return waiting >= awaiting_max;
        }
        let [_, network] = networks(address);
        let of_network =
            self.awaiting.from(network) + self.registrations.about_to_await_from(network);
        of_network >= Awaiting::share(awaiting_max)
    }

    fn look_who_fills(&mut self, block_ms: u64) {
        if block_ms == 0 || !self.overload.is_due(self.time) {
            return;
        }
        let policy = self.policy.registration();
        let fullest = self.registrations.fullest_prefix(&policy);
        self.overload.looked(fullest, block_ms, self.time);
        if let Some(network) = fullest {
            let seconds = block_ms / 1_000;
            let detail = format!("{network} filled the registration throttle, out for {seconds} s");
            let event = NewEvent::new(EventKind::Limited, detail);
            self.raise(event);
        }
    }

    pub(super) fn commit(&mut self, reservation: ReservationId) -> Outcome {
        let awaits = self.registrations.awaits(reservation);
        let from = self.registrations.network(reservation);
        let event = self.registrations.event(reservation).map(|event| {
            let detail = awaits.as_ref().map_or("", |_| "awaits approval");
            NewEvent {
                detail: detail.to_owned(),
                ..event
            }
        });
        let outcome = self.registrations.commit(reservation);
        if let Some(account) = awaits.filter(|_| outcome == Outcome::Settled) {
            // It is counted as waiting from now on.
            self.awaiting.join(account, from);
        }
        if let (Outcome::Settled, Some(event)) = (&outcome, event) {
            self.raise(event);
        }
        outcome
    }

    pub(super) fn change_policy(&mut self, command: &Command) -> Outcome {
        let (before, policy) = (self.policy.current(), &mut self.policy);
        let outcome = match command {
            Command::ConfigureRegistration { policy: configured } => {
                Outcome::PolicyVersion(policy.configure(configured.clone()))
            }
            Command::SetRegistration { policy: wanted } => {
                Outcome::PolicyVersion(policy.set_override(Some(wanted.clone())))
            }
            Command::ResetRegistration => Outcome::PolicyVersion(policy.set_override(None)),
            Command::ChangeLists { change } => match policy.change_lists(change) {
                Some(changed) => Outcome::Lists {
                    version: policy.current().version,
                    changed,
                },
                None => Outcome::ListsFull,
            },
            Command::ResetLists => Outcome::PolicyVersion(policy.reset_lists()),
            _ => Outcome::Stale,
        };
        let after = self.policy.current();
        if after.registration != before.registration || after.lists != before.lists {
            let (was, is) = (before.registration.mode, after.registration.mode);
            let mut what = match was == is {
                true => format!("mode {}, limits changed", is.as_str()),
                false => format!("mode {}, was {}", is.as_str(), was.as_str()),
            };
            if after.lists != before.lists {
                let (allow, block) = (after.lists.allow.len(), after.lists.block.len());
                what += &format!("; networks allowed: {allow}, blocked: {block}");
            }
            let by = match command {
                Command::ConfigureRegistration { .. } => "configuration",
                _ => "administrator",
            };
            self.raise(NewEvent::new(EventKind::Policy, format!("{what} ({by})")));
        }
        outcome
    }

    pub(super) fn change_bans(&mut self, command: &Command) -> Outcome {
        let (version, now) = (self.bans.version(), self.time);
        let bans = Arc::make_mut(&mut self.bans);
        match command {
            Command::AddBans { bans: new } => {
                let outcome = bans.add(new, now);
                if self.bans.version() != version {
                    let detail = listed(new.iter().map(|ban| &ban.target));
                    let reason = new.first().map_or("", |ban| &ban.reason);
                    let detail = format!("{detail}: {reason}");
                    self.raise(NewEvent::new(EventKind::Banned, detail));
                }
                outcome
            }
            Command::RemoveBans { targets } => bans.remove(targets, now),
            _ => Outcome::Stale,
        }
    }

    pub(super) fn report_logins(&mut self, command: &Command) -> Outcome {
        let Command::ReportLogins { node, report } = command else {
            return Outcome::Stale;
        };
        let (now, before) = (self.time, self.guard.list().version());
        let outcome = self.guard.report(*node, report, now);
        if self.guard.list().version() != before {
            let news = self.guard.list().since(before);
            let new = news.blocks.iter().filter(|block| block.since == now);
            let new: Vec<_> = new.map(|block| &block.target).collect();
            if !new.is_empty() {
                let detail = format!("{}: too many failed logins", listed(new.into_iter()));
                self.raise(NewEvent::new(EventKind::Blocked, detail));
            }
        }
        outcome
    }

    pub(super) fn report_router(&mut self, command: &Command) -> Outcome {
        let Command::ReportRouter { node, report } = command else {
            return Outcome::Stale;
        };
        if self.reporters.is_new(*node, report) {
            let often = self.policy.registration().limited_often;
            for (cause, count) in self.refusals.add(&report.refusals, self.time, often) {
                let limit = cause.as_str();
                let detail = format!("registrations met the limit {limit} {count} times this hour");
                self.raise(NewEvent::new(EventKind::Limited, detail));
            }
            for event in &report.events {
                self.raise(event.clone());
            }
        }
        Outcome::RouterReported
    }

    pub(super) fn show_events(&self, command: &Command) -> Outcome {
        let &Command::ShowEvents {
            after,
            before,
            limit,
        } = command
        else {
            return Outcome::Stale;
        };
        let limit = limit as usize;
        Outcome::Events(match after {
            Some(after) => self.events.after(after, limit),
            None => self.events.before(before.unwrap_or(u64::MAX), limit),
        })
    }

    fn raise(&mut self, event: NewEvent) {
        self.events.raise(event, self.time);
    }

    /// What has happened lately.
    pub fn events(&self) -> &Events {
        &self.events
    }
}

/// The first of them, and how many more there are.
fn listed<'a>(targets: impl ExactSizeIterator<Item = &'a BanTarget>) -> String {
    let count = targets.len();
    let shown: Vec<_> = targets.take(LISTED_MAX).map(ToString::to_string).collect();
    match count.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Targets that one event names.
const LISTED_MAX: usize = 3;

/// When somebody who finds the queue for approval full may try again: nobody knows when a moderator looks.
const ASK_AGAIN_MS: u64 = 3_600_000;
