//! Punctual sending: tokio's timers tick in milliseconds, which would be measured as latency.

use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A timer of the kernel, punctual to some ten microseconds.
pub(crate) struct Alarm {
    timer: AsyncFd<OwnedFd>,
}

impl Alarm {
    /// Makes the timer.
    pub(crate) fn new() -> std::io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Deprecated for types whose descriptor may change; an `OwnedFd` keeps its own.
        #[expect(deprecated, reason = "its successor is unsafe")]
        let timer = AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Waits until `due`; returns at once when it is past.
    pub(crate) async fn wait(&self, due: Instant) -> std::io::Result<()> {
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
    pub(crate) fn due(&self, n: u64) -> Instant {
        let ns = self.interval.as_nanos().saturating_mul(u128::from(n));
        self.began + Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

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
