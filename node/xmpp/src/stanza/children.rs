//! A stanza's children, found without a tree.

use memchr::memchr;

use super::Rec;
use super::tag::Tag;

/// One child element of a stanza, as canonical bytes that stand for themselves:
/// [`Element::parse`](crate::element::Element::parse) takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildBytes<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its namespace, still escaped; `None` for the content namespace, which is never written on a
    /// child.
    pub namespace: Option<&'a [u8]>,
    /// The whole child, tags included.
    pub bytes: &'a [u8],
}

/// The child elements of a stanza in order. Character data between them is skipped.
pub struct Children<'a> {
    bytes: &'a [u8],
}

impl<'a> Children<'a> {
    /// The children of the stanza `rec` in `buf`.
    pub fn of(buf: &'a [u8], rec: &Rec) -> Self {
        Self {
            bytes: rec
                .bytes(buf)
                .get(rec.head_len as usize..)
                .unwrap_or_default(),
        }
    }

    /// The first child with this name and namespace (`None`: the content namespace).
    pub fn find_child(mut self, name: &str, namespace: Option<&str>) -> Option<ChildBytes<'a>> {
        let namespace = namespace.map(str::as_bytes);
        self.find(|child| child.name == name.as_bytes() && child.namespace == namespace)
    }

    /// The elements that these bytes, which are only elements and text, consist of.
    pub(crate) fn among(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// What comes behind the last child: text and the stanza's end tag.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = ChildBytes<'a>;

    fn next(&mut self) -> Option<ChildBytes<'a>> {
        let start = memchr(b'<', self.bytes)?;
        let here = &self.bytes[start..];
        let tag = Tag::scan(here)?;
        let end = if tag.is_empty_element() {
            tag.len()
        } else {
            element_end(here)?
        };
        self.bytes = &here[end..];
        Some(ChildBytes {
            name: tag.name(),
            namespace: tag.xmlns(),
            bytes: &here[..end],
        })
    }
}

/// Where the element that these bytes begin with ends. Needs nothing but the canonical form's
/// promise that `<` and `>` are only delimiters of tags.
fn element_end(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let open = at + memchr(b'<', &bytes[at..])?;
        let close = open + memchr(b'>', &bytes[open..])?;
        at = close + 1;
        if bytes[open + 1] == b'/' {
            depth = depth.checked_sub(1)?;
        } else if bytes[close - 1] != b'/' {
            depth += 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_rec;
    use super::*;

    #[test]
    fn children_are_found_with_their_namespaces_and_whole_bytes() {
        let stanza = b"<message>\n<body>a &lt; b</body><x xmlns=\"u\"><x xmlns=\"v\"><y/></x></x> <e/></message>";
        let rec = parse_rec(stanza).unwrap();
        let found: Vec<_> = Children::of(stanza, &rec)
            .map(|child| (child.name, child.namespace, child.bytes.len()))
            .collect();
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], (&b"body"[..], None, 21));
        assert_eq!(found[1], (&b"x"[..], Some(&b"u"[..]), 38));
        assert_eq!(found[2], (&b"e"[..], None, 4));
        assert!(
            Children::of(stanza, &rec)
                .find_child("x", Some("v"))
                .is_none()
        );
        assert_eq!(
            Children::of(stanza, &rec)
                .find_child("e", None)
                .unwrap()
                .bytes,
            b"<e/>"
        );
    }

    #[test]
    fn an_empty_stanza_has_no_children() {
        let rec = parse_rec(b"<presence/>").unwrap();
        assert_eq!(Children::of(b"<presence/>", &rec).count(), 0);
    }
}
