//! Start tags: read whole into a table first, so that nothing has to be taken back when one is unfinished or unknown.

use super::{Stop, charref, scan, spell};
use crate::xml::counts::UnknownReason as Reason;
use crate::xml::faults::{Fault, planted};

/// A start tag that is complete. Places are offsets into the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    /// Behind the name, which begins one behind the `<`.
    pub(super) name_end: usize,
    /// Behind the `>`.
    pub(super) end: usize,
    /// Whether it ends in `/>`.
    pub(super) empty: bool,
    /// Whether its spelling is the canonical one, but for what `xmlns` says.
    pub(super) clean: bool,
    /// Which attribute is `xmlns`.
    pub(super) xmlns: Option<usize>,
    /// Whether there is an xml:lang.
    pub(super) has_lang: bool,
}

/// An attribute of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    pub(super) name: (u32, u32),
    pub(super) value: (u32, u32),
    /// Whether the canonical form spells the value otherwise.
    pub(super) respell: bool,
}

/// The attributes of the tag that was read last. It is not cleared between tags, only counted.
#[derive(Debug)]
pub(super) struct Table {
    entries: [Attribute; ATTRIBUTES_MAX],
    len: usize,
    /// One bit for each name seen, to find most tags free of duplicates at once.
    seen: u64,
}

impl Default for Table {
    fn default() -> Self {
        let empty = Attribute {
            name: (0, 0),
            value: (0, 0),
            respell: false,
        };
        Self {
            entries: [empty; ATTRIBUTES_MAX],
            len: 0,
            seen: 0,
        }
    }
}

impl Table {
    /// The attributes, in order.
    pub(super) fn attributes(&self) -> &[Attribute] {
        &self.entries[..self.len]
    }

    /// Reads the start tag whose `<` is at `at`.
    pub(super) fn read(&mut self, src: &[u8], at: usize) -> Result<Tag, Stop> {
        let name_end = name(src, at + 1)?;
        (self.len, self.seen) = (0, 0);
        let mut tag = Tag {
            name_end,
            end: 0,
            empty: false,
            clean: true,
            xmlns: None,
            has_lang: false,
        };
        let mut cursor = name_end;
        loop {
            match src.get(cursor).ok_or(Stop::Incomplete)? {
                b'>' => {
                    tag.end = cursor + 1;
                    return Ok(tag);
                }
                b'/' => match src.get(cursor + 1).ok_or(Stop::Incomplete)? {
                    b'>' => {
                        (tag.end, tag.empty) = (cursor + 2, true);
                        return Ok(tag);
                    }
                    _ => return Err(Stop::Unknown(Reason::Tag)),
                },
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b':' => return Err(Stop::Unknown(Reason::Colon)),
                _ => return Err(Stop::Unknown(Reason::Tag)),
            }
            let start = scan::behind_space(src, cursor);
            let closes = matches!(src.get(start).ok_or(Stop::Incomplete)?, b'>' | b'/');
            let one_space = src[cursor] == b' ' && start == cursor + 1;
            tag.clean &= one_space && !closes;
            cursor = if closes {
                start
            } else {
                self.read_attribute(src, start, &mut tag)?
            };
        }
    }

    /// Reads the attribute at `start`; gives the place behind it.
    fn read_attribute(&mut self, src: &[u8], start: usize, tag: &mut Tag) -> Result<usize, Stop> {
        let mut name_end = name(src, start)?;
        if src.get(name_end) == Some(&b':') {
            name_end = behind_xml_lang(src, start)?;
            tag.has_lang = true;
        }
        let quote = match src.get(name_end..).unwrap_or_default() {
            [b'=', quote @ (b'"' | b'\''), ..] => *quote,
            [] | [b'='] => return Err(Stop::Incomplete),
            _ => return Err(Stop::Unknown(Reason::Tag)),
        };
        let value_start = name_end + 2;
        let (value_end, respell) = value(src, value_start, quote)?;
        self.refuse_duplicate(src, &src[start..name_end])?;
        if self.len == ATTRIBUTES_MAX {
            return Err(Stop::Unknown(Reason::Limit));
        }
        if &src[start..name_end] == b"xmlns" {
            tag.clean &= self.len == 0;
            tag.xmlns = Some(self.len);
        }
        tag.clean &= quote == b'"' && !respell;
        self.entries[self.len] = Attribute {
            name: (start as u32, name_end as u32),
            value: (value_start as u32, value_end as u32),
            respell,
        };
        self.len += 1;
        Ok(value_end + 1)
    }

    fn refuse_duplicate(&mut self, src: &[u8], name: &[u8]) -> Result<(), Stop> {
        let (first, last) = (name[0], name[name.len() - 1]);
        let mixed = name.len() ^ (usize::from(first) << 1) ^ (usize::from(last) << 3);
        let bit = 1_u64 << (mixed % 64);
        if self.seen & bit != 0 && !planted(Fault::DuplicatesPass) {
            let is_same = |other: &Attribute| &src[range(other.name)] == name;
            if self.attributes().iter().any(is_same) {
                return Err(Stop::Unknown(Reason::Duplicate));
            }
        }
        self.seen |= bit;
        Ok(())
    }
}

/// A stored place as a range of the source.
pub(super) fn range((start, end): (u32, u32)) -> std::ops::Range<usize> {
    start as usize..end as usize
}

/// The end of the name that begins at `from`.
fn name(src: &[u8], from: usize) -> Result<usize, Stop> {
    match src.get(from) {
        Some(&byte) if scan::is_name_start(byte) => {}
        Some(b'!' | b'?') => return Err(Stop::Unknown(Reason::Markup)),
        Some(_) => return Err(Stop::Unknown(Reason::Name)),
        None => return Err(Stop::Incomplete),
    }
    let behind = &src[from..];
    match behind.iter().position(|byte| !scan::is_name(*byte)) {
        Some(len) if len <= NAME_BYTES_MAX => Ok(from + len),
        None if behind.len() <= NAME_BYTES_MAX => Err(Stop::Incomplete),
        _ => Err(Stop::Unknown(Reason::Limit)),
    }
}

/// The one name with a prefix that needs no declaration and is common.
fn behind_xml_lang(src: &[u8], start: usize) -> Result<usize, Stop> {
    const NAME: &[u8] = b"xml:lang=";
    let written = &src[start..src.len().min(start + NAME.len())];
    match written {
        NAME => Ok(start + NAME.len() - 1),
        _ if NAME.starts_with(written) => Err(Stop::Incomplete),
        _ => Err(Stop::Unknown(Reason::Colon)),
    }
}

/// The end of the value that begins at `from`, and whether it must be spelled otherwise.
fn value(src: &[u8], from: usize, quote: u8) -> Result<(usize, bool), Stop> {
    let (mut at, mut any_high, mut respell) = (from, false, false);
    loop {
        let (stop, high) = scan::value(src, at);
        any_high |= high;
        at = stop + 1;
        match *src.get(stop).ok_or(Stop::Incomplete)? {
            byte if byte == quote => {
                if stop - from > VALUE_BYTES_MAX {
                    return Err(Stop::Unknown(Reason::Limit));
                }
                if any_high && !scan::are_characters(&src[from..stop]) {
                    return Err(Stop::Unknown(Reason::Encoding));
                }
                return Ok((stop, respell));
            }
            b'\'' | b'#' => {}
            b'"' | b'>' | b'\t' | b'\n' | b'\r' => respell = true,
            b'&' => {
                let reference = charref::read(&src[stop..])?;
                let written = &src[stop..stop + reference.len];
                respell |= !spell::is_canonical_in_value(reference.value, written);
                at = stop + reference.len;
            }
            _ => return Err(Stop::Unknown(Reason::Value)),
        }
    }
}

/// More attributes than any stanza has are left to the reference lane.
const ATTRIBUTES_MAX: usize = 16;
/// Below what the reference lane allows, so that both agree on what is too long.
const NAME_BYTES_MAX: usize = 255;
/// Below the 8,192 bytes at which rxml refuses a value.
const VALUE_BYTES_MAX: usize = 8_000;
