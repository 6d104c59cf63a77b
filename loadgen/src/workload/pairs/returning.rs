//! How a pair goes on when one of the two has lost its connection.

use tokio::time::Instant;

use super::{End, Line, Running, message_head};
use crate::client::{ClientError, Session};
use crate::oracle::Stamp;
use crate::worker::Returned;

impl Running {
    /// The pair from its first message to its last, through all interruptions.
    pub(super) async fn run(mut self) {
        let failure = loop {
            let Err((end, error)) = self.exchange().await else {
                break None;
            };
            if error.is_disconnect() {
                let target = &self.pair.targets[end as usize];
                self.shared.outcome.borrow_mut().disconnect(target);
            }
            let is_managed = self.line(end).managed.is_some();
            let comes_back = self.shared.worker.reconnects || is_managed;
            if !comes_back || !error.is_disconnect() {
                break Some(error);
            }
            let began = Instant::now();
            let back = match is_managed {
                true => self.resume(end).await,
                false => self.come_back(end).await,
            };
            if let Err(error) = back {
                break Some(error);
            }
            let mut outcome = self.shared.outcome.borrow_mut();
            outcome.returned(began.elapsed());
        };
        let mut outcome = self.shared.outcome.borrow_mut();
        outcome.sent += u64::from(self.sent);
        outcome.received += self.tracker.received();
        outcome.in_doubt += self.tracker.in_doubt();
        outcome.faults += self.tracker.finish(self.sent);
        if let Some(error) = failure {
            outcome.fail(error.to_string());
        }
    }

    fn line(&mut self, end: End) -> &mut Line {
        match end {
            End::Sender => &mut self.pair.sender,
            End::Recipient => &mut self.pair.recipient,
        }
    }

    fn account(&self, end: End) -> u32 {
        2 * self.pair.number + end as u32
    }

    /// Without stream management: what was under way may be lost.
    async fn come_back(&mut self, end: End) -> Result<(), ClientError> {
        self.tracker.doubt(self.sent);
        let account = self.account(end);
        let mut session = Box::pin(self.shared.worker.login_again(account)).await?;
        session.announce().await?;
        self.is_at(end, &session);
        self.line(end).wire = session.wire;
        Ok(())
    }

    /// Goes on with the stream, or where the server has it no more sends what was not acknowledged on another one.
    async fn resume(&mut self, end: End) -> Result<(), ClientError> {
        let account = self.account(end);
        let managed = self.line(end).managed.take();
        let Some(mut managed) = managed else {
            return Ok(());
        };
        let worker = &self.shared.worker;
        let stream = managed.stream().clone();
        let session = match Box::pin(worker.resume_again(account, &stream)).await? {
            Returned::Resumed(session, h) => {
                let now = Instant::now();
                for stamp in managed.settles(h) {
                    self.shared.acknowledged(stamp.due_ns, now);
                }
                self.shared.outcome.borrow_mut().count("streams resumed");
                session
            }
            Returned::Anew(mut session) => {
                session.enable().await?;
                let stream = session.stream.take();
                let stream = stream.ok_or(ClientError::NotOffered("resumption"))?;
                managed = managed.replaced(stream);
                self.tracker.may_repeat(self.sent);
                self.shared.outcome.borrow_mut().count("streams lost");
                session
            }
        };
        self.is_at(end, &session);
        let again: Vec<Stamp> = managed.unacknowledged().copied().collect();
        let line = self.line(end);
        line.wire = session.wire;
        line.managed = Some(managed);
        for stamp in &again {
            self.write(*stamp);
        }
        if !again.is_empty() {
            self.pair.sender.ask();
        }
        Ok(())
    }

    /// Where a session is now, and how it is called.
    fn is_at(&mut self, end: End, session: &Session) {
        self.pair.targets[end as usize] = self.shared.worker.target(session);
        match end {
            End::Sender => self.pair.from = session.jid.clone().into_bytes(),
            End::Recipient => self.pair.head = message_head(&session.jid),
        }
    }
}
