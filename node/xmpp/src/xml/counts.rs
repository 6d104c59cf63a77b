//! Which lane read, and why the fast one did not: the numbers that say whether widening it would
//! pay.

/// Why the fast lane left an element to the reference lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum UnknownReason {
    /// A prefix in a name, other than in `xml:lang`.
    Colon,
    /// Something that is not an ASCII name where one must be; also the end of the stream.
    Name,
    /// `<!` or `<?`.
    Markup,
    /// Anything unusual between the parts of a tag.
    Tag,
    /// A character in an attribute's value that is not allowed there, or a very long value.
    Value,
    /// A namespace name that is empty, reserved, odd, or that of the other content.
    Namespace,
    /// Two attributes of one name.
    Duplicate,
    /// An end tag that does not fit.
    EndTag,
    /// An unknown or malformed reference.
    Reference,
    /// A character that text must not hold, or `]]>`.
    Text,
    /// Bytes that are not UTF-8, or a character that XML forbids.
    Encoding,
    /// A limit of the stream, or a smaller one of the lane itself.
    Limit,
}

impl UnknownReason {
    /// All reasons, in the order of [`LaneCounts::unknown`].
    pub const ALL: [Self; 12] = [
        Self::Colon,
        Self::Name,
        Self::Markup,
        Self::Tag,
        Self::Value,
        Self::Namespace,
        Self::Duplicate,
        Self::EndTag,
        Self::Reference,
        Self::Text,
        Self::Encoding,
        Self::Limit,
    ];

    /// The reason's name as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Colon => "colon",
            Self::Name => "name",
            Self::Markup => "markup",
            Self::Tag => "tag",
            Self::Value => "value",
            Self::Namespace => "namespace",
            Self::Duplicate => "duplicate",
            Self::EndTag => "end-tag",
            Self::Reference => "reference",
            Self::Text => "text",
            Self::Encoding => "encoding",
            Self::Limit => "limit",
        }
    }
}

/// Top-level elements by the lane that read them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Read by the fast lane.
    pub fast: u32,
    /// Read by the reference lane.
    pub reference: u32,
    /// Begun by the fast lane and left to the other, by [`UnknownReason`].
    pub unknown: [u32; UnknownReason::ALL.len()],
}

impl LaneCounts {
    /// Elements that the fast lane left for this reason.
    pub fn unknown(&self, reason: UnknownReason) -> u32 {
        self.unknown[reason as usize]
    }
}
