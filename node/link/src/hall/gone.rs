//! When the accepting side waits for a node no longer.
//!
//! ```text
//!  link        lease by the group's clock
//!  up          whatever                     served: it may be cut off from the group alone
//!  down        holds, or nobody knows       waited for, up to `away_max_ms`
//!  down        has ended                    waited for only as long as it takes to dial again
//! ```

use std::time::Duration;

/// Why a node is waited for no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Its link has been down for too long.
    Away,
    /// Its link is down, and so is its way to the control group: it is dead, or alone.
    WithoutLease,
}

/// Whether a node is waited for no longer whose link has been down for so long; `None` if it is up.
pub(super) fn gone(down: Option<Duration>, has_lease: bool, away_max: Duration) -> Option<Gone> {
    match down? {
        down if down > away_max => Some(Gone::Away),
        down if !has_lease && down > REDIAL_MAX => Some(Gone::WithoutLease),
        _ => None,
    }
}

/// A connection that only broke is there again by then: a node that is cut off from the control group goes on serving.
/// Less than any lease, so the link of a node that died has been down for longer when its lease ends.
const REDIAL_MAX: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    const AWAY_MAX: Duration = Duration::from_secs(10);

    #[test]
    fn a_node_whose_link_is_up_is_served_without_a_lease_too() {
        assert_eq!(gone(None, true, AWAY_MAX), None);
        assert_eq!(gone(None, false, AWAY_MAX), None);
    }

    #[test]
    fn one_that_is_away_is_waited_for_as_long_as_its_lease_may_hold() {
        let soon = REDIAL_MAX + Duration::from_millis(1);
        assert_eq!(gone(Some(soon), true, AWAY_MAX), None);
        assert_eq!(gone(Some(soon), false, AWAY_MAX), Some(Gone::WithoutLease));
        assert_eq!(gone(Some(AWAY_MAX), true, AWAY_MAX), None);
        let late = AWAY_MAX + Duration::from_millis(1);
        assert_eq!(gone(Some(late), true, AWAY_MAX), Some(Gone::Away));
    }

    #[test]
    fn a_connection_that_only_broke_ends_nothing() {
        assert_eq!(gone(Some(Duration::ZERO), false, AWAY_MAX), None);
        assert_eq!(gone(Some(REDIAL_MAX), false, AWAY_MAX), None);
    }
}
