//! The reference lane: the rxml parser, our namespaces, our writer.
//!
//! ```text
//! bytes ─► line ends ─► rxml::RawParser ─► one start tag, text or end tag at a time
//!                                           └─► Build (namespaces, limits) ─► canonical form
//! ```
//!
//! It reads stream headers, everything before authentication and whatever the fast lane does not
//! know, and it alone makes errors. Between top-level elements its parser stands at depth 1, inside
//! the stream's root element; the fast lane goes round it. A parser that idles is dropped and made
//! again, at the same place, when it is needed.
//!
//! What rxml 0.14 lets through or gets wrong is corrected here: duplicate default namespace
//! declarations, the reserved `xmlns` namespace, names outside ASCII, white space in namespace
//! names, a raw CR in attribute values (line ends are normalised before the parser, XML 1.0 2.11),
//! and the absence of limits.

mod build;
mod namespaces;
mod stream;
mod tag;

use memchr::memchr;
use rxml::error::EndOrError;
use rxml::{Parse, RawEvent, RawParser};

pub(crate) use self::build::Build;
use self::stream::StreamScope;
use self::tag::Tag;
use super::env::Env;
use super::error::ReadError;
use super::item::StreamHeader;
use super::limits::NAME_BYTES_MAX;
use super::scratch::Scratch;
use crate::stanza::Content;
use crate::stream_error::StreamCondition;

/// The reference lane of one stream.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    parser: Option<Box<RawParser>>,
    /// What the stream's root element declares; `None` until it was read.
    stream: Option<Box<StreamScope>>,
}

/// What the lane found.
#[derive(Debug)]
pub(crate) enum Finding {
    Open(StreamHeader),
    /// Its canonical form and header are in the scratch.
    Stanza,
    Close,
}

impl Reference {
    /// A lane inside a stream that declares nothing but its content namespace as default.
    pub(crate) fn inside_stream(content: Content) -> Self {
        Self {
            parser: None,
            stream: Some(Box::new(StreamScope::plain(content))),
        }
    }

    /// Whether an element without prefix and `xmlns` is in the content namespace here.
    pub(crate) fn content_is_default(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(|stream| stream.content_is_default())
    }

    /// Gives the parser's memory back. Only between top-level elements.
    pub(crate) fn drop_parser(&mut self) {
        self.parser = None;
    }

    /// Gives back what the parser does not need while it waits in the middle of an element.
    pub(crate) fn release_temporaries(&mut self) {
        if let Some(parser) = &mut self.parser {
            parser.release_temporaries();
        }
    }

    /// Reads on in the item that `scratch` holds. Takes from `input` what belongs to the item;
    /// `None` when all was taken and the item goes on.
    pub(crate) fn feed(
        &mut self,
        scratch: &mut Scratch,
        input: &mut &[u8],
        env: &Env<'_>,
    ) -> Result<Option<Finding>, ReadError> {
        while let Some(&first) = input.first() {
            if scratch.build.raw_bytes >= env.limits.stanza_bytes_max {
                return Err(ReadError::policy("too many bytes in one element"));
            }
            let after_cr = std::mem::take(&mut scratch.build.after_cr);
            if first == b'\r' || (first == b'\n' && after_cr) {
                *input = &input[1..];
                scratch.build.raw_bytes += 1;
                if first == b'\r' {
                    scratch.build.after_cr = true;
                    self.parse(scratch, &mut &b"\n"[..], env)?;
                }
                continue;
            }
            let room = env.limits.stanza_bytes_max - scratch.build.raw_bytes;
            let within = &input[..input.len().min(room)];
            let segment = &within[..memchr(b'\r', within).unwrap_or(within.len())];
            let mut rest = segment;
            let found = self.parse(scratch, &mut rest, env)?;
            let taken = segment.len() - rest.len();
            *input = &input[taken..];
            scratch.build.raw_bytes += taken;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn parse(
        &mut self,
        scratch: &mut Scratch,
        bytes: &mut &[u8],
        env: &Env<'_>,
    ) -> Result<Option<Finding>, ReadError> {
        loop {
            let parser = match &mut self.parser {
                Some(parser) => parser,
                none => none.insert(parser_inside(self.stream.as_deref())?),
            };
            let event = match parser.parse(bytes, false) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Some(Finding::Close)),
                Err(EndOrError::NeedMoreData) => return Ok(None),
                Err(EndOrError::Error(error)) => return Err(error.into()),
            };
            if let Some(found) = self.handle(scratch, event, env)? {
                return Ok(Some(found));
            }
        }
    }

    fn handle(
        &mut self,
        scratch: &mut Scratch,
        event: RawEvent,
        env: &Env<'_>,
    ) -> Result<Option<Finding>, ReadError> {
        let build = &mut scratch.build;
        match event {
            RawEvent::XmlDeclaration(..) => {}
            RawEvent::ElementHeadOpen(_, name) => {
                check_name(&name)?;
                build.check_element(env)?;
                build.tag = Some(Tag::new(name));
            }
            RawEvent::Attribute(_, name, value) => {
                check_name(&name)?;
                let tag = build
                    .tag
                    .as_mut()
                    .expect("attributes come inside a start tag");
                tag.push(name, value, env)?;
            }
            RawEvent::ElementHeadClose(_) => {
                let tag = build.tag.take().expect("a start tag ends after it began");
                match &self.stream {
                    Some(stream) => scratch.open_element(tag, stream, env)?,
                    None => {
                        return self
                            .open_stream(tag, env)
                            .map(|open| Some(Finding::Open(open)));
                    }
                }
            }
            RawEvent::Text(_, text) => scratch.text(&text, env)?,
            RawEvent::ElementFoot(_) if build.is_empty() => return Ok(Some(Finding::Close)),
            RawEvent::ElementFoot(_) => {
                if scratch.close_element(env)? {
                    return Ok(Some(Finding::Stanza));
                }
            }
        }
        Ok(None)
    }

    fn open_stream(&mut self, tag: Tag, env: &Env<'_>) -> Result<StreamHeader, ReadError> {
        let (scope, header) = StreamScope::open(tag, env)?;
        self.stream = Some(Box::new(scope));
        let parser = self.parser.as_mut().expect("it has just parsed the header");
        // An empty root element says its end right behind its start.
        match parser.parse(&mut &b""[..], false) {
            Err(EndOrError::NeedMoreData) => Ok(header),
            _ => Err(ReadError::new(
                StreamCondition::BadFormat,
                "stream without content",
            )),
        }
    }
}

/// A parser at the place where the last one stood: before the stream, or at depth 1 in it.
fn parser_inside(stream: Option<&StreamScope>) -> Result<Box<RawParser>, ReadError> {
    let mut parser = Box::new(RawParser::new());
    if let Some(stream) = stream {
        let start = format!("<{}>", stream.root());
        let mut rest = start.as_bytes();
        loop {
            match parser.parse(&mut rest, false) {
                Ok(_) => {}
                Err(EndOrError::NeedMoreData) => break,
                Err(EndOrError::Error(error)) => return Err(error.into()),
            }
        }
    }
    Ok(parser)
}

/// Names outside ASCII are legal only since the fifth edition of XML 1.0; readers of the fourth
/// break on them.
fn check_name(name: &rxml::parser::RawQName) -> Result<(), ReadError> {
    let parts = [
        name.0.as_deref().map_or("", |prefix| prefix.as_str()),
        name.1.as_str(),
    ];
    if parts.iter().any(|part| !part.is_ascii()) {
        return Err(ReadError::restricted("name outside ASCII"));
    }
    if parts.iter().any(|part| part.len() > NAME_BYTES_MAX) {
        return Err(ReadError::policy("name too long"));
    }
    Ok(())
}
