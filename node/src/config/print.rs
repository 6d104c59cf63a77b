//! Prints a configuration: every option with its default, its unit and its reason.

use std::fmt::Write;

use rookery_xmpp::options::OptionInfo;
use serde_json::json;
use toml::{Table, Value};

use super::{Config, SECTIONS, SectionInfo};

/// The configuration as a TOML file with comments, which parses back to the same configuration.
/// What has its default is commented out, so that a file made from this follows the defaults of
/// later versions, shows what its operator chose, and has room for `[[tls.certificates]]`.
pub fn to_toml(config: &Config) -> String {
    let (values, defaults) = (config.to_table(), Config::default().to_table());
    let mut text = String::from(HEAD);
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, section.doc);
        let _ = writeln!(text, "[{}]", section.name);
        for option in section.options {
            write_option(&mut text, option, value_of(&values, section, option), {
                value_of(&defaults, section, option)
            });
        }
    }
    text
}

/// The same as JSON: section → option → value, default, unit, reason.
pub fn to_json(config: &Config) -> serde_json::Value {
    let (values, defaults) = (config.to_table(), Config::default().to_table());
    let option_json = |section: &SectionInfo, option: &OptionInfo| {
        let described = json!({
            "value": value_of(&values, section, option),
            "default": value_of(&defaults, section, option),
            "unit": option.unit,
            "reason": flowing(option.reason),
        });
        (option.name.to_owned(), described)
    };
    let section_json = |section: &SectionInfo| {
        let options: serde_json::Map<_, _> = section
            .options
            .iter()
            .map(|option| option_json(section, option))
            .collect();
        (section.name.to_owned(), serde_json::Value::Object(options))
    };
    SECTIONS
        .iter()
        .map(section_json)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn write_option(text: &mut String, option: &OptionInfo, value: &Value, default: &Value) {
    text.push('\n');
    comment(text, option.reason);
    let unit = if option.unit.is_empty() {
        String::new()
    } else {
        format!("unit: {}; ", option.unit)
    };
    let _ = writeln!(text, "# ({unit}default: {})", inline(default));
    let mark = if value == default { "#" } else { "" };
    let _ = writeln!(text, "{mark}{} = {}", option.name, inline(value));
}

fn value_of<'a>(tables: &'a Table, section: &SectionInfo, option: &OptionInfo) -> &'a Value {
    &tables[section.name][option.name]
}

/// A value on one line; tables within become inline tables.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Table(table) => {
            let items: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", inline(value)))
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn comment(text: &mut String, doc: &str) {
    for line in doc.trim().lines().map(str::trim) {
        let _ = writeln!(text, "{}", format!("# {line}").trim_end());
    }
}

fn flowing(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

const HEAD: &str = "\
# The configuration of Rookery. Every option is here; those that begin with `#` have their default, as have those that
# are left out. `rookery check --config FILE` tests a configuration before you use it. The least that a server needs:
#
#     [server]
#     hosts = [\"example.org\"]
#
#     [[tls.certificates]]
#     host = \"example.org\"
#     chain = \"/etc/letsencrypt/live/example.org/fullchain.pem\"
#     key = \"/etc/letsencrypt/live/example.org/privkey.pem\"
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[test]
    fn the_printed_default_parses_back_to_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), to_toml(&Config::default())).unwrap();
        let source = Source {
            file: Some(file.path().to_owned()),
            ..Source::default()
        };
        assert_eq!(source.load().unwrap().config, Config::default());
    }

    #[test]
    fn what_the_operator_chose_stands_out_and_certificates_can_be_added_at_the_end() {
        let set = vec!["server.hosts=[\"a.example\"]".to_owned()];
        let source = Source {
            set,
            ..Source::default()
        };
        let mut text = to_toml(&source.load().unwrap().config);
        assert!(text.contains("\nhosts = [\"a.example\"]\n"), "{text}");
        assert!(text.contains("\n#data_dir = "), "{text}");
        text += "[[tls.certificates]]\nhost = \"a.example\"\nchain = \"c\"\nkey = \"k\"\n";
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let source = Source {
            file: Some(file.path().to_owned()),
            ..Source::default()
        };
        assert_eq!(source.load().unwrap().config.tls.certificates.len(), 1);
    }

    #[test]
    fn every_option_and_section_says_why_it_exists() {
        for section in SECTIONS {
            assert!(section.doc.trim().len() > 20, "[{}]", section.name);
            for option in section.options {
                assert!(
                    option.reason.trim().len() > 20,
                    "{}.{}",
                    section.name,
                    option.name
                );
            }
        }
    }

    #[test]
    fn every_option_has_a_value_that_can_be_printed() {
        let json = to_json(&Config::default());
        for section in SECTIONS {
            for option in section.options {
                let described = &json[section.name][option.name];
                assert_eq!(described["value"], described["default"], "{}", option.name);
            }
        }
    }
}
