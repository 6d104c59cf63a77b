//! One top-level element on its way into the canonical form.

use super::namespaces::{Declaration, Declared, Uri, resolve};
use super::stream::StreamScope;
use super::tag::Tag;
use crate::escape::{escape_attr, escape_text};
use crate::stanza::{Child, Header, Kind, Namespace, Span};
use crate::stream_error::StreamCondition;
use crate::xml::env::Env;
use crate::xml::error::ReadError;
use crate::xml::names::{self, Role};
use crate::xml::outline;
use crate::xml::scratch::Scratch;

/// What the reference lane knows of an unfinished top-level element.
#[derive(Debug, Default)]
pub(crate) struct Build {
    /// The start tag that is being read.
    pub(super) tag: Option<Tag>,
    /// The open elements, the top-level one first.
    frames: Vec<Frame>,
    /// The prefixes that they declare, innermost last.
    prefixes: Vec<Declaration>,
    /// Elements so far.
    elements: usize,
    /// Prefixes that the stream declares.
    outside: usize,
    /// Prefixes that the canonical form declares, in scope now.
    generated: usize,
    /// Whether the last byte was a CR, so that an LF behind it is the same line end.
    pub(super) after_cr: bool,
    /// Bytes of the item so far, as the peer wrote them.
    pub(super) raw_bytes: usize,
}

/// An open element.
#[derive(Debug)]
struct Frame {
    name: Box<str>,
    namespace: Uri,
    default: Uri,
    /// Where its namespace is written.
    written_at: Span,
    /// Prefixes in scope outside of it, as read and as written.
    outer: (usize, usize),
    /// Whether its start tag still lacks its `>`, because it may turn out to be empty.
    tag_open: bool,
}

/// An attribute, its namespace resolved.
struct Attribute<'a> {
    namespace: Option<Uri>,
    name: &'a str,
    value: &'a str,
}

impl Build {
    /// Forgets the element; the memory stays.
    pub(crate) fn clear(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        frames.clear();
        let mut prefixes = std::mem::take(&mut self.prefixes);
        prefixes.clear();
        *self = Self {
            frames,
            prefixes,
            ..Self::default()
        };
    }

    /// Whether no element is open.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of the item so far, as the peer wrote them.
    pub(crate) fn raw_bytes(&self) -> usize {
        self.raw_bytes
    }

    /// Counts an element that begins.
    pub(super) fn check_element(&mut self, env: &Env<'_>) -> Result<(), ReadError> {
        if self.frames.len() >= env.limits.depth_max {
            return Err(ReadError::policy("elements nested too deeply"));
        }
        self.elements += 1;
        if env.limits.too_many_elements(self.elements) {
            return Err(ReadError::policy("too many elements"));
        }
        Ok(())
    }
}

impl Scratch {
    /// A start tag is complete.
    pub(super) fn open_element(
        &mut self,
        tag: Tag,
        stream: &StreamScope,
        env: &Env<'_>,
    ) -> Result<(), ReadError> {
        let build = &mut self.build;
        build.outside = stream.prefixes.len();
        let declared = Declared::read(&tag.attributes, env.content)?;
        let outer = (build.prefixes.len(), build.generated);
        build.prefixes.extend(declared.prefixes);
        if build.outside + build.prefixes.len() > env.limits.namespaces_max {
            return Err(ReadError::policy("too many namespace declarations"));
        }
        let in_scope: [&[Declaration]; 2] = [&stream.prefixes, &build.prefixes];
        let parent = build.frames.last();
        let default = declared.default.unwrap_or_else(|| {
            parent
                .map_or(&stream.default, |parent| &parent.default)
                .clone()
        });
        let namespace = match tag.prefix() {
            Some(prefix) => resolve(prefix, &in_scope)?,
            None => default.clone(),
        };
        check_namespace(&namespace, parent.map(|parent| &parent.namespace))?;
        let attributes = resolve_attributes(&tag, &in_scope)?;
        let name: Box<str> = tag.name.1.as_str().into();
        self.finish_start_tag();
        let frame = Frame {
            name,
            namespace,
            default,
            written_at: Span::default(),
            outer,
            tag_open: true,
        };
        self.write_start_tag(frame, &attributes, env)
    }

    /// Character data.
    pub(super) fn text(&mut self, text: &str, env: &Env<'_>) -> Result<(), ReadError> {
        if self.build.is_empty() {
            return Err(ReadError::new(
                StreamCondition::BadFormat,
                "text between stanzas",
            ));
        }
        if !text.is_empty() {
            self.finish_start_tag();
            escape_text(text, &mut self.canon);
        }
        self.check_size(env)
    }

    /// The innermost element ends. True when it was the top-level element, which is complete then.
    pub(super) fn close_element(&mut self, env: &Env<'_>) -> Result<bool, ReadError> {
        let build = &mut self.build;
        let frame = build
            .frames
            .pop()
            .expect("the parser nests start and end tags");
        build.prefixes.truncate(frame.outer.0);
        build.generated = frame.outer.1;
        let depth = build.frames.len();
        if frame.tag_open {
            self.canon.extend_from_slice(b"/>");
        } else {
            self.canon.extend_from_slice(b"</");
            self.canon.extend_from_slice(frame.name.as_bytes());
            self.canon.push(b'>');
        }
        let end = self.canon.len();
        match depth {
            0 if frame.tag_open => self.header.head_end = end as u32,
            1 => outline::close_child(&mut self.header, end),
            _ => {}
        }
        if depth == 0 {
            self.header.whole = Span::new(0, end);
        }
        self.check_size(env)?;
        Ok(depth == 0)
    }

    /// The innermost element has content, so its start tag ends.
    fn finish_start_tag(&mut self) {
        let depth = self.build.frames.len();
        let Some(frame) = self.build.frames.last_mut() else {
            return;
        };
        if std::mem::take(&mut frame.tag_open) {
            self.canon.push(b'>');
            if depth == 1 {
                self.header.head_end = self.canon.len() as u32;
            }
        }
    }

    fn write_start_tag(
        &mut self,
        mut frame: Frame,
        attributes: &[Attribute<'_>],
        env: &Env<'_>,
    ) -> Result<(), ReadError> {
        let (canon, header) = (&mut self.canon, &mut self.header);
        let depth = self.build.frames.len();
        let start = canon.len();
        canon.push(b'<');
        canon.extend_from_slice(frame.name.as_bytes());
        let name = Span::new(start + 1, canon.len());
        let parent = self.build.frames.last();
        let inherited = parent.map_or_else(
            || frame.namespace.known == Namespace::Content,
            |parent| parent.namespace == frame.namespace,
        );
        let mut written = 0;
        if inherited {
            frame.written_at = parent.map_or_else(Span::default, |parent| parent.written_at);
        } else {
            frame.written_at = write_attribute(canon, "xmlns", frame.namespace.as_str());
            written += 1;
        }
        let known = frame.namespace.known;
        let kind = if depth == 0 {
            names::kind(known, frame.name.as_bytes())
        } else {
            Kind::Other
        };
        match depth {
            0 => outline::open_root(header, kind, known, name, frame.written_at),
            1 => {
                let whole = Span::new(start, start);
                let child = Child {
                    name,
                    namespace: frame.written_at,
                    known,
                    whole,
                };
                outline::open_child(header, child, frame.name.as_bytes());
            }
            _ => {}
        }
        let stamping = Stamping::of(kind, env);
        written += stamping.write(canon, header, attributes, env);
        self.build.frames.push(frame);
        self.write_attributes(attributes, written, depth == 0, &stamping, env)
    }

    fn write_attributes(
        &mut self,
        attributes: &[Attribute<'_>],
        mut written: usize,
        top_level: bool,
        stamping: &Stamping,
        env: &Env<'_>,
    ) -> Result<(), ReadError> {
        let mut foreign: Vec<&Uri> = Vec::new();
        for attribute in attributes {
            let own_from = attribute.namespace.is_none() && attribute.name == "from";
            if own_from && stamping.from {
                stamping.compare(attribute.value, &mut self.header, env);
                continue;
            }
            let prefix = match &attribute.namespace {
                None => String::new(),
                Some(uri) if uri.is_xml() => "xml:".to_owned(),
                Some(uri) => {
                    let index = foreign.iter().position(|known| *known == uri);
                    let new = index.is_none();
                    let prefix = format!("a{}", index.unwrap_or(foreign.len()));
                    if new {
                        foreign.push(uri);
                        self.build.generated += 1;
                        written += 1;
                        let name = format!("xmlns:{prefix}");
                        write_attribute(&mut self.canon, &name, uri.as_str());
                    }
                    prefix + ":"
                }
            };
            let name = prefix + attribute.name;
            let span = write_attribute(&mut self.canon, &name, attribute.value);
            written += 1;
            if top_level {
                let value = span.of(&self.canon);
                outline::attribute(
                    &mut self.header,
                    Role::of(name.as_bytes()),
                    span,
                    value,
                    false,
                );
            }
            self.check_size(env)?;
        }
        if written > env.limits.attributes_max {
            return Err(ReadError::policy("too many attributes"));
        }
        if self.build.outside + self.build.generated > env.limits.namespaces_max {
            return Err(ReadError::policy("too many namespace declarations"));
        }
        self.check_size(env)
    }

    fn check_size(&self, env: &Env<'_>) -> Result<(), ReadError> {
        if self.canon.len() > env.limits.stanza_bytes_max {
            return Err(ReadError::policy("too many bytes in one element"));
        }
        Ok(())
    }
}

/// What the reader writes into a stanza's start tag by itself.
struct Stamping {
    from: bool,
    lang: bool,
}

impl Stamping {
    fn of(kind: Kind, env: &Env<'_>) -> Self {
        let stanza = kind != Kind::Other;
        Self {
            from: stanza && env.from.is_some(),
            lang: stanza && env.lang.is_some(),
        }
    }

    /// Writes the stamps; gives their number.
    fn write(
        &self,
        canon: &mut Vec<u8>,
        header: &mut Header,
        attributes: &[Attribute<'_>],
        env: &Env<'_>,
    ) -> usize {
        let mut written = 0;
        if let (true, Some(sender)) = (self.from, env.from) {
            let span = write_escaped(canon, "from", sender.escaped());
            outline::attribute(header, Role::From, span, sender.escaped().as_bytes(), false);
            written += 1;
        }
        let has_lang = attributes.iter().any(|attribute| {
            attribute.name == "lang" && attribute.namespace.as_ref().is_some_and(Uri::is_xml)
        });
        if let (true, false, Some(lang)) = (self.lang, has_lang, env.lang) {
            header.lang = Some(write_escaped(canon, "xml:lang", lang));
            written += 1;
        }
        written
    }

    /// Notes a `from` of the client's own that does not speak of itself.
    fn compare(&self, from: &str, header: &mut Header, env: &Env<'_>) {
        let mut escaped = Vec::with_capacity(from.len());
        escape_attr(from, &mut escaped);
        outline::compare_from(header, &escaped, env);
    }
}

/// The namespace rules that are ours: no element in the XML namespace, which cannot be a default
/// namespace, and no element of the other content namespace under content, which would become
/// content behind the next link.
fn check_namespace(namespace: &Uri, parent: Option<&Uri>) -> Result<(), ReadError> {
    if namespace.is_xml() {
        return Err(ReadError::namespace("element in the XML namespace"));
    }
    let under_content = parent.is_none_or(|parent| parent.known == Namespace::Content);
    if under_content && namespace.known == Namespace::OtherContent {
        return Err(ReadError::namespace("content of another kind of stream"));
    }
    Ok(())
}

fn resolve_attributes<'a>(
    tag: &'a Tag,
    in_scope: &[&[Declaration]],
) -> Result<Vec<Attribute<'a>>, ReadError> {
    let mut attributes: Vec<Attribute<'a>> = Vec::with_capacity(tag.attributes.len());
    for (prefix, name, value) in tag.proper_attributes() {
        let namespace = prefix.map(|prefix| resolve(prefix, in_scope)).transpose()?;
        // Names before namespaces: the names differ as a rule.
        let twice = |other: &Attribute<'_>| {
            other.name == name && namespace.is_some() && other.namespace == namespace
        };
        if attributes.iter().any(twice) {
            return Err(ReadError::malformed("duplicate attribute"));
        }
        attributes.push(Attribute {
            namespace,
            name,
            value,
        });
    }
    Ok(attributes)
}

/// Writes an attribute; gives the place of its value.
fn write_attribute(canon: &mut Vec<u8>, name: &str, value: &str) -> Span {
    canon.push(b' ');
    canon.extend_from_slice(name.as_bytes());
    canon.extend_from_slice(b"=\"");
    let start = canon.len();
    escape_attr(value, canon);
    let span = Span::new(start, canon.len());
    canon.push(b'"');
    span
}

/// Writes an attribute whose value is in canonical spelling already.
fn write_escaped(canon: &mut Vec<u8>, name: &str, value: &str) -> Span {
    canon.push(b' ');
    canon.extend_from_slice(name.as_bytes());
    canon.extend_from_slice(b"=\"");
    let start = canon.len();
    canon.extend_from_slice(value.as_bytes());
    let span = Span::new(start, canon.len());
    canon.push(b'"');
    span
}
