//! A mutation on its way through the writer: queued, applied in a group, answered behind the group's commit.

use tokio::sync::oneshot;

use super::Group;
use super::queue::Room;
use crate::error::StoreError;
use crate::sqlite::error::Failure;

/// Something that changes the store. It runs once, on the writer's thread, within the transaction of a group.
pub(in crate::sqlite) trait Mutation: Send + 'static {
    /// What the caller hears.
    type Output: Send + 'static;

    /// Operations that it counts for in a group.
    fn operations(&self) -> usize {
        1
    }

    /// Bytes that it holds while it waits.
    fn bytes(&self) -> usize {
        0
    }

    /// Makes the change. Must not return [`Failure::Refused`] once it has changed something: the group goes on.
    fn apply(self, group: &mut Group<'_>) -> Result<Self::Output, Failure>;
}

/// A [`Mutation`] of any kind with whoever waits for it.
pub(super) trait Job: Send {
    /// Operations that it counts for in a group.
    fn operations(&self) -> usize;

    /// Makes the change and keeps its outcome; an error means that the group is lost.
    fn apply(&mut self, group: &mut Group<'_>) -> Result<(), rusqlite::Error>;

    /// Answers: with the outcome if the group is committed, else with why it is not.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

/// The one [`Job`].
pub(super) struct Pending<M: Mutation> {
    stage: Stage<M>,
    operations: usize,
    reply: oneshot::Sender<Result<M::Output, StoreError>>,
    /// Its room in the queue, free again when it is answered.
    _room: Room,
}

enum Stage<M: Mutation> {
    Waiting(M),
    Applied(Result<M::Output, StoreError>),
    Lost,
}

impl<M: Mutation> Pending<M> {
    pub(super) fn new(
        mutation: M,
        reply: oneshot::Sender<Result<M::Output, StoreError>>,
        room: Room,
    ) -> Self {
        let operations = mutation.operations();
        Self {
            stage: Stage::Waiting(mutation),
            operations,
            reply,
            _room: room,
        }
    }
}

impl<M: Mutation> Job for Pending<M> {
    fn operations(&self) -> usize {
        self.operations
    }

    fn apply(&mut self, group: &mut Group<'_>) -> Result<(), rusqlite::Error> {
        let Stage::Waiting(mutation) = std::mem::replace(&mut self.stage, Stage::Lost) else {
            return Ok(());
        };
        let outcome = match mutation.apply(group) {
            Ok(output) => Ok(output),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(error)) => return Err(error),
        };
        self.stage = Stage::Applied(outcome);
        Ok(())
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let outcome = match (commit, self.stage) {
            (Ok(()), Stage::Applied(outcome)) => outcome,
            (Ok(()), _) => Err(StoreError::Unavailable("the operation was not run".into())),
            (Err(error), _) => Err(error),
        };
        // Whoever asked may have gone; the change is made all the same.
        let _gone = self.reply.send(outcome);
    }
}
