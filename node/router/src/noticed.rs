//! What a router has seen and the control group has not heard of: refused registrations, and events.
//!
//! ```text
//! shards ─ refused, raise ─► Noticed ─ report, once a second ─► Command::ReportRouter ─ reported ─► the next one
//! ```
//!
//! A report is told until it is answered, under one number, so it counts once. What was not told when the process dies is
//! lost: a second's worth.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::counter;
use rookery_control::{NewEvent, RefusalCause, RefusalCounts, RouterReport};

/// Collects on any thread; it is only for moments that anybody holds it.
#[derive(Debug, Default)]
pub struct Noticed(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    refusals: RefusalCounts,
    events: VecDeque<NewEvent>,
    sequence: u64,
    /// Told, and not answered.
    pending: Option<RouterReport>,
}

impl Noticed {
    /// Events that wait at most; what is more is lost, and counted.
    pub const EVENTS_MAX: usize = 1_000;

    /// Somebody was refused.
    pub fn refused(&self, cause: RefusalCause) {
        counter!("rookery_registrations_refused_total", "cause" => cause.as_str()).increment(1);
        *self.lock().refusals.entry(cause).or_default() += 1;
    }

    /// Something has happened.
    pub fn raise(&self, event: NewEvent) {
        let mut inner = self.lock();
        if inner.events.len() >= Self::EVENTS_MAX {
            counter!("rookery_events_lost_total").increment(1);
            return;
        }
        inner.events.push_back(event.cut());
    }

    /// What is to be told now: the report that was not answered, or a new one. `incarnation` is the run of the process.
    pub fn report(&self, incarnation: u64) -> Option<RouterReport> {
        let mut inner = self.lock();
        if inner.pending.is_none() {
            inner.pending = inner.next(incarnation);
        }
        inner.pending.clone()
    }

    /// A report was answered.
    pub fn reported(&self, sequence: u64) {
        let mut inner = self.lock();
        if inner
            .pending
            .as_ref()
            .is_some_and(|it| it.sequence == sequence)
        {
            inner.pending = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Counts and a queue: nothing is half done when a thread panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn next(&mut self, incarnation: u64) -> Option<RouterReport> {
        if self.refusals.is_empty() && self.events.is_empty() {
            return None;
        }
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(event) = self.events.front()
            && events.len() < RouterReport::EVENTS_MAX
            && bytes + event.text_bytes() <= RouterReport::TEXT_BYTES_MAX
        {
            bytes += event.text_bytes();
            events.extend(self.events.pop_front());
        }
        self.sequence += 1;
        Some(RouterReport {
            incarnation,
            sequence: self.sequence,
            refusals: std::mem::take(&mut self.refusals),
            events,
        })
    }
}

#[cfg(test)]
mod tests {
    use rookery_control::EventKind;

    use super::*;

    fn event(number: usize) -> NewEvent {
        NewEvent::new(EventKind::Removed, "").about(number.to_string(), "a.example")
    }

    #[test]
    fn a_report_is_the_same_until_it_is_answered_and_counts_nothing_twice() {
        let noticed = Noticed::default();
        assert_eq!(noticed.report(7), None);
        noticed.refused(RefusalCause::Host);
        noticed.refused(RefusalCause::Host);
        let first = noticed.report(7).unwrap();
        assert_eq!(
            first.refusals,
            RefusalCounts::from([(RefusalCause::Host, 2)])
        );
        noticed.refused(RefusalCause::Host);
        assert_eq!(noticed.report(7), Some(first.clone()));
        noticed.reported(first.sequence);
        let second = noticed.report(7).unwrap();
        assert_eq!(
            (second.sequence, second.refusals[&RefusalCause::Host]),
            (2, 1)
        );
        noticed.reported(first.sequence);
        assert_eq!(
            noticed.report(7),
            Some(second),
            "only its own answer counts"
        );
    }

    #[test]
    fn events_wait_in_order_and_go_in_reports_that_are_bounded() {
        let noticed = Noticed::default();
        for number in 0..Noticed::EVENTS_MAX + 5 {
            noticed.raise(event(number));
        }
        let mut told = Vec::new();
        while let Some(report) = noticed.report(7) {
            assert!(report.events.len() <= RouterReport::EVENTS_MAX);
            told.extend(report.events);
            noticed.reported(report.sequence);
        }
        let all: Vec<_> = (0..Noticed::EVENTS_MAX).map(event).collect();
        assert_eq!(told, all);
        let long = NewEvent::new(EventKind::Removed, "x".repeat(9_999))
            .about("n".repeat(1_023), "h".repeat(1_023));
        for _ in 0..20 {
            noticed.raise(long.clone());
        }
        let report = noticed.report(7).unwrap();
        let bytes: usize = report.events.iter().map(NewEvent::text_bytes).sum();
        assert!(!report.events.is_empty() && bytes <= RouterReport::TEXT_BYTES_MAX);
    }
}
