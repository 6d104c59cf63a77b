//! Cuts what a server sends into stanzas without parsing it.
//!
//! A load generator must cost less than the server it measures, and it may trust the server more
//! than a server may trust it: tags are counted, quotes are honoured, nothing is checked beyond
//! that. Comments, processing instructions and DTDs are forbidden in XMPP (RFC 6120 11.1); only the
//! XML declaration is skipped.

use memchr::{memchr, memchr3};

use super::error::ClientError;

/// One thing a server sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// The start tag of the stream.
    Open(&'a [u8]),
    /// A whole element at depth one.
    Stanza(&'a [u8]),
    /// The stream's end tag.
    Close,
}

/// The bytes of one direction of a stream that are not yet consumed.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    /// Where the current element begins.
    start: usize,
    /// Up to here tags were counted.
    scanned: usize,
    depth: u32,
}

impl Framer {
    /// A framer that stands inside a stream already, for peers that open none (the bare relay).
    pub(crate) fn inside_stream() -> Self {
        Self {
            depth: 1,
            ..Self::default()
        }
    }

    /// Forgets everything: a new stream begins (after STARTTLS and after SASL).
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Appends bytes as they came from the network.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.compact();
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, ClientError> {
        loop {
            let Some(tag) = self.next_tag()? else {
                return Ok(None);
            };
            let (kind, tag_start, tag_end) = tag;
            self.scanned = tag_end;
            match kind {
                TagKind::Declaration => self.start = tag_end,
                TagKind::Open if self.depth == 0 => {
                    self.depth = 1;
                    self.start = tag_end;
                    return Ok(Some(Frame::Open(&self.buffer[tag_start..tag_end])));
                }
                TagKind::Open => {
                    if self.depth == 1 {
                        self.start = tag_start;
                    }
                    self.depth += 1;
                }
                TagKind::Empty if self.depth == 1 => {
                    self.start = tag_end;
                    return Ok(Some(Frame::Stanza(&self.buffer[tag_start..tag_end])));
                }
                TagKind::Empty => {}
                TagKind::Close if self.depth <= 1 => {
                    self.start = tag_end;
                    return Ok(Some(Frame::Close));
                }
                TagKind::Close => {
                    self.depth -= 1;
                    if self.depth == 1 {
                        let start = std::mem::replace(&mut self.start, tag_end);
                        return Ok(Some(Frame::Stanza(&self.buffer[start..tag_end])));
                    }
                }
            }
        }
    }

    /// The next tag's kind and bounds, `None` when it is not whole yet.
    fn next_tag(&self) -> Result<Option<(TagKind, usize, usize)>, ClientError> {
        let Some(offset) = memchr(b'<', &self.buffer[self.scanned..]) else {
            return Ok(None);
        };
        let start = self.scanned + offset;
        let Some(&second) = self.buffer.get(start + 1) else {
            return Ok(None);
        };
        if second == b'!' {
            return Err(ClientError::NotXmpp("a comment, CDATA section or DTD"));
        }
        let Some(end) = tag_end(&self.buffer, start) else {
            return Ok(None);
        };
        let kind = match second {
            b'?' => TagKind::Declaration,
            b'/' => TagKind::Close,
            _ if self.buffer[end - 2] == b'/' => TagKind::Empty,
            _ => TagKind::Open,
        };
        Ok(Some((kind, start, end)))
    }

    /// Drops what was consumed. An idle stream keeps no buffer.
    fn compact(&mut self) {
        let consumed = if self.depth > 1 {
            self.start
        } else {
            self.start.max(self.scanned)
        };
        if consumed == self.buffer.len() {
            if self.buffer.capacity() > KEPT_BYTES_MAX {
                self.buffer = Vec::new();
            }
            self.buffer.clear();
        } else if consumed > 0 {
            self.buffer.drain(..consumed);
        }
        self.start = self.start.saturating_sub(consumed);
        self.scanned -= consumed.min(self.scanned);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TagKind {
    Declaration,
    Open,
    Empty,
    Close,
}

/// The offset behind the `>` that ends the tag at `start`; `>` inside quotes does not count.
fn tag_end(buffer: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        let found = at + memchr3(b'>', b'\'', b'"', &buffer[at..])?;
        match buffer[found] {
            b'>' => return Some(found + 1),
            quote => at = found + 1 + memchr(quote, &buffer[found + 1..])? + 1,
        }
    }
}

/// A consumed buffer larger than this is freed: tens of thousands of sessions are mostly idle.
const KEPT_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = b"<?xml version='1.0'?><stream:stream id='a>b' xmlns='jabber:client'>\
        <message from=\"x>y\"><body>hi</body><x/></message> <presence/>\n<iq><q><a></a></q></iq>\
        </stream:stream>";

    fn frames(chunks: &[&[u8]]) -> Vec<String> {
        let mut framer = Framer::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            framer.push(chunk);
            while let Some(frame) = framer.next().unwrap() {
                seen.push(match frame {
                    Frame::Open(_) => "open".to_owned(),
                    Frame::Stanza(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                    Frame::Close => "close".to_owned(),
                });
            }
        }
        seen
    }

    #[test]
    fn a_stream_is_cut_into_its_stanzas() {
        let expected = [
            "open",
            "<message from=\"x>y\"><body>hi</body><x/></message>",
            "<presence/>",
            "<iq><q><a></a></q></iq>",
            "close",
        ];
        assert_eq!(frames(&[STREAM]), expected);
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_frames() {
        let whole = frames(&[STREAM]);
        for cut in 1..STREAM.len() {
            assert_eq!(
                frames(&[&STREAM[..cut], &STREAM[cut..]]),
                whole,
                "cut at {cut}"
            );
        }
        let single: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(frames(&single), whole);
    }

    #[test]
    fn what_xmpp_forbids_is_an_error() {
        let mut framer = Framer::inside_stream();
        framer.push(b"<!-- no -->");
        assert!(framer.next().is_err());
    }

    #[test]
    fn a_drained_framer_holds_no_large_buffer() {
        let mut framer = Framer::inside_stream();
        framer.push(format!("<a>{}</a>", "x".repeat(100_000)).as_bytes());
        assert!(matches!(framer.next(), Ok(Some(Frame::Stanza(_)))));
        framer.push(b"<a/>");
        assert!(framer.buffer.capacity() <= KEPT_BYTES_MAX);
    }
}
