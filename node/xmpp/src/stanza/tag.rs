//! A start tag in the canonical form, taken apart without a tree.

use memchr::memchr;

/// A canonical start tag: `<name a="1" b="2">` or `<name …/>`.
#[derive(Clone, Copy)]
pub(crate) struct Tag<'a> {
    bytes: &'a [u8],
    name_len: usize,
}

/// One attribute of a [`Tag`]; offsets count from the tag's `<`.
#[derive(Clone, Copy)]
pub(crate) struct TagAttr<'a> {
    /// Name as written.
    pub(crate) name: &'a [u8],
    /// Value, still escaped.
    pub(crate) value: &'a [u8],
    /// All of it, with the space before it.
    pub(crate) whole: &'a [u8],
    /// Where the value starts.
    pub(crate) value_at: usize,
}

impl<'a> Tag<'a> {
    /// The start tag that these bytes begin with.
    pub(crate) fn scan(bytes: &'a [u8]) -> Option<Self> {
        let end = memchr(b'>', bytes)?;
        let tag = Self::of(&bytes[..=end]);
        let begins_name = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
        let named = bytes[0] == b'<' && tag.name().first().is_some_and(begins_name);
        let clean = tag.attrs().map(|attr| attr.whole.len()).sum::<usize>() + tag.name_len + 1;
        (named && clean == tag.close_at()).then_some(tag)
    }

    /// The start tag that is exactly these bytes; the caller knows where it ends.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let inside = bytes.get(1..).unwrap_or_default();
        let over = |byte: &u8| matches!(byte, b' ' | b'/' | b'>');
        Self {
            bytes,
            name_len: inside.iter().position(over).unwrap_or(inside.len()),
        }
    }

    /// The element's name.
    pub(crate) fn name(&self) -> &'a [u8] {
        self.bytes.get(1..=self.name_len).unwrap_or_default()
    }

    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it closes itself.
    pub(crate) fn is_empty_element(&self) -> bool {
        self.bytes.ends_with(b"/>")
    }

    /// The default namespace that it declares, still escaped.
    pub(crate) fn xmlns(&self) -> Option<&'a [u8]> {
        self.attrs()
            .next()
            .filter(|attr| attr.name == b"xmlns")
            .map(|attr| attr.value)
    }

    /// The value of the attribute with this name as written, still escaped.
    pub(crate) fn value(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.attrs()
            .find(|attr| attr.name == name)
            .map(|attr| attr.value)
    }

    /// The attributes in order, `xmlns` and other declarations included.
    pub(crate) fn attrs(&self) -> TagAttrs<'a> {
        TagAttrs {
            bytes: self.bytes,
            at: self.name_len + 1,
        }
    }

    /// Everything before the closing `>` or `/>`.
    pub(crate) fn open_part(&self) -> &'a [u8] {
        &self.bytes[..self.close_at()]
    }

    fn close_at(&self) -> usize {
        self.bytes
            .len()
            .saturating_sub(if self.is_empty_element() { 2 } else { 1 })
    }
}

/// Iterates over the attributes of a [`Tag`].
pub(crate) struct TagAttrs<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for TagAttrs<'a> {
    type Item = TagAttr<'a>;

    fn next(&mut self) -> Option<TagAttr<'a>> {
        let rest = self.bytes.get(self.at..)?.strip_prefix(b" ")?;
        let name_len = memchr(b'=', rest)?;
        let quoted = rest[name_len + 1..].strip_prefix(b"\"")?;
        let value = &quoted[..memchr(b'"', quoted)?];
        let value_at = self.at + 1 + name_len + 2;
        let end = value_at + value.len() + 1;
        let whole = &self.bytes[self.at..end];
        self.at = end;
        Some(TagAttr {
            name: &rest[..name_len],
            value,
            whole,
            value_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_taken_apart_in_order() {
        let tag = Tag::scan(b"<iq xmlns=\"u\" to=\"a/b\" xml:lang=\"de\"/>rest").unwrap();
        assert_eq!(tag.name(), b"iq");
        assert!(tag.is_empty_element());
        assert_eq!(tag.xmlns(), Some(&b"u"[..]));
        assert_eq!(tag.value(b"xml:lang"), Some(&b"de"[..]));
        assert_eq!(tag.value(b"lang"), None);
        assert_eq!(
            tag.open_part(),
            b"<iq xmlns=\"u\" to=\"a/b\" xml:lang=\"de\""
        );
        let to = tag.attrs().nth(1).unwrap();
        assert_eq!((to.whole, to.value_at), (&b" to=\"a/b\""[..], 18));
    }

    #[test]
    fn what_is_no_start_tag_is_refused() {
        for bad in [
            "",
            "x",
            "<a",
            "</a>",
            "< a>",
            "<>",
            "</>",
            "<a b>",
            "<a b=\"1>",
            "<a b='1'>",
            "<a >",
            "<?a?>",
        ] {
            assert!(Tag::scan(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
