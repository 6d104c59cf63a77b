//! The two PRECIS profiles of an address (RFC 8264, RFC 8265), with the tables of current Unicode.

use std::borrow::Cow;

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::split::is_plain_local;
use super::{JidError, PART_BYTES_MAX, bidi, context};

/// Prepares a localpart: UsernameCaseMapped (RFC 8265 3.3.3) without the characters that RFC 7622
/// 3.3.1 excludes.
///
/// # Errors
/// [`JidError::EmptyLocal`], [`JidError::BadLocal`] or [`JidError::TooLong`].
pub fn prepare_local(local: &str) -> Result<Cow<'_, str>, JidError> {
    if local.len() <= PART_BYTES_MAX && is_plain_local(local.as_bytes()) {
        return Ok(Cow::Borrowed(local));
    }
    if local.is_empty() {
        return Err(JidError::EmptyLocal);
    }
    let prepared = settle(local, map_local).ok_or(JidError::BadLocal)?;
    let excluded = |c| matches!(c, '"' | '&' | '\'' | '/' | ':' | '<' | '>' | '@');
    if !is_valid(&prepared, Class::Identifier) || prepared.contains(excluded) {
        return Err(JidError::BadLocal);
    }
    if !bidi::holds(&prepared) {
        return Err(JidError::BadLocal);
    }
    if prepared.len() > PART_BYTES_MAX {
        Err(JidError::TooLong)
    } else {
        Ok(Cow::Owned(prepared))
    }
}

/// Prepares a resourcepart: OpaqueString (RFC 8265 4.2.3).
///
/// # Errors
/// [`JidError::EmptyResource`], [`JidError::BadResource`] or [`JidError::TooLong`].
pub fn prepare_resource(resource: &str) -> Result<Cow<'_, str>, JidError> {
    if resource.is_empty() {
        return Err(JidError::EmptyResource);
    }
    let prepared = prepare_opaque(resource).ok_or(JidError::BadResource)?;
    if prepared.len() > PART_BYTES_MAX {
        Err(JidError::TooLong)
    } else {
        Ok(prepared)
    }
}

/// Whether people can read all of a text, which is in the FreeformClass of RFC 8264 4.3: no controls, and nothing that
/// cannot be seen, such as the signs that turn a line's direction around.
pub fn is_readable(text: &str) -> bool {
    prepare_opaque(text).is_some()
}

/// Prepares an OpaqueString (RFC 8265 4.2.3): any space becomes U+0020, NFC, no controls. `None`
/// when it is empty or holds what is not allowed.
pub(crate) fn prepare_opaque(text: &str) -> Option<Cow<'_, str>> {
    if text.is_empty() {
        return None;
    }
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Some(Cow::Borrowed(text));
    }
    let prepared = settle(text, map_opaque)?;
    is_valid(&prepared, Class::Freeform).then_some(Cow::Owned(prepared))
}

/// Applies a mapping until it changes nothing, as RFC 8264 7 asks of profiles; `None` if that takes
/// more than three times.
fn settle(text: &str, map: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut last = map(text)?;
    for _ in 0..3 {
        let next = map(&last)?;
        if next == last {
            return Some(next);
        }
        last = next;
    }
    None
}

/// Width mapping, lower case, NFC (RFC 8265 3.3.3). Lower case is Unicode's toLowerCase, which
/// gives `ς` at a word's end. `None` when a character is none that an identifier may hold, or a joiner joins nothing.
fn map_local(text: &str) -> Option<String> {
    let narrow: String = text.chars().flat_map(map_width).collect();
    if !narrow
        .chars()
        .all(|c| class_of(c) != Property::Disallowed && class_of(c) != Property::FreeformOnly)
    {
        return None;
    }
    have_places(&narrow, Class::Identifier).then(|| narrow.to_lowercase().nfc().collect())
}

/// Spaces, NFC (RFC 8265 4.2.2). `None` when a joiner joins nothing.
fn map_opaque(text: &str) -> Option<String> {
    let spaced = text.chars().map(|c| if is_space(c) { ' ' } else { c });
    have_places(text, Class::Freeform).then(|| spaced.nfc().collect())
}

/// Whether all joiners have their places ahead of a mapping: that may move marks, so that one has it only then (RFC
/// 8265 3.3.2, 4.2.1).
fn have_places(text: &str, class: Class) -> bool {
    let mut joiners = text.char_indices().filter(|(_, c)| context::is_joiner(*c));
    joiners.all(|(at, c)| is_placed(text, at, c, class))
}

/// Only the characters of this block, and the ideographic space, decompose as wide or narrow; all
/// of them do.
fn map_width(c: char) -> impl Iterator<Item = char> {
    let wide = matches!(c, '\u{3000}' | '\u{ff00}'..='\u{ffef}');
    let (mapped, kept) = if wide {
        (Some(c), None)
    } else {
        (None, Some(c))
    };
    mapped.into_iter().nfkc().chain(kept)
}

/// The string classes of RFC 8264 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Identifier,
    Freeform,
}

fn is_valid(text: &str, class: Class) -> bool {
    let allowed = |(at, c)| match class_of(c) {
        Property::Valid => true,
        Property::FreeformOnly => class == Class::Freeform,
        Property::Context => is_placed(text, at, c, class),
        Property::Disallowed => class == Class::Freeform && context::in_emoji(text, at, c),
    };
    !text.is_empty() && text.char_indices().all(allowed)
}

/// Whether `c`, which stands at `at`, may stand there.
fn is_placed(text: &str, at: usize, c: char, class: Class) -> bool {
    context::allows(text, at, c) || (class == Class::Freeform && context::in_emoji(text, at, c))
}

/// The derived property of RFC 8264 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    /// PVALID: in both classes.
    Valid,
    /// ID_DIS or FREE_PVAL: in the freeform class only.
    FreeformOnly,
    /// CONTEXTJ or CONTEXTO: where its rule holds.
    Context,
    /// DISALLOWED or UNASSIGNED.
    Disallowed,
}

/// The algorithm of RFC 8264 8, in its order.
fn class_of(c: char) -> Property {
    if matches!(c, '!'..='~') {
        return Property::Valid;
    }
    if let Some(property) = exception(c) {
        return property;
    }
    let category = c.general_category();
    if matches!(c, '\u{200c}' | '\u{200d}') {
        return Property::Context;
    }
    if is_old_hangul_jamo(c) || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return Property::Disallowed;
    }
    match category {
        GeneralCategory::Control
        | GeneralCategory::Unassigned
        | GeneralCategory::Surrogate
        | GeneralCategory::PrivateUse
        | GeneralCategory::Format
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => Property::Disallowed,
        _ if has_compatibility_form(c) => Property::FreeformOnly,
        GeneralCategory::LowercaseLetter
        | GeneralCategory::UppercaseLetter
        | GeneralCategory::OtherLetter
        | GeneralCategory::DecimalNumber
        | GeneralCategory::ModifierLetter
        | GeneralCategory::NonspacingMark
        | GeneralCategory::SpacingMark => Property::Valid,
        _ => Property::FreeformOnly,
    }
}

/// RFC 5892 2.6.
fn exception(c: char) -> Option<Property> {
    match c {
        'ß' | 'ς' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => Some(Property::Valid),
        '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' => Some(Property::Context),
        '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => Some(Property::Context),
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            Some(Property::Disallowed)
        }
        _ => None,
    }
}

/// RFC 8264 9.9 (I): conjoining jamo, which only NFC may join.
fn is_old_hangul_jamo(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7fb}')
}

/// RFC 8264 9.17 (Q).
fn has_compatibility_form(c: char) -> bool {
    let mut form = std::iter::once(c).nfkc();
    form.next() != Some(c) || form.next().is_some()
}

fn is_space(c: char) -> bool {
    c.general_category() == GeneralCategory::SpaceSeparator
}
