//! Punctual sending: tokio's timers tick in milliseconds, which would be measured as latency.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer of the kernel, punctual to some ten microseconds.
struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// Makes the timer.
    fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Deprecated for types whose descriptor may change; an `OwnedFd` keeps its own.
        #[expect(deprecated, reason = "its successor is unsafe")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Waits until `due`; returns at once when it is past.
    async fn wait(&self, due: Instant) -> std::io::Result<()> {
        let rest = due.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        let value = Timespec {
            tv_sec: i64::try_from(rest.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: rest.subsec_nanos().into(),
        };
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let setting = Itimerspec {
            it_interval: never,
            it_value: value,
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &setting)?;
        let mut guard = self.timer.readable().await?;
        let mut expirations = [0; 8];
        // Readable: the count is there; it says nothing that is not known.
        let _ = rustix::io::read(self.timer.get_ref(), &mut expirations);
        guard.clear_ready();
        Ok(())
    }
}

/// When the operations of an open loop are due: evenly spaced, counted from one beginning, so that
/// a slow answer moves no later operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    began: Instant,
    interval: Duration,
}

impl Schedule {
    /// `rate` operations a second from `began` on.
    pub(crate) fn new(began: Instant, rate: f64) -> Self {
        Self {
            began,
            interval: Duration::from_secs_f64(1.0 / rate.clamp(1e-3, 1e7)),
        }
    }

    /// When operation `n` is due.
    fn due(&self, n: u64) -> Instant {
        let ns = self.interval.as_nanos().saturating_mul(u128::from(n));
        self.began + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// Operations of one session that are due and not yet begun. Bounded by rate and duration.
#[derive(Default)]
pub(crate) struct Slot {
    due_ns: RefCell<Vec<u64>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    /// Takes all that is due, as nanoseconds since the epoch of [`hand_out`].
    pub(crate) fn take(&self) -> Vec<u64> {
        self.due_ns.take()
    }

    /// Whether something is due; if not, the task is woken when it is.
    pub(crate) fn poll_due(&self, cx: &Context<'_>) -> bool {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        !self.due_ns.borrow().is_empty()
    }
}

/// Hands out what is due before `stop`, to the slots in turn.
pub(crate) async fn hand_out(
    schedule: Schedule,
    stop: Instant,
    epoch: Instant,
    slots: Vec<Rc<Slot>>,
) -> std::io::Result<()> {
    let alarm = Alarm::new()?;
    let mut number = 0;
    loop {
        let due = schedule.due(number);
        if due >= stop || slots.is_empty() {
            return Ok(());
        }
        alarm.wait(due).await?;
        let slot = &slots[number as usize % slots.len()];
        let due_ns = u64::try_from((due - epoch).as_nanos()).unwrap_or(u64::MAX);
        slot.due_ns.borrow_mut().push(due_ns);
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
        number += 1;
        if number.is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
    }
}

/// An overdue pacer lets the sessions work too.
const YIELD_EVERY: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_does_not_drift() {
        let began = Instant::now();
        let schedule = Schedule::new(began, 2000.0);
        assert_eq!(schedule.due(0), began);
        assert_eq!(schedule.due(2_000_000), began + Duration::from_secs(1000));
    }

    #[tokio::test]
    async fn an_alarm_is_never_early_and_can_be_used_again() {
        let alarm = Alarm::new().unwrap();
        for micros in [300, 0, 2000] {
            let due = Instant::now() + Duration::from_micros(micros);
            alarm.wait(due).await.unwrap();
            assert!(Instant::now() >= due);
        }
    }
}
