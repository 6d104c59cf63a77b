//! Start tags: read whole into a table first, so that nothing has to be taken back when one is
//! unfinished or unknown.

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
    /// Whether it is known to be ASCII without references.
    pub(super) plain: bool,
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
            plain: false,
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
            cursor = match src.get(cursor..).unwrap_or_default() {
                [b' ', next, ..] if scan::is_name_start(*next) => {
                    self.read_attribute(src, cursor + 1, &mut tag)?
                }
                [b'>', ..] => {
                    tag.end = cursor + 1;
                    return Ok(tag);
                }
                [b'/', b'>', ..] => {
                    (tag.end, tag.empty) = (cursor + 2, true);
                    return Ok(tag);
                }
                rest => self.read_unusual(src, cursor, rest, &mut tag)?,
            };
        }
    }

    /// Goes on at something other than one space and an attribute, or the end of the tag.
    #[cold]
    fn read_unusual(
        &mut self,
        src: &[u8],
        cursor: usize,
        rest: &[u8],
        tag: &mut Tag,
    ) -> Result<usize, Stop> {
        match rest {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => {}
            [] | [b'/'] => return Err(Stop::Incomplete),
            [b':', ..] => return Err(Stop::Unknown(Reason::Colon)),
            _ => return Err(Stop::Unknown(Reason::Tag)),
        }
        tag.clean = false;
        let start = scan::behind_space(src, cursor);
        match src.get(start).ok_or(Stop::Incomplete)? {
            b'>' | b'/' => Ok(start),
            _ => self.read_attribute_here(src, start, tag),
        }
    }

    #[cold]
    fn read_attribute_here(
        &mut self,
        src: &[u8],
        start: usize,
        tag: &mut Tag,
    ) -> Result<usize, Stop> {
        self.read_attribute(src, start, tag)
    }

    /// Reads the attribute at `start`; gives the place behind it.
    #[inline(always)]
    fn read_attribute(&mut self, src: &[u8], start: usize, tag: &mut Tag) -> Result<usize, Stop> {
        let mut name_end = name(src, start)?;
        let quote = match src.get(name_end..).unwrap_or_default() {
            [b'=', quote @ (b'"' | b'\''), ..] => *quote,
            [b':', ..] => {
                name_end = behind_xml_lang(src, start)?;
                tag.has_lang = true;
                match src.get(name_end + 1).ok_or(Stop::Incomplete)? {
                    quote @ (b'"' | b'\'') => *quote,
                    _ => return Err(Stop::Unknown(Reason::Tag)),
                }
            }
            [] | [b'='] => return Err(Stop::Incomplete),
            _ => return Err(Stop::Unknown(Reason::Tag)),
        };
        let value_start = name_end + 2;
        let (value_end, plain, respell) = value(src, value_start, quote)?;
        let name = &src[start..name_end];
        self.refuse_duplicate(src, name)?;
        if matches!(name, [b'x', b'm', b'l', b'n', b's']) {
            tag.clean &= self.len == 0;
            tag.xmlns = Some(self.len);
        }
        tag.clean &= quote == b'"' && !respell;
        let Some(entry) = self.entries.get_mut(self.len) else {
            return Err(Stop::Unknown(Reason::Limit));
        };
        *entry = Attribute {
            name: (start as u32, name_end as u32),
            value: (value_start as u32, value_end as u32),
            respell,
            plain,
        };
        self.len += 1;
        Ok(value_end + 1)
    }

    #[inline(always)]
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
#[inline(always)]
fn name(src: &[u8], from: usize) -> Result<usize, Stop> {
    let mut end = from;
    while src.get(end).is_some_and(|byte| scan::is_name(*byte)) {
        end += 1;
    }
    let begins = end > from && scan::is_name_start(src[from]);
    if begins && end < src.len() && end - from <= NAME_BYTES_MAX {
        return Ok(end);
    }
    Err(not_a_name(src, from, end))
}

#[cold]
fn not_a_name(src: &[u8], from: usize, end: usize) -> Stop {
    match src.get(from) {
        None => Stop::Incomplete,
        Some(b'!' | b'?') => Stop::Unknown(Reason::Markup),
        Some(byte) if !scan::is_name_start(*byte) => Stop::Unknown(Reason::Name),
        Some(_) if end - from > NAME_BYTES_MAX => Stop::Unknown(Reason::Limit),
        Some(_) => Stop::Incomplete,
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

/// The end of the value that begins at `from`, whether it is known to be plain, and whether it must
/// be spelled otherwise.
#[inline(always)]
fn value(src: &[u8], from: usize, quote: u8) -> Result<(usize, bool, bool), Stop> {
    let (stop, high) = scan::value(src, from);
    match src.get(stop) {
        Some(byte) if *byte == quote && !high && stop - from <= VALUE_BYTES_MAX => {
            Ok((stop, true, false))
        }
        _ => unusual_value(src, from, quote).map(|(end, respell)| (end, false, respell)),
    }
}

/// The same for a value that does not end at the first byte that might matter, or is not ASCII.
fn unusual_value(src: &[u8], from: usize, quote: u8) -> Result<(usize, bool), Stop> {
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
