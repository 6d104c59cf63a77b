//! How both lanes fill a [`Header`]: they say where things are in the canonical form, this says
//! what they mean.

use super::env::Env;
use super::names::{self, Role};
use crate::stanza::{CHILDREN_MAX, Child, Flags, Header, Kind, Namespace, Span, StanzaType};

/// Empties the header for another top-level element; the memory of its list of children stays.
pub(crate) fn clear(header: &mut Header) {
    let mut children = std::mem::take(&mut header.children);
    children.clear();
    *header = Header {
        children,
        ..Header::default()
    };
}

/// The top-level element begins.
pub(crate) fn open_root(
    header: &mut Header,
    kind: Kind,
    known: Namespace,
    name: Span,
    namespace: Span,
) {
    header.kind = kind;
    header.known = known;
    header.name = name;
    header.namespace = namespace;
}

/// An attribute of the top-level element. `value` is what stands at `span`; `plain` if it is known
/// to hold no reference.
pub(crate) fn attribute(header: &mut Header, role: Role, span: Span, value: &[u8], plain: bool) {
    match role {
        Role::Other => {}
        Role::To => header.to = Some(span),
        Role::From => header.from = Some(span),
        Role::Id => header.id = Some(span),
        Role::Type => header.stanza_type = StanzaType::resolve(header.kind, value),
        Role::Lang => {
            header.lang = Some(span);
            header.flags |= Flags::LANG;
        }
    }
    let in_record = matches!(role, Role::To | Role::From | Role::Id);
    if in_record && !plain && value.contains(&b'&') {
        header.flags |= Flags::ESCAPED;
    }
}

/// The client wrote a `from` of its own, in canonical spelling here, where the reader stamps one.
pub(crate) fn compare_from(header: &mut Header, from: &[u8], env: &Env<'_>) {
    if env.from.is_some_and(|sender| !sender.is_named_by(from)) {
        header.flags |= Flags::FROM_MISMATCH;
    }
}

/// A child of the top-level element begins; its end is not known yet.
pub(crate) fn open_child(header: &mut Header, child: Child, name: &[u8]) {
    header.child_count += 1;
    header.flags |= names::child_flags(header.kind, child.known, name);
    if header.children.len() < CHILDREN_MAX {
        header.children.push(child);
    }
}

/// The child that was begun last ends at `end`.
pub(crate) fn close_child(header: &mut Header, end: usize) {
    let current = header.child_count as usize;
    if current <= CHILDREN_MAX
        && let Some(child) = header.children.last_mut()
    {
        child.whole.end = end as u32;
    }
}

/// Moves every span by `base`, when the canonical form is appended behind `base` bytes.
pub(crate) fn shift(header: &mut Header, base: usize) {
    if base == 0 {
        return;
    }
    let base = base as u32;
    let shift = |span: &mut Span| {
        span.start += base;
        span.end += base;
    };
    shift(&mut header.whole);
    shift(&mut header.name);
    shift_if_any(&mut header.namespace, base);
    header.head_end += base;
    for span in [
        &mut header.to,
        &mut header.from,
        &mut header.id,
        &mut header.lang,
    ] {
        span.iter_mut().for_each(shift);
    }
    for child in &mut header.children {
        shift(&mut child.name);
        shift_if_any(&mut child.namespace, base);
        shift(&mut child.whole);
    }
}

/// A namespace that is not written has the empty span at 0, wherever the element is.
fn shift_if_any(span: &mut Span, base: u32) {
    if !span.is_empty() {
        span.start += base;
        span.end += base;
    }
}
