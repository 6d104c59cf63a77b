//! Stanzas: their records, and their bytes behind one another.

use rookery_xmpp::stanza::{Batch, Flags, Kind, Rec, StanzaType};

use super::out::{Out, length};
use super::{Malformed, Reader};

/// Bytes of a record: length, start tag's length, places of `to` and `id`, flags; lengths of `to`
/// and `id`; kind, type.
pub(super) const RECORD: usize = 5 * 4 + 2 * 2 + 2;

/// Bytes of a batch.
pub(super) fn size(batch: &Batch) -> usize {
    2 * 4 + batch.recs.len() * RECORD + batch.stanza_bytes()
}

/// Writes only the stanzas that the records name: a buffer may hold others, for other recipients.
pub(super) fn write(batch: &Batch, out: &mut impl Out) {
    out.u32(length(batch.recs.len()));
    out.u32(length(batch.stanza_bytes()));
    for rec in &batch.recs {
        out.put(&packed(rec));
    }
    for run in runs(batch) {
        out.put(run);
    }
}

/// Reads a batch.
pub(super) fn read(input: &mut Reader) -> Result<Batch, Malformed> {
    let count = input.count(RECORD)?;
    let bytes = input.u32()?;
    let mut recs = Vec::with_capacity(count);
    let mut start = 0_u32;
    for _ in 0..count {
        let rec = record(input, start)?;
        start = rec.end;
        recs.push(rec);
    }
    if start != bytes {
        return Err(Malformed("records and stanzas of different lengths"));
    }
    let buf = input.payload(bytes as usize)?;
    Ok(Batch { buf, recs })
}

/// The stanzas' bytes, neighbours together.
fn runs(batch: &Batch) -> impl Iterator<Item = &[u8]> {
    let mut recs = batch.recs.iter().peekable();
    std::iter::from_fn(move || {
        let first = recs.next()?;
        let mut end = first.end;
        while let Some(next) = recs.next_if(|next| next.start == end) {
            end = next.end;
        }
        batch.buf.get(first.start as usize..end as usize)
    })
}

fn packed(rec: &Rec) -> [u8; RECORD] {
    let mut packed = [0; RECORD];
    let mut out = &mut packed[..];
    out.u32(rec.end - rec.start);
    out.u32(rec.head_len);
    out.u32(rec.to_at);
    out.u32(rec.id_at);
    out.u32(rec.flags.bits());
    out.u16(rec.to_len);
    out.u16(rec.id_len);
    out.u8(rec.kind as u8);
    out.u8(rec.stanza_type as u8);
    packed
}

/// A record whose stanza begins at `start`; all that it points to lies within the stanza.
fn record(input: &mut Reader, start: u32) -> Result<Rec, Malformed> {
    let len = input.u32()?;
    let rec = Rec {
        start,
        end: start
            .checked_add(len)
            .ok_or(Malformed("stanzas too long"))?,
        head_len: input.u32()?,
        to_at: input.u32()?,
        id_at: input.u32()?,
        flags: Flags::from_bits(input.u32()?),
        to_len: input.u16()?,
        id_len: input.u16()?,
        kind: one_of(&KINDS, input.u8()?)?,
        stanza_type: one_of(&TYPES, input.u8()?)?,
    };
    let inside = |at: u32, length: u16| {
        at.checked_add(u32::from(length))
            .is_some_and(|end| end <= len)
    };
    if rec.head_len <= len && inside(rec.to_at, rec.to_len) && inside(rec.id_at, rec.id_len) {
        Ok(rec)
    } else {
        Err(Malformed("a record points outside its stanza"))
    }
}

fn one_of<T: Copy>(all: &[T], byte: u8) -> Result<T, Malformed> {
    let one = all.get(usize::from(byte)).copied();
    one.ok_or(Malformed("no such kind or type of stanza"))
}

const KINDS: [Kind; 4] = [Kind::Other, Kind::Message, Kind::Presence, Kind::Iq];

const TYPES: [StanzaType; 16] = [
    StanzaType::None,
    StanzaType::Unknown,
    StanzaType::Error,
    StanzaType::Get,
    StanzaType::Set,
    StanzaType::Result,
    StanzaType::Chat,
    StanzaType::Groupchat,
    StanzaType::Headline,
    StanzaType::Normal,
    StanzaType::Unavailable,
    StanzaType::Subscribe,
    StanzaType::Subscribed,
    StanzaType::Unsubscribe,
    StanzaType::Unsubscribed,
    StanzaType::Probe,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_names_the_kind_and_the_type_that_it_stands_for() {
        assert!(
            KINDS
                .iter()
                .enumerate()
                .all(|(at, kind)| at == *kind as usize)
        );
        assert!(
            TYPES
                .iter()
                .enumerate()
                .all(|(at, kind)| at == *kind as usize)
        );
    }
}
