//! Another parser's view: rxml's own namespace layer, which the reader does not use.

use rxml::error::EndOrError;
use rxml::{Event, Parse, Parser};

use super::Setup;

/// What an element means: names with namespaces, sorted attributes, joined text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fact {
    Start(String, String, Vec<(String, String, String)>),
    Text(String),
    End,
}

/// Whether the source of an element and its canonical form mean the same.
///
/// # Errors
/// How they differ, or that one of them is not well-formed.
pub fn check_meaning(source: &[u8], canonical: &str, setup: &Setup) -> Result<(), String> {
    let expected = facts(source, setup).map_err(|error| format!("source: {error}"))?;
    let found = facts(canonical.as_bytes(), setup)?;
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "another meaning: {canonical}\n  expected {expected:?}\n  found    {found:?}"
    ))
}

fn facts(element: &[u8], setup: &Setup) -> Result<Vec<Fact>, String> {
    // The parser loses a lone CR in values.
    let mut document = setup.open().into_bytes();
    document.extend_from_slice(&normalize_line_ends(element));
    let mut parser = Parser::new();
    let mut rest = &document[..];
    let mut facts = Vec::new();
    loop {
        match parser.parse(&mut rest, false) {
            Ok(Some(event)) => add(&mut facts, event),
            Ok(None) | Err(EndOrError::NeedMoreData) => break,
            Err(EndOrError::Error(error)) => return Err(error.to_string()),
        }
    }
    facts.remove(0);
    let starts = facts
        .iter()
        .filter(|fact| matches!(fact, Fact::Start(..)))
        .count();
    let ends = facts.iter().filter(|fact| **fact == Fact::End).count();
    if starts == 0 || starts != ends {
        return Err("not one element".to_owned());
    }
    Ok(facts)
}

fn add(facts: &mut Vec<Fact>, event: Event) {
    match event {
        Event::XmlDeclaration(..) => {}
        Event::StartElement(_, (namespace, name), attributes) => {
            let mut attributes: Vec<_> = attributes
                .into_iter()
                .map(|((namespace, name), value)| (namespace.to_string(), name.to_string(), value))
                .collect();
            attributes.sort();
            facts.push(Fact::Start(
                namespace.to_string(),
                name.to_string(),
                attributes,
            ));
        }
        Event::EndElement(_) => facts.push(Fact::End),
        Event::Text(_, text) => match facts.last_mut() {
            Some(Fact::Text(before)) => before.push_str(&text),
            _ => facts.push(Fact::Text(text)),
        },
    }
}

/// XML 1.0 2.11.
fn normalize_line_ends(bytes: &[u8]) -> Vec<u8> {
    let mut normalized = Vec::with_capacity(bytes.len());
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' => normalized.push(b'\n'),
            b'\n' if at > 0 && bytes[at - 1] == b'\r' => {}
            _ => normalized.push(byte),
        }
    }
    normalized
}
