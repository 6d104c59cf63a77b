//! The stream's root element: what it says, and what its declarations mean for every stanza.

use super::namespaces::{Declaration, Declared, Uri, resolve};
use super::tag::Tag;
use crate::stanza::{Content, Namespace};
use crate::stream_error::StreamCondition;
use crate::xml::env::Env;
use crate::xml::error::ReadError;
use crate::xml::item::StreamHeader;

/// What the root element leaves behind.
#[derive(Debug)]
pub(super) struct StreamScope {
    /// Its qualified name, which the end of the stream must repeat.
    root: Box<str>,
    /// The default namespace at depth 0.
    pub(super) default: Uri,
    /// The prefixes declared on it.
    pub(super) prefixes: Box<[Declaration]>,
}

impl StreamScope {
    pub(super) fn plain(content: Content) -> Self {
        Self {
            root: "stream".into(),
            default: Uri::content(content),
            prefixes: Box::default(),
        }
    }

    /// Reads the start tag of the stream and checks the namespaces (RFC 6120 4.8).
    pub(super) fn open(tag: Tag, env: &Env<'_>) -> Result<(Self, StreamHeader), ReadError> {
        let declared = Declared::read(&tag.attributes, env.content)?;
        if declared.prefixes.len() > env.limits.namespaces_max {
            return Err(ReadError::policy("too many namespace declarations"));
        }
        let default = declared.default.unwrap_or(Uri::NONE);
        let namespace = match tag.prefix() {
            Some(prefix) => resolve(prefix, &[&declared.prefixes])?.known,
            None => default.known,
        };
        let name = tag.name.1.as_str();
        if name != "stream" {
            return Err(ReadError::new(
                StreamCondition::BadFormat,
                "the root is not a stream",
            ));
        }
        if namespace != Namespace::Streams {
            return Err(ReadError::namespace(
                "the root is not in the namespace of streams",
            ));
        }
        if !matches!(
            default.known,
            Namespace::Content | Namespace::None | Namespace::Streams
        ) {
            return Err(ReadError::namespace(
                "the content namespace is not supported",
            ));
        }
        let header = read_header(&tag, &declared.prefixes)?;
        let root = tag
            .prefix()
            .map_or_else(|| name.into(), |p| format!("{p}:{name}").into());
        Ok((
            Self {
                root,
                default,
                prefixes: declared.prefixes.into_boxed_slice(),
            },
            header,
        ))
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    pub(super) fn content_is_default(&self) -> bool {
        self.default.known == Namespace::Content
    }
}

fn read_header(tag: &Tag, prefixes: &[Declaration]) -> Result<StreamHeader, ReadError> {
    let mut header = StreamHeader::default();
    for (prefix, name, value) in tag.proper_attributes() {
        match (prefix, name) {
            (None, "to") => header.to = Some(value.to_owned()),
            (None, "from") => header.from = Some(value.to_owned()),
            (None, "id") => header.id = Some(value.to_owned()),
            (None, "version") => header.version = Some(version(value)?),
            (Some("xml"), "lang") => header.lang = Some(value.to_owned()),
            // No other attribute means anything here, but its prefix must.
            (Some(prefix), _) => _ = resolve(prefix, &[prefixes])?,
            _ => {}
        }
    }
    Ok(header)
}

/// RFC 6120 4.7.5: two numbers, compared each by itself, leading zeros ignored.
fn version(value: &str) -> Result<(u8, u8), ReadError> {
    let number = |digits: &str| {
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())
    };
    value
        .split_once('.')
        .and_then(|(major, minor)| Some((number(major)??, number(minor)??)))
        .ok_or(ReadError::new(
            StreamCondition::UnsupportedVersion,
            "malformed version",
        ))
}
