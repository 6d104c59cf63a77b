//! The timers of one connection over one tokio timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rookery_session::event::Timer;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a timer is for: the session machine's, and those of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A timer of the session machine.
    Session(Timer),
    /// The stream may be read again.
    Rested,
    /// The client has taken nothing of what was written to it for too long.
    Stalled,
    /// The client has had its time to see the end.
    Lingered,
}

/// Deadlines, of which the nearest is armed. Empty it costs a pointer and its table.
#[derive(Default)]
pub(crate) struct Timers {
    deadlines: [Option<Instant>; ALARMS.len()],
    sleep: Option<Pin<Box<Sleep>>>,
    /// A deadline was set since the task's waker was last left here.
    changed: bool,
}

const ALARMS: [Alarm; 8] = [
    Alarm::Session(Timer::Login),
    Alarm::Session(Timer::Answer),
    Alarm::Session(Timer::Close),
    Alarm::Session(Timer::Idle),
    Alarm::Session(Timer::Ack),
    Alarm::Rested,
    Alarm::Stalled,
    Alarm::Lingered,
];

impl Timers {
    /// Starts or moves a timer.
    pub(crate) fn arm(&mut self, alarm: Alarm, after: Duration) {
        self.deadlines[place(alarm)] = Some(Instant::now() + after);
        self.changed = true;
    }

    /// Stops a timer.
    pub(crate) fn disarm(&mut self, alarm: Alarm) {
        self.deadlines[place(alarm)] = None;
    }

    /// Whether a timer runs.
    pub(crate) fn is_armed(&self, alarm: Alarm) -> bool {
        self.deadlines[place(alarm)].is_some()
    }

    /// Makes sure that the task is woken at the nearest deadline, also at one that was set after it
    /// polled.
    pub(crate) fn wake_later(&mut self, cx: &mut Context<'_>) {
        if self.changed && self.nearest(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// A timer that ran out, which stops it. Pending: the task is woken at the nearest deadline.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Alarm> {
        // The task's waker was left here when the deadline last changed, and never is another.
        let elapsed = self.sleep.as_ref().is_some_and(|sleep| sleep.is_elapsed());
        if !self.changed && !elapsed {
            return Poll::Pending;
        }
        self.nearest(cx).map(|place| {
            self.deadlines[place] = None;
            self.changed = true;
            ALARMS[place]
        })
    }

    fn nearest(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        self.changed = false;
        let nearest = (0..ALARMS.len())
            .filter_map(|place| self.deadlines[place].map(|deadline| (deadline, place)))
            .min();
        let Some((deadline, place)) = nearest else {
            self.sleep = None;
            return Poll::Pending;
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).map(|()| place)
    }
}

fn place(alarm: Alarm) -> usize {
    ALARMS
        .iter()
        .position(|known| *known == alarm)
        .expect("the table has every alarm")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn alarms_ring_in_order_and_once() {
        let mut timers = Timers::default();
        timers.arm(Alarm::Stalled, Duration::from_secs(3));
        timers.arm(Alarm::Session(Timer::Idle), Duration::from_secs(1));
        timers.arm(Alarm::Rested, Duration::from_secs(2));
        timers.disarm(Alarm::Rested);
        let first = poll_fn(|cx| timers.poll(cx)).await;
        assert_eq!(first, Alarm::Session(Timer::Idle));
        assert!(timers.is_armed(Alarm::Stalled));
        assert_eq!(poll_fn(|cx| timers.poll(cx)).await, Alarm::Stalled);
        assert!(!timers.is_armed(Alarm::Stalled));
    }

    #[tokio::test(start_paused = true)]
    async fn a_moved_timer_rings_at_its_new_time() {
        let start = Instant::now();
        let mut timers = Timers::default();
        timers.arm(Alarm::Rested, Duration::from_secs(1));
        timers.arm(Alarm::Rested, Duration::from_secs(5));
        poll_fn(|cx| timers.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
