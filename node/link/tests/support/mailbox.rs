use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rookery_session::carrier::{Full, SessionId, Sink, ToSession};
use tokio::sync::Notify;

/// A session that keeps what it gets: deliveries up to a number, everything else always.
pub(crate) struct Mailbox {
    id: SessionId,
    capacity: usize,
    frames: Mutex<VecDeque<ToSession>>,
    came: Notify,
    over: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new(serial: u64, capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            id: SessionId { node: 1, serial },
            capacity,
            frames: Mutex::default(),
            came: Notify::new(),
            over: AtomicBool::new(false),
        })
    }

    pub(crate) async fn next(&self) -> ToSession {
        let next = async {
            loop {
                if let Some(frame) = self.frames.lock().unwrap().pop_front() {
                    return frame;
                }
                self.came.notified().await;
            }
        };
        super::soon("a frame for a session", next).await
    }

    pub(crate) fn ends(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.frames.lock().unwrap().len()
    }
}

impl Sink for Mailbox {
    fn session(&self) -> SessionId {
        self.id
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn send(&self, frame: ToSession) -> Result<(), Full<ToSession>> {
        let mut frames = self.frames.lock().unwrap();
        if matches!(frame, ToSession::Deliver(_)) && frames.len() >= self.capacity {
            return Err(Full(frame));
        }
        frames.push_back(frame);
        self.came.notify_one();
        Ok(())
    }
}
