//! The memory in which one top-level element is read.

use std::cell::Cell;

use super::fast::Fast;
use super::outline;
use super::reference::Build;
use crate::stanza::Header;

/// What a reader needs while it reads, some kilobytes. One a thread goes from reader to reader; a
/// reader keeps it only while an element is unfinished.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The header of the element; its spans are offsets into `canon` until the element is handed
    /// out.
    pub(crate) header: Header,
    /// The canonical form so far.
    pub(crate) canon: Vec<u8>,
    /// The reference lane's state.
    pub(crate) build: Build,
    /// The fast lane's state.
    pub(crate) fast: Fast,
}

thread_local! {
    static SPARE: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

impl Scratch {
    /// The thread's spare one, or a new one.
    pub(crate) fn take() -> Box<Self> {
        SPARE.take().unwrap_or_default()
    }

    /// Leaves it to the next reader of this thread.
    pub(crate) fn give_back(mut self: Box<Self>) {
        self.begin_reference();
        self.begin_fast();
        self.canon.shrink_to(SPARE_BYTES_MAX);
        SPARE.set(Some(self));
    }

    /// Forgets the last element, for the fast lane.
    pub(crate) fn begin_fast(&mut self) {
        outline::clear(&mut self.header);
        self.canon.clear();
        self.fast.clear();
    }

    /// Forgets the last element, for the reference lane.
    pub(crate) fn begin_reference(&mut self) {
        outline::clear(&mut self.header);
        self.canon.clear();
        self.build.clear();
    }
}

/// Gives back what a buffer that grows has too much, but leaves it room: shrinking to its exact
/// size at every byte that comes would copy it every time.
pub(crate) fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > buffer.len() + buffer.len() / 2 + 256 {
        buffer.shrink_to_fit();
    }
}

/// One large stanza must not cost its memory for ever.
const SPARE_BYTES_MAX: usize = 64 * 1024;
