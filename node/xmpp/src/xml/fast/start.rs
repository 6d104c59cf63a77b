//! Start tags in the pass: namespace, header, and writing those that are not canonical.

use super::lane::Lane;
use super::tag::{Tag, range};
use super::{DEPTH_MAX, Frame, Stop, spell};
use crate::stanza::{Child, Kind, Namespace, Span};
use crate::xml::counts::UnknownReason as Reason;
use crate::xml::faults::{Fault, planted};
use crate::xml::names::{self, Role};
use crate::xml::outline;

/// A start tag's namespace.
struct Resolved {
    known: Namespace,
    uri: (u32, u32),
    /// Whether the canonical form says so.
    written: bool,
}

impl Lane<'_> {
    /// Reads a start tag; `self.state.pos` is at its `<`.
    pub(super) fn start_tag(&mut self) -> Result<(), Stop> {
        let at = self.state.pos;
        let tag = self.state.table.read(self.src, at)?;
        self.check_limits()?;
        let resolved = self.resolve(&tag)?;
        let known = resolved.known;
        let depth = self.state.depth;
        let name = (at + 1, tag.name_end);
        let kind = match depth {
            0 => names::kind(known, &self.src[name.0..name.1]),
            _ => Kind::Other,
        };
        let stamps = kind != Kind::Other
            && (self.env.from.is_some() || (self.env.lang.is_some() && !tag.has_lang));
        let out = self.place(at);
        let repeated = tag.xmlns.is_some() && !resolved.written;
        if tag.clean && !repeated && !stamps {
            self.keep_tag(name, out, &resolved, kind);
        } else {
            self.write_tag(name, out, &resolved, kind, tag.has_lang)?;
            self.canon
                .extend_from_slice(if tag.empty { b"/>" } else { b">" });
            self.state.run = tag.end;
        }
        self.state.pos = tag.end;
        self.state.scanned = tag.end;
        let end = self.place(tag.end);
        self.check_size(end)?;
        if depth == 0 {
            self.header.head_end = end as u32;
        }
        if !tag.empty {
            let name = (name.0 as u32, name.1 as u32);
            self.state.stack[depth] = Frame {
                name,
                uri: resolved.uri,
                known,
            };
            self.state.depth += 1;
            self.state.head_end = tag.end;
        } else if depth == 1 {
            outline::close_child(self.header, end);
        }
        Ok(())
    }

    fn check_limits(&mut self) -> Result<(), Stop> {
        let limits = self.env.limits;
        // Two more may be stamped.
        let attributes = self.state.table.attributes().len() + 2;
        self.state.elements += 1;
        if self.state.depth >= limits.depth_max.min(DEPTH_MAX)
            || limits.too_many_elements(self.state.elements)
            || attributes > limits.attributes_max
        {
            return Err(Stop::Unknown(Reason::Limit));
        }
        Ok(())
    }

    fn resolve(&self, tag: &Tag) -> Result<Resolved, Stop> {
        let parent = match self.state.depth {
            0 => Frame {
                known: Namespace::Content,
                ..Frame::default()
            },
            depth => self.state.stack[depth - 1],
        };
        let Some(index) = tag.xmlns else {
            return Ok(Resolved {
                known: parent.known,
                uri: parent.uri,
                written: false,
            });
        };
        let attribute = &self.state.table.attributes()[index];
        let uri = &self.src[range(attribute.value)];
        let known = Namespace::resolve(uri, self.env.content);
        let allowed = !attribute.respell
            && match known {
                Namespace::None => false,
                Namespace::Unknown | Namespace::MucOther => is_plain_uri(uri),
                Namespace::OtherContent => {
                    parent.known != Namespace::Content || planted(Fault::OtherContentPasses)
                }
                _ => true,
            };
        if !allowed {
            return Err(Stop::Unknown(Reason::Namespace));
        }
        let same = known == parent.known
            && match known {
                Namespace::Unknown | Namespace::MucOther => &self.src[range(parent.uri)] == uri,
                _ => true,
            }
            && !planted(Fault::RepeatedNamespaceKept);
        Ok(Resolved {
            known,
            uri: attribute.value,
            written: !same,
        })
    }

    /// The start tag is canonical: the run goes on, only the header has to know.
    fn keep_tag(&mut self, name: (usize, usize), out: usize, resolved: &Resolved, kind: Kind) {
        let at = name.0 - 1;
        let span = |(start, end): (u32, u32)| {
            Span::new(start as usize - at + out, end as usize - at + out)
        };
        let namespace = resolved.written.then(|| span(resolved.uri));
        self.describe(name, out, namespace, resolved.known, kind);
        if self.state.depth > 0 {
            return;
        }
        for attribute in self.state.table.attributes() {
            let role = Role::of(&self.src[range(attribute.name)]);
            if role != Role::Other {
                let value = &self.src[range(attribute.value)];
                let place = span(attribute.value);
                outline::attribute(self.header, role, place, value, attribute.plain);
            }
        }
    }

    /// Writes the start tag from the table, but for its end.
    fn write_tag(
        &mut self,
        name: (usize, usize),
        out: usize,
        resolved: &Resolved,
        kind: Kind,
        has_lang: bool,
    ) -> Result<(), Stop> {
        self.flush(name.1)?;
        let namespace = resolved.written.then(|| {
            let uri = &self.src[range(resolved.uri)];
            write(self.canon, b"xmlns", |canon| canon.extend_from_slice(uri))
        });
        self.describe(name, out, namespace, resolved.known, kind);
        let stamps_from = self.stamp(kind, has_lang);
        for attribute in self.state.table.attributes() {
            let name = &self.src[range(attribute.name)];
            let source = &self.src[range(attribute.value)];
            if name == b"xmlns" {
                continue;
            }
            let role = if self.state.depth == 0 {
                Role::of(name)
            } else {
                Role::Other
            };
            if stamps_from && role == Role::From {
                if attribute.respell {
                    let mut value = Vec::with_capacity(source.len());
                    spell::write_value(&mut value, source);
                    outline::compare_from(self.header, &value, self.env);
                } else {
                    outline::compare_from(self.header, source, self.env);
                }
                continue;
            }
            let span = write(self.canon, name, |canon| match attribute.respell {
                true => spell::write_value(canon, source),
                false => canon.extend_from_slice(source),
            });
            outline::attribute(
                self.header,
                role,
                span,
                span.of(self.canon),
                attribute.plain,
            );
        }
        Ok(())
    }

    /// Writes our own attributes into a stanza's start tag; whether `from` is among them.
    fn stamp(&mut self, kind: Kind, has_lang: bool) -> bool {
        if kind == Kind::Other {
            return false;
        }
        if let Some(sender) = self.env.from {
            let full = sender.escaped().as_bytes();
            let span = write(self.canon, b"from", |canon| canon.extend_from_slice(full));
            outline::attribute(self.header, Role::From, span, full, false);
        }
        if let (Some(lang), false) = (self.env.lang, has_lang) {
            let write_lang = |canon: &mut Vec<u8>| canon.extend_from_slice(lang.as_bytes());
            self.header.lang = Some(write(self.canon, b"xml:lang", write_lang));
        }
        self.env.from.is_some() && !planted(Fault::OwnFromKept)
    }

    /// Tells the header of an element at the top or right below it. `out` is where it begins.
    fn describe(
        &mut self,
        name: (usize, usize),
        out: usize,
        namespace: Option<Span>,
        known: Namespace,
        kind: Kind,
    ) {
        let len = name.1 - name.0;
        let place = Span::new(out + 1, out + 1 + len);
        match self.state.depth {
            0 => {
                let namespace = namespace.unwrap_or_default();
                outline::open_root(self.header, kind, known, place, namespace);
            }
            1 => {
                let namespace = namespace.unwrap_or(self.header.namespace);
                let whole = Span::new(out, out);
                let child = Child {
                    name: place,
                    namespace,
                    known,
                    whole,
                };
                outline::open_child(self.header, child, &self.src[name.0..name.1]);
            }
            _ => {}
        }
    }
}

/// Writes an attribute; gives the place of its value.
fn write(canon: &mut Vec<u8>, name: &[u8], value: impl FnOnce(&mut Vec<u8>)) -> Span {
    canon.push(b' ');
    canon.extend_from_slice(name);
    canon.extend_from_slice(b"=\"");
    let start = canon.len();
    value(canon);
    let span = Span::new(start, canon.len());
    canon.push(b'"');
    span
}

/// Printable ASCII without references, not a reserved name, of a length that both lanes take.
fn is_plain_uri(uri: &[u8]) -> bool {
    uri.len() <= URI_BYTES_MAX
        && uri
            .iter()
            .all(|byte| byte.is_ascii_graphic() && *byte != b'&')
        && (planted(Fault::ReservedNamesPass) || !RESERVED.contains(&uri))
}

/// What no other namespace may be called (Namespaces in XML 1.0, 3).
const RESERVED: [&[u8]; 2] = [
    b"http://www.w3.org/XML/1998/namespace",
    b"http://www.w3.org/2000/xmlns/",
];
/// Longer ones are left to the reference lane.
const URI_BYTES_MAX: usize = 1_000;
