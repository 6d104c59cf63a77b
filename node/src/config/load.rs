//! Reads a configuration and says everything that is wrong with its form.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use toml::{Spanned, Table, Value};

use super::problem::nearest;
use super::{Config, Location, Problem, Problems, SECTIONS, SectionInfo, checks};

/// What a configuration is made from: a file, then what the command line says.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The file; without one everything has its default.
    pub file: Option<PathBuf>,
    /// Values in place of defaults, for `rookery dev`; the file and `set` win over them.
    pub presets: Table,
    /// `section.key=value`, in the order given; the last one wins.
    pub set: Vec<String>,
}

/// A configuration of the right form, with the place of each option that was given.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    places: BTreeMap<String, Location>,
}

impl Source {
    /// Reads the file and the overrides; every wrong key, type and piece of syntax is reported.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let mut reading = Reading {
            tables: self.presets.clone(),
            ..Reading::default()
        };
        if let Some(path) = &self.file {
            reading.file(path);
        }
        self.set.iter().for_each(|text| reading.set(text));
        reading.finish()
    }

    /// Reads, then checks that the values make sense by themselves and together: what a server
    /// needs before it starts.
    pub fn load_checked(&self) -> Result<Config, Problems> {
        let loaded = self.load()?;
        let problems = loaded.contradictions();
        if problems.is_empty() {
            Ok(loaded.config)
        } else {
            Err(Problems(problems))
        }
    }
}

impl Loaded {
    /// Values that cannot be, or that contradict one another, in the order of their lines.
    pub fn contradictions(&self) -> Vec<Problem> {
        let mut problems = checks::run(&self.config, |key| self.place(key));
        problems.sort_by(|a, b| a.location.cmp(&b.location));
        problems
    }

    fn place(&self, key: &str) -> Location {
        self.places.get(key).cloned().unwrap_or(Location::Absent)
    }
}

/// A configuration while it is read.
#[derive(Default)]
struct Reading {
    tables: Table,
    places: BTreeMap<String, Location>,
    problems: Vec<Problem>,
}

impl Reading {
    fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => self.text(&name, &text),
            Err(cause) => {
                let reason = format!("cannot read {name}: {cause}");
                let hint = "`rookery config > FILE` writes a configuration with every option";
                self.problems
                    .push(Problem::new(Location::Absent, reason).with_hint(hint));
            }
        }
    }

    fn text(&mut self, name: &str, text: &str) {
        let at = |offset: usize| Location::Line(name.to_owned(), line_of(text, offset));
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let place = at(span.start);
            self.problems.push(match error.message() {
                "duplicate key" => twice(place, text.get(span).unwrap_or_default()),
                other => Problem::new(place, other.to_owned()),
            });
        }
        if !errors.is_empty() {
            return;
        }
        for (key, value) in document.into_inner() {
            self.section(&key, value, &at);
        }
    }

    fn section(
        &mut self,
        key: &Spanned<Cow<'_, str>>,
        value: Spanned<DeValue<'_>>,
        at: &dyn Fn(usize) -> Location,
    ) {
        let place = at(key.span().start);
        let Some(section) = find_section(key.get_ref()) else {
            self.problems.push(unknown_section(place, key.get_ref()));
            return;
        };
        let DeValue::Table(options) = value.into_inner() else {
            let reason = format!("`{}` is a section, not an option", section.name);
            let hint = format!("write `[{}]` on a line of its own", section.name);
            self.problems
                .push(Problem::new(place, reason).with_hint(hint));
            return;
        };
        for (name, value) in options {
            self.option(section, name, value, at);
        }
    }

    fn option(
        &mut self,
        section: &SectionInfo,
        name: Spanned<Cow<'_, str>>,
        value: Spanned<DeValue<'_>>,
        at: &dyn Fn(usize) -> Location,
    ) {
        let place = at(name.span().start);
        let key = name.get_ref().to_string();
        if section.option(&key).is_none() {
            self.problems.push(unknown_option(place, section, &key));
            return;
        }
        let plain = Value::deserialize(ValueDeserializer::from(value.clone()));
        let whole = name.span().start..value.span().end;
        let one = DeTable::from_iter([(name, value)]);
        if let Err(error) = (section.check)(Spanned::new(whole, one)) {
            let place = error.span().map_or(place, |span| at(span.start));
            self.problems
                .push(wrong_value(place, section.name, &key, error.message()));
            return;
        }
        let Ok(plain) = plain else { return };
        self.places.insert(format!("{}.{key}", section.name), place);
        let table = self
            .tables
            .entry(section.name)
            .or_insert_with(|| Value::Table(Table::new()));
        table
            .as_table_mut()
            .expect("only tables are put here")
            .insert(key, plain);
    }

    fn set(&mut self, text: &str) {
        let (path, value) = text.split_once('=').unwrap_or((text, ""));
        let path = path.trim();
        let place = Location::Flag(path.to_owned());
        let Some((section, key)) = path.split_once('.').filter(|_| text.contains('=')) else {
            let reason = format!("`{text}` is not of the form section.key=value");
            self.problems
                .push(Problem::new(place, reason).with_hint("such as --set log.filter=debug"));
            return;
        };
        let Some(info) = find_section(section) else {
            self.problems.push(unknown_section(place, section));
            return;
        };
        let here = |_| place.clone();
        let name = || Spanned::new(0..0, Cow::Owned(key.to_owned()));
        let bare = || Spanned::new(0..0, DeValue::String(Cow::Borrowed(value)));
        let parsed = DeValue::parse(value).unwrap_or_else(|_| bare());
        // A text needs no quotes here, not even one that looks like a number.
        let table = |value| Spanned::new(0..0, DeTable::from_iter([(name(), value)]));
        let chosen = match (info.check)(table(parsed.clone())) {
            Err(_) if (info.check)(table(bare())).is_ok() => bare(),
            _ => parsed,
        };
        self.option(info, name(), chosen, &here);
    }

    fn finish(mut self) -> Result<Loaded, Problems> {
        self.problems.sort_by(|a, b| a.location.cmp(&b.location));
        if !self.problems.is_empty() {
            return Err(Problems(self.problems));
        }
        let config = Config::deserialize(self.tables)
            .map_err(|error| Problems(vec![Problem::new(Location::Absent, error.message())]))?;
        Ok(Loaded {
            config,
            places: self.places,
        })
    }
}

fn find_section(name: &str) -> Option<&'static SectionInfo> {
    SECTIONS.iter().find(|section| section.name == name)
}

fn twice(place: Location, name: &str) -> Problem {
    let reason = format!("duplicate key: `{name}` stands already further up");
    Problem::new(place, reason).with_hint("join the two, or remove one")
}

fn unknown_section(place: Location, name: &str) -> Problem {
    let homes: Vec<_> = SECTIONS
        .iter()
        .filter(|section| section.option(name).is_some())
        .collect();
    if let [home] = homes[..] {
        let reason = format!("the option `{name}` stands outside its section");
        return Problem::new(place, reason)
            .with_hint(format!("it belongs under `[{}]`", home.name));
    }
    let problem = Problem::new(place, format!("there is no section `{name}`"));
    match nearest(name, SECTIONS.iter().map(|section| section.name)) {
        Some(near) => problem.with_hint(format!("did you mean `[{near}]`?")),
        None => problem.with_hint(format!(
            "the sections are {}",
            listed(SECTIONS.iter().map(|s| s.name))
        )),
    }
}

fn unknown_option(place: Location, section: &SectionInfo, name: &str) -> Problem {
    let problem = Problem::new(
        place,
        format!("`[{}]` has no option `{name}`", section.name),
    );
    if let Some(home) = SECTIONS.iter().find(|other| other.option(name).is_some()) {
        return problem.with_hint(format!("it belongs under `[{}]`", home.name));
    }
    match nearest(name, section.options.iter().map(|option| option.name)) {
        Some(near) => problem.with_hint(format!("did you mean `{near}`?")),
        None => {
            let known = listed(section.options.iter().map(|option| option.name));
            problem.with_hint(format!("it has {known}"))
        }
    }
}

/// Turns what serde says into what an operator can act on.
fn wrong_value(place: Location, section: &str, key: &str, message: &str) -> Problem {
    let message = message.trim();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let [wrong, known @ ..] = &quoted[..]
        && message.starts_with("unknown")
    {
        let what = if message.starts_with("unknown field") {
            "knows no key"
        } else {
            "cannot be"
        };
        let problem = Problem::new(place, format!("`{section}.{key}` {what} `{wrong}`"));
        let all = listed(known.iter().copied());
        return match nearest(wrong, known.iter().copied()) {
            Some(near) => problem.with_hint(format!("did you mean `{near}`? It can be {all}")),
            None => problem.with_hint(format!("it can be {all}")),
        };
    }
    let (found, expected) = match message.split_once(", expected ") {
        Some((found, expected)) => (found, in_words(expected)),
        None => (message, ""),
    };
    let found = found
        .trim_start_matches("invalid type: ")
        .trim_start_matches("invalid value: ");
    let problem = Problem::new(place, format!("wrong value for `{section}.{key}`: {found}"));
    match (expected, found) {
        ("", "invalid socket address syntax") => {
            problem.with_hint("addresses have a port, such as \"127.0.0.1:5222\" or \"[::]:5222\"")
        }
        ("", _) => problem,
        _ => problem.with_hint(format!("expected {expected}")),
    }
}

/// Rust's names of types, for people.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "a boolean" => "true or false",
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "a list in square brackets, such as [\"a\", \"b\"]",
        other => other,
    }
}

fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}
