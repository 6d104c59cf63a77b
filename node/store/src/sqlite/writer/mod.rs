//! The one writer: a thread that takes what is queued and commits it as a group.
//!
//! ```text
//! idle:   wait for a request ──► BEGIN IMMEDIATE, apply, COMMIT (one fsync) ──► answer all
//! busy:   sleep until 2.5 ms after the last commit, take what came meanwhile, then the same
//! failed: answer all with the error ──► forget the connection ──► the next group opens a new one
//! ```
//!
//! A failed fsync is never tried again on its connection, for the system may have dropped the dirty pages: the
//! database is opened anew, and what it then holds is the truth. So the store recovers by itself when a full
//! disk has space again.

mod backup;
mod group;
mod job;
mod owners;
mod pace;
mod purge;
mod queue;
mod session;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use tokio::time::Instant;

pub(super) use group::{FIND_OWNER, Group};
pub(super) use job::Mutation;
pub(super) use queue::WriteQueue;

use self::backup::Backup;
use self::job::Job;
use self::owners::OwnerCache;
use self::pace::Pace;
use self::queue::Request;
use self::session::Session;
use super::SqliteOptions;
use super::files::{Files, io_error};
use super::metrics;
use super::tail::Tail;
use crate::error::StoreError;

/// What the writer shares with the store's other threads.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) files: Files,
    pub(super) options: SqliteOptions,
    pub(super) tail: Arc<Tail>,
    /// Whether the last commit failed.
    pub(super) failing: AtomicBool,
}

/// Starts the thread and waits until it has opened the database. It ends when the queue is dropped.
pub(super) fn start(shared: &Arc<Shared>) -> Result<(WriteQueue, JoinHandle<()>), StoreError> {
    let (queue, requests) = WriteQueue::new(&shared.options);
    let (opened, outcome) = sync_channel(1);
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("store-writer".into());
    let thread = thread.spawn(move || {
        let session = Session::open(&shared.files, &shared.options, &shared.tail);
        let is_open = session.is_ok();
        let (session, outcome) = match session {
            Ok(session) => (Some(session), Ok(())),
            Err(error) => (None, Err(error)),
        };
        if opened.send(outcome).is_ok() && is_open {
            Writer::new(shared, requests, session).run();
        }
    });
    let thread = thread.map_err(io_error)?;
    outcome
        .recv()
        .map_err(|_| StoreError::Unavailable("the writer did not start".into()))??;
    Ok((queue, thread))
}

struct Writer {
    shared: Arc<Shared>,
    requests: Receiver<Request>,
    /// The open connection; none after a failure.
    session: Option<Session>,
    pace: Pace,
    /// The group that is gathered, and the operations in it.
    jobs: Vec<Box<dyn Job>>,
    operations: usize,
    /// Copies that are asked for and not begun.
    backups: Vec<Backup>,
}

impl Writer {
    fn new(shared: Arc<Shared>, requests: Receiver<Request>, session: Option<Session>) -> Self {
        let pace = Pace::new(&shared.options);
        let (jobs, backups) = (Vec::new(), Vec::new());
        Self {
            shared,
            requests,
            session,
            pace,
            jobs,
            operations: 0,
            backups,
        }
    }

    fn run(&mut self) {
        let mut is_open = true;
        while is_open {
            is_open = self.wait() && self.turn();
            self.back_up();
        }
        self.close();
    }

    /// Gathers and commits what is there, without waiting for a first request. Returns false once there
    /// will be nothing more.
    fn turn(&mut self) -> bool {
        let is_open = self.gather();
        self.commit();
        is_open
    }

    /// Waits for something to do. Returns false once there will be nothing more.
    fn wait(&mut self) -> bool {
        if self.session.as_ref().is_some_and(Session::has_chores) {
            return true;
        }
        match self.requests.recv() {
            Ok(request) => self.accept(request),
            Err(_) => return false,
        }
        true
    }

    /// Takes what is queued, and what comes while the group gathers. Returns false once there will be
    /// nothing more.
    ///
    /// The thread sleeps through the window, and is not woken by each request that comes: at ten thousand
    /// requests a second that would be as many switches of context, which cost more than the commits.
    #[expect(
        clippy::disallowed_methods,
        reason = "the window is a time, and not a condition"
    )]
    fn gather(&mut self) -> bool {
        loop {
            match self.requests.try_recv() {
                Ok(request) => self.accept(request),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => match self.pace.gathers_for(Instant::now()) {
                    Some(left) if self.operations > 0 => std::thread::sleep(left),
                    _ => return true,
                },
            }
            if self.operations >= self.pace.operations_max() {
                return true;
            }
        }
    }

    fn accept(&mut self, request: Request) {
        match request {
            Request::Mutate(job) => {
                self.operations += job.operations();
                self.jobs.push(job);
            }
            Request::Backup(backup) => self.backups.push(backup),
        }
    }

    /// Commits the group and answers it.
    fn commit(&mut self) {
        let started = Instant::now();
        let operations = std::mem::take(&mut self.operations);
        let mut jobs = std::mem::take(&mut self.jobs);
        let outcome = self.try_commit(&mut jobs);
        if let Err(error) = &outcome {
            self.fail(error);
        }
        for job in jobs {
            job.answer(outcome.clone());
        }
        if operations == 0 {
            return;
        }
        let now = Instant::now();
        self.pace.committed(now, operations);
        if outcome.is_ok() {
            self.recover();
            metrics::committed(&self.shared, now - started, operations);
        }
    }

    fn try_commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let has_chores = self.session.as_ref().is_some_and(Session::has_chores);
        if jobs.is_empty() && !has_chores {
            return Ok(());
        }
        Ok(self.session()?.commit(jobs)?)
    }

    /// The open connection, opened anew after a failure.
    fn session(&mut self) -> Result<&mut Session, StoreError> {
        let Shared {
            files,
            options,
            tail,
            ..
        } = &*self.shared;
        Ok(match &mut self.session {
            Some(session) => session,
            none => none.insert(Session::open(files, options, tail)?),
        })
    }

    /// Gives up the connection, and with it all that the group had changed.
    fn fail(&mut self, error: &StoreError) {
        self.session = None;
        metrics::failed(error);
        if !self.shared.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the store cannot write");
        }
    }

    fn recover(&self) {
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the store can write again");
        }
    }

    /// Makes the copies that are asked for, page by page beside further groups.
    fn back_up(&mut self) {
        while let Some(backup) = self.backups.pop() {
            backup.run(self);
        }
    }

    /// Leaves a database whose next start has nothing to rebuild.
    fn close(&mut self) {
        let Some(session) = &mut self.session else {
            return;
        };
        if let Err(error) = session.flush() {
            tracing::warn!(%error, "the store closes with work for its next start");
        }
        self.session = None;
    }
}
