//! The fast lane: one strict pass over a top-level element, which accepts it or does not know it.
//! It makes no errors.
//!
//! ```text
//! source     <message to='a'><body>x &gt; y</body></message>
//!            ├─────────── run ends ──┤                     pos
//! canon      <message to="a">                                then: out ++ source[run..pos] is canonical
//! ```
//!
//! At every token's border `canon ++ source[run..pos]` is the canonical form of what was read. What
//! is spelled in the canonical way already just lengthens the run; anything else flushes the run,
//! is written anew, and the run begins behind it. A stanza that is canonical throughout is copied
//! in one go.
//!
//! Text is committed after every byte that matters, a tag only as a whole, so a token that is tried
//! again after more bytes came never repeats a side effect.

mod charref;
mod gate;
mod lane;
mod scan;
mod spell;
mod start;
mod tag;

use self::gate::Gate;
use self::lane::Lane;
use self::tag::Table;
use super::counts::UnknownReason;
use super::env::Env;
use super::scratch::Scratch;
use crate::stanza::Namespace;

/// How far the lane came with an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The element is complete. Its canonical form is the scratch's `canon`, then
    /// `source[run..end]`.
    Done { run: usize, end: usize },
    /// More bytes are needed.
    Incomplete,
    /// The reference lane must read the element, from its first byte.
    Unknown(UnknownReason),
}

/// Why a part of the lane did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Incomplete,
    Unknown(UnknownReason),
}

/// Reads on in the top-level element that begins with `source`. After [`Step::Incomplete`] it is
/// called again with more bytes behind the same ones.
pub(crate) fn read(scratch: &mut Scratch, source: &[u8], env: &Env<'_>) -> Step {
    let Scratch {
        header,
        canon,
        fast,
        ..
    } = scratch;
    let mut lane = Lane {
        state: fast,
        canon,
        header,
        src: source,
        env,
    };
    match lane.advance() {
        Ok(()) => Step::Done {
            run: fast.run,
            end: fast.pos,
        },
        Err(Stop::Incomplete) => Step::Incomplete,
        Err(Stop::Unknown(reason)) => Step::Unknown(reason),
    }
}

/// The state of the lane in an element.
#[derive(Debug)]
pub(crate) struct Fast {
    /// The next byte that was not read; only whole tokens are.
    pos: usize,
    /// Where the run begins that is canonical as it stands.
    run: usize,
    /// Up to where the text at `pos` holds nothing that matters.
    scanned: usize,
    /// Whether that text holds anything outside ASCII.
    high: bool,
    /// Whether the top-level start tag was read.
    started: bool,
    /// Behind the last start tag that was not empty.
    head_end: usize,
    /// Elements that are open.
    depth: usize,
    /// Elements that were begun.
    elements: usize,
    gate: Gate,
    stack: [Frame; DEPTH_MAX],
    table: Table,
    /// Bytes looked at, to prove that the work is linear in the input.
    #[cfg(feature = "testing")]
    pub(crate) looked: usize,
}

impl Default for Fast {
    fn default() -> Self {
        Self {
            pos: 0,
            run: 0,
            scanned: 0,
            high: false,
            started: false,
            head_end: 0,
            depth: 0,
            elements: 0,
            gate: Gate::Open,
            stack: [Frame::default(); DEPTH_MAX],
            table: Table::default(),
            #[cfg(feature = "testing")]
            looked: 0,
        }
    }
}

impl Fast {
    /// Expects another element. The tables keep what they hold; the counts beside them say what of
    /// it is valid.
    pub(crate) fn clear(&mut self) {
        (self.pos, self.run, self.scanned, self.high) = (0, 0, 0, false);
        (self.started, self.head_end, self.depth, self.elements) = (false, 0, 0, 0);
        self.gate = Gate::Open;
        #[cfg(feature = "testing")]
        {
            self.looked = 0;
        }
    }

    /// Counts bytes looked at, in test builds.
    #[cfg_attr(
        not(feature = "testing"),
        allow(clippy::needless_pass_by_ref_mut, reason = "only test builds count")
    )]
    #[inline(always)]
    fn count(&mut self, bytes: usize) {
        #[cfg(feature = "testing")]
        {
            self.looked += bytes;
        }
        let _ = bytes;
    }
}

/// An open element. Places are offsets into the source.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    name: (u32, u32),
    /// Where its namespace is written, unless it is the content namespace by default.
    uri: (u32, u32),
    known: Namespace,
}

/// The reader's default limit; deeper elements are left to the reference lane.
const DEPTH_MAX: usize = 64;
