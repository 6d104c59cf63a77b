//! What the store says of streams that are served.
//!
//! ```text
//! session of a stream that waited is there again ──► the store says that it waits ──► what its client says is held
//!                                                              │ it is told that it goes on: as often as it refuses
//!                                                              ▼
//!                                                    what was held is done
//! ```
//!
//! Whoever owns the shard next finds the stream in the store. Were it there as one that waits, its client could go on
//! with it as it was before all that.

use rookery_session::carrier::SessionId;

use super::resumption::{Resuming, window};
use super::stored::Written;
use super::stream::Stream;
use super::{Account, stranded};
use crate::shard::Turn;

impl Account {
    /// The document of a stream of this account goes. `then` hears whether it has.
    pub(super) fn forget_stored(
        &mut self,
        turn: &mut Turn<'_>,
        name: String,
        then: impl FnOnce(&mut Self, &mut Turn<'_>, bool) + Send + 'static,
    ) {
        if self.leaving.has(&name) {
            return then(self, turn, false);
        }
        let Some(stream) = self.any_stream_named(&name) else {
            return;
        };
        let write = stream.stored.begins_to_go();
        let request = stranded::delete(turn.shard, name.clone());
        self.request_beside(turn, request, move |account, turn, reply| {
            let written = Written::from(&reply);
            if let Some(stream) = account.any_stream_named(&name) {
                stream.is_written(write, written, true);
            }
            then(account, turn, written == Written::Done);
        });
    }

    /// A node serves this session. If the store says that its stream waits, nothing that its client says counts until
    /// it does not.
    pub(super) fn is_served(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let session = self.sessions.get(id);
        let stream = session.and_then(|session| session.stream.as_ref());
        if let Some(stream) = stream.filter(|stream| stream.is_stored_wrong()) {
            let name = stream.id.clone();
            self.deciding.begins(&name);
            self.says_it_goes_on(turn, id, name);
        }
    }

    /// A stream is over that was not heard until the store would say that it goes on.
    pub(super) fn is_heard_again(&mut self, turn: &mut Turn<'_>, stream: &Stream) {
        if stream.is_refused {
            self.is_decided(turn, &stream.id);
        }
    }

    pub(super) fn says_it_goes_on(&mut self, turn: &mut Turn<'_>, id: SessionId, name: String) {
        let ends = turn.now.plus(window(turn));
        self.store_as(turn, id, (ends, Some(id)), move |account, turn, _| {
            match account.any_stream_named(&name) {
                // The next tick tries again.
                Some(stream) if stream.is_stored_wrong() => stream.is_refused = true,
                _ => account.is_decided(turn, &name),
            }
        });
    }

    /// The store may say that the stream goes on by a way by which it does not.
    pub(super) fn does_not_go_on_by(&mut self, turn: &mut Turn<'_>, resuming: &Resuming) {
        let way = resuming.from.session();
        let named = |it: &&Stream| it.id == resuming.id && it.stored.goes_on() == Some(way);
        let meant = self.sessions.iter().find_map(|session| {
            let stream = session.stream.as_ref().filter(named)?;
            (session.id != way).then_some((session.id, stream.ends))
        });
        match meant {
            Some((id, Some(ends))) => self.store_as(turn, id, (ends, None), |_, _, _| {}),
            Some((id, None)) => {
                let ends = turn.now.plus(window(turn));
                self.store_as(turn, id, (ends, Some(id)), |_, _, _| {});
            }
            None => {}
        }
    }

    /// The document of a stream that is served is not needed any more when its client has got all that is in it.
    pub(super) fn forget_if_got(&mut self, turn: &mut Turn<'_>, id: SessionId) {
        let session = self.sessions.get(id);
        if let Some(stream) = session.and_then(|session| session.stream.as_ref())
            && stream.ends.is_none()
            && stream.stored.is_got(stream.mirror.acked())
        {
            // If the store refuses, the next tick tries again: its next owner would give what is in it once more.
            self.forget_stored(turn, stream.id.clone(), |_, _, _| {});
        }
    }
}
