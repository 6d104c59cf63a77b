//! Which taps must be looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::tap::TapInner;

/// Taps that were spent from or closed since somebody looked.
#[derive(Debug, Default)]
pub(super) struct Activity {
    taps: Mutex<Vec<Arc<TapInner>>>,
    /// Somebody has to wait.
    urgent: AtomicBool,
}

impl Activity {
    pub(super) fn add(&self, tap: Arc<TapInner>) {
        // A push is complete or did not happen.
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.push(tap);
    }

    pub(super) fn take(&self) -> Vec<Arc<TapInner>> {
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *taps)
    }

    pub(super) fn is_any(&self) -> bool {
        let taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        !taps.is_empty()
    }

    pub(super) fn set_urgent(&self, urgent: bool) {
        self.urgent.store(urgent, Ordering::Relaxed);
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed)
    }
}
