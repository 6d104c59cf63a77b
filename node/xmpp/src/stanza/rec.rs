//! The routing record: what every hop needs of a stanza, small enough to copy.

use super::{Flags, Header, Span};

/// Which of the three stanzas an element is (RFC 6120 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Not a stanza: a nonza, or an element in another namespace.
    #[default]
    Other = 0,
    /// `<message/>`
    Message = 1,
    /// `<presence/>`
    Presence = 2,
    /// `<iq/>`
    Iq = 3,
}

/// The `type` attribute of a stanza, resolved for its kind (RFC 6121 4.7.1, 5.2.2; RFC 6120 8.2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StanzaType {
    /// No `type` attribute. For a message this means `normal`, for presence "available".
    #[default]
    None = 0,
    /// A value that the kind does not know.
    Unknown = 1,
    /// `error`
    Error = 2,
    /// IQ `get`
    Get = 3,
    /// IQ `set`
    Set = 4,
    /// IQ `result`
    Result = 5,
    /// Message `chat`
    Chat = 6,
    /// Message `groupchat`
    Groupchat = 7,
    /// Message `headline`
    Headline = 8,
    /// Message `normal`, written out
    Normal = 9,
    /// Presence `unavailable`
    Unavailable = 10,
    /// Presence `subscribe`
    Subscribe = 11,
    /// Presence `subscribed`
    Subscribed = 12,
    /// Presence `unsubscribe`
    Unsubscribe = 13,
    /// Presence `unsubscribed`
    Unsubscribed = 14,
    /// Presence `probe`
    Probe = 15,
}

impl StanzaType {
    /// Resolves a `type` attribute's value for a stanza of this kind.
    pub fn resolve(kind: Kind, value: &[u8]) -> Self {
        match (kind, value) {
            (Kind::Message | Kind::Presence | Kind::Iq, b"error") => Self::Error,
            (Kind::Message, b"chat") => Self::Chat,
            (Kind::Message, b"groupchat") => Self::Groupchat,
            (Kind::Message, b"headline") => Self::Headline,
            (Kind::Message, b"normal") => Self::Normal,
            (Kind::Presence, b"unavailable") => Self::Unavailable,
            (Kind::Presence, b"subscribe") => Self::Subscribe,
            (Kind::Presence, b"subscribed") => Self::Subscribed,
            (Kind::Presence, b"unsubscribe") => Self::Unsubscribe,
            (Kind::Presence, b"unsubscribed") => Self::Unsubscribed,
            (Kind::Presence, b"probe") => Self::Probe,
            (Kind::Iq, b"get") => Self::Get,
            (Kind::Iq, b"set") => Self::Set,
            (Kind::Iq, b"result") => Self::Result,
            _ => Self::Unknown,
        }
    }
}

/// What every hop needs of a stanza. `start` and `end` are offsets into the batch's buffer; all other offsets are
/// relative to `start`, so a stanza moves between buffers by changing two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rec {
    /// Offset of the stanza's first byte in the buffer.
    pub start: u32,
    /// Offset behind its last byte.
    pub end: u32,
    /// Length of the start tag.
    pub head_len: u32,
    /// Offset of `to`'s value from `start`; 0 when there is none.
    pub to_at: u32,
    /// Offset of `id`'s value from `start`; 0 when there is none.
    pub id_at: u32,
    /// Facts about the content.
    pub flags: Flags,
    /// Length of `to`'s value in bytes, still escaped.
    pub to_len: u16,
    /// Length of `id`'s value in bytes, still escaped.
    pub id_len: u16,
    /// Message, presence or IQ.
    pub kind: Kind,
    /// The resolved `type`.
    pub stanza_type: StanzaType,
}

impl Rec {
    /// The record of what the reader just read.
    pub fn of(header: &Header) -> Self {
        let base = header.whole.start;
        let place = |span: Option<Span>| {
            span.map_or((0, 0), |s| {
                (s.start - base, u16::try_from(s.len()).unwrap_or(u16::MAX))
            })
        };
        let (to_at, to_len) = place(header.to);
        let (id_at, id_len) = place(header.id);
        Self {
            start: base,
            end: header.whole.end,
            head_len: header.head_end - base,
            to_at,
            id_at,
            flags: header.flags,
            to_len,
            id_len,
            kind: header.kind,
            stanza_type: header.stanza_type,
        }
    }

    /// The same record for the same bytes at another place.
    pub fn moved_to(self, start: u32) -> Self {
        Self {
            start,
            end: start + (self.end - self.start),
            ..self
        }
    }

    /// The stanza's bytes in its buffer.
    pub fn bytes<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.start as usize..self.end as usize]
    }

    /// `to`'s value, still escaped; `None` when the stanza has none.
    pub fn to<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.value(buf, self.to_at, self.to_len)
    }

    /// `id`'s value, still escaped; `None` when the stanza has none.
    pub fn id<'a>(&self, buf: &'a [u8]) -> Option<&'a [u8]> {
        self.value(buf, self.id_at, self.id_len)
    }

    fn value<'a>(&self, buf: &'a [u8], at: u32, len: u16) -> Option<&'a [u8]> {
        let from = (self.start + at) as usize;
        (at != 0).then(|| &buf[from..from + usize::from(len)])
    }
}
