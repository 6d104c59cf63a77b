//! The pass itself.

use super::gate::Gate;
use super::tag::range;
use super::{Fast, Stop, charref, scan, spell};
use crate::stanza::{Header, Span};
use crate::xml::counts::UnknownReason as Reason;
use crate::xml::env::Env;
use crate::xml::faults::{Fault, planted};
use crate::xml::outline;

/// The lane over what is there of an element.
pub(super) struct Lane<'a> {
    pub(super) state: &'a mut Fast,
    pub(super) canon: &'a mut Vec<u8>,
    pub(super) header: &'a mut Header,
    pub(super) src: &'a [u8],
    pub(super) env: &'a Env<'a>,
}

impl Lane<'_> {
    /// Reads until the element ends.
    pub(super) fn advance(&mut self) -> Result<(), Stop> {
        let looked = self.state.gate.look(self.src);
        self.state.count(looked);
        if self.state.gate != Gate::Open {
            return Err(Stop::Incomplete);
        }
        if !self.state.started {
            self.tag(Self::start_tag)?;
            self.state.started = true;
        }
        while self.state.depth > 0 {
            self.text()?;
            match self.src.get(self.state.pos + 1) {
                Some(b'/') => self.tag(Self::end_tag)?,
                Some(_) => self.tag(Self::start_tag)?,
                None => return Err(Stop::Incomplete),
            }
        }
        self.finish()
    }

    /// Reads a tag, or shuts the gate until it is complete.
    fn tag(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        let at = self.state.pos;
        let result = read(self);
        if result == Err(Stop::Incomplete) {
            if !planted(Fault::GateAlwaysOpen) {
                self.state.gate = Gate::for_tag(at);
            }
            self.state.count(self.src.len() - at);
        } else {
            self.state.count(self.state.pos - at);
        }
        result
    }

    /// Reads character data up to the next `<`.
    fn text(&mut self) -> Result<(), Stop> {
        loop {
            let scanned = self.state.scanned;
            if scanned == self.state.pos && self.src.get(scanned) == Some(&b'<') {
                return Ok(());
            }
            let (at, high) = scan::text(self.src, scanned);
            self.state.count(at - scanned);
            (self.state.scanned, self.state.high) = (at, self.state.high | high);
            let byte = *self.src.get(at).ok_or(Stop::Incomplete)?;
            if self.state.high {
                self.check_characters(at)?;
            }
            if byte == b'<' {
                self.state.pos = at;
                return Ok(());
            }
            self.special(at, byte)?;
            self.state.scanned = self.state.pos;
        }
    }

    /// The text that ends at `at` holds something outside ASCII. It ends at an ASCII byte, so no
    /// character is cut.
    fn check_characters(&mut self, at: usize) -> Result<(), Stop> {
        if !scan::are_characters(&self.src[self.state.pos..at]) {
            return Err(Stop::Unknown(Reason::Encoding));
        }
        (self.state.pos, self.state.high) = (at, false);
        Ok(())
    }

    /// Reads one byte in text that is not plain, or what it begins.
    fn special(&mut self, at: usize, byte: u8) -> Result<(), Stop> {
        self.state.pos = match byte {
            b'\t' | b'\n' => at + 1,
            b'>' => {
                if self.src[..at].ends_with(b"]]") && !planted(Fault::SectionEndPasses) {
                    return Err(Stop::Unknown(Reason::Text));
                }
                self.respell(at, at + 1, b"&gt;")?
            }
            b'\r' => match self.src.get(at + 1) {
                Some(b'\n') if !planted(Fault::LineEndDoubled) => {
                    self.respell(at, at + 2, b"\n")?
                }
                Some(_) => self.respell(at, at + 1, b"\n")?,
                None => return Err(Stop::Incomplete),
            },
            b'&' => self.reference(at)?,
            _ => return Err(Stop::Unknown(Reason::Text)),
        };
        Ok(())
    }

    fn reference(&mut self, at: usize) -> Result<usize, Stop> {
        let reference = charref::read(&self.src[at..]).inspect_err(|stop| {
            if *stop == Stop::Incomplete {
                self.state.gate = Gate::for_reference(at);
            }
        })?;
        let end = at + reference.len;
        self.state.count(reference.len);
        let written = &self.src[at..end];
        let canonical = spell::is_canonical_in_text(reference.value, written);
        if !canonical && !planted(Fault::ReferencesKept) {
            self.flush(at)?;
            spell::write_in_text(self.canon, reference.value);
            self.state.run = end;
        }
        Ok(end)
    }

    /// Writes `spelling` for the source between two places; gives the second.
    fn respell(&mut self, from: usize, to: usize, spelling: &[u8]) -> Result<usize, Stop> {
        self.flush(from)?;
        self.canon.extend_from_slice(spelling);
        self.state.run = to;
        Ok(to)
    }

    /// Ends the run at this place of the source.
    pub(super) fn flush(&mut self, to: usize) -> Result<(), Stop> {
        self.canon.extend_from_slice(&self.src[self.state.run..to]);
        self.check_size(self.canon.len())
    }

    pub(super) fn check_size(&self, len: usize) -> Result<(), Stop> {
        if len > self.env.limits.stanza_bytes_max {
            return Err(Stop::Unknown(Reason::Limit));
        }
        Ok(())
    }

    /// Where a place of the source, not before the run, is in the canonical form.
    pub(super) fn place(&self, at: usize) -> usize {
        self.canon.len() + (at - self.state.run)
    }

    /// Reads an end tag; `self.state.pos` is at its `<`.
    fn end_tag(&mut self) -> Result<(), Stop> {
        let at = self.state.pos;
        let depth = self.state.depth - 1;
        let name = &self.src[range(self.state.stack[depth].name)];
        let name_end = at + 2 + name.len();
        let written = &self.src[at + 2..self.src.len().min(name_end)];
        if !name.starts_with(written) && !planted(Fault::EndTagsUnchecked) {
            return Err(Stop::Unknown(Reason::EndTag));
        }
        let close = scan::behind_space(self.src, name_end.min(self.src.len()));
        match self.src.get(close) {
            Some(b'>') => {}
            Some(_) => return Err(Stop::Unknown(Reason::EndTag)),
            None => return Err(Stop::Incomplete),
        }
        let end = close + 1;
        let empty = at == self.state.head_end;
        if empty {
            self.make_empty(end);
        } else if close != name_end && !planted(Fault::SpaceInEndTagKept) {
            self.respell(name_end, end, b">")?;
        }
        (self.state.pos, self.state.scanned, self.state.depth) = (end, end, depth);
        let out = self.place(end);
        self.check_size(out)?;
        match depth {
            0 if empty => self.header.head_end = out as u32,
            1 => outline::close_child(
                self.header,
                out - usize::from(planted(Fault::ChildEndsEarly)),
            ),
            _ => {}
        }
        Ok(())
    }

    /// The last start tag turns out to be all of its element, whose end tag ends at `end`.
    fn make_empty(&mut self, end: usize) {
        let head_end = self.state.head_end;
        if self.state.run < head_end {
            self.canon
                .extend_from_slice(&self.src[self.state.run..head_end - 1]);
        } else {
            let last = self.canon.pop();
            debug_assert_eq!(last, Some(b'>'), "a start tag was written last");
        }
        self.canon.extend_from_slice(b"/>");
        self.state.run = end;
    }

    fn finish(&mut self) -> Result<(), Stop> {
        let len = self.place(self.state.pos);
        self.header.whole = Span::new(0, len);
        self.check_size(len)
    }
}
