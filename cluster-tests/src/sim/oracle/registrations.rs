//! The throttle, and that the members of the control group agree.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rookery_control::ReservationId;
use rookery_control::state::ControlState;

use super::Violation;

/// In any window of this length …
pub(crate) const WINDOW_MS: u64 = 20_000;

/// … at most so many registrations succeed.
pub(crate) const WINDOW_LIMIT: u32 = 6;

/// What the members of the group have shown, and what clients were told.
#[derive(Default)]
pub(crate) struct Registrations {
    /// By index of the log: what the state's bytes hash to.
    states: BTreeMap<u64, u64>,
    /// Every address asks once: the reservation that it was given, and when by the group's time.
    granted: BTreeMap<IpAddr, (ReservationId, u64)>,
    /// The addresses whose registrations were acknowledged.
    acknowledged: Vec<IpAddr>,
    violation: Option<Violation>,
}

impl Registrations {
    /// A member has applied something.
    pub(crate) fn saw(&mut self, state: &ControlState) {
        let bytes = state.snapshot();
        let fold =
            |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold);
        let index = state.applied();
        let known = *self.states.entry(index).or_insert(hash);
        if known != hash {
            self.broken(format!(
                "members of the control group differ at entry {index}"
            ));
        }
        let mut twice = None;
        for (id, at, address, _) in state.registrations() {
            let first = *self.granted.entry(address).or_insert((id, at.0));
            if first.0 != id {
                twice = Some(address);
            }
        }
        if let Some(address) = twice {
            self.broken(format!("one registration of {address} takes two places"));
        }
    }

    /// A client was told that it is registered.
    pub(crate) fn acknowledged(&mut self, address: IpAddr) {
        self.acknowledged.push(address);
    }

    pub(super) fn finish(&mut self) {
        let mut moments = Vec::new();
        for address in std::mem::take(&mut self.acknowledged) {
            match self.granted.get(&address) {
                Some((_, at)) => moments.push(*at),
                None => self.broken(format!("{address} registered past the throttle")),
            }
        }
        moments.sort_unstable();
        let more = moments
            .windows(WINDOW_LIMIT as usize + 1)
            .find(|stretch| stretch[stretch.len() - 1] - stretch[0] < WINDOW_MS);
        if let Some(stretch) = more {
            self.broken(format!(
                "registrations at {stretch:?} are more than the limit"
            ));
        }
    }

    pub(super) fn violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    fn broken(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }
}
