//! Names that want to pass for the operator's: what a stranger may try against the rules of the default configuration.

use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::jid::prepare_local;

use super::*;
use crate::options::NameOptions;

#[test]
fn no_spelling_that_reads_as_a_reserved_name_gets_through() {
    let mut list = NameRules::default();
    let rules = NameOptions::default().rules(Timestamp(1)).unwrap();
    list.configure(&rules);
    for wanted in [
        "admin",
        "ADMIN",
        "аdmin",
        "аdmіn",
        "ɑdmin",
        "adrnin",
        "ａｄｍｉｎ",
        "suррort",
        "ѕupport",
        "rооt",
        "r00t",
        "root",
        "xmрр",
        "securіty",
        "postrnaster",
        "operatоr",
    ] {
        // What cannot be prepared is no name at all, and refused before any rule is asked.
        let Ok(name) = prepare_local(wanted) else {
            continue;
        };
        let held = list.withholding(&NameForms::of(&name)).is_some();
        assert!(held, "{wanted}");
    }
    for free in [
        "olga",
        "administer",
        "rooted",
        "my-admin",
        "newsroom",
        "администратор",
    ] {
        assert!(list.withholding(&NameForms::of(free)).is_none(), "{free}");
    }
}
