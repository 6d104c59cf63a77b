use rookery_xmpp::clock::Timestamp;

use super::*;

fn rule(text: &str) -> NameRule {
    NameRule::new(text, NameKind::Reserved, "why", Timestamp(1)).unwrap()
}

fn rules(texts: &[&str]) -> Vec<NameRule> {
    texts.iter().map(|text| rule(text)).collect()
}

fn by(list: &NameRules, name: &str) -> Option<String> {
    let rule = list.withholding(&NameForms::of(name))?;
    Some(rule.text.clone())
}

fn names(version: u64, changed: u64) -> Outcome {
    Outcome::Names {
        version,
        changed,
        under_way: Vec::new(),
    }
}

#[test]
fn the_rules_of_file_and_operator_hold_together_and_the_operator_has_the_last_word() {
    let mut list = NameRules::default();
    assert_eq!(list.configure(&rules(&["admin", "~support"])), names(1, 2));
    assert_eq!(
        list.configure(&rules(&["admin", "~support"])),
        names(1, 2),
        "nothing is new"
    );
    assert_eq!(list.reserve(&rules(&["*-bot"])), names(2, 1));
    assert_eq!(by(&list, "аdmin").as_deref(), Some("admin"));
    assert_eq!(by(&list, "my-support").as_deref(), Some("~support"));
    assert_eq!(by(&list, "my-bot").as_deref(), Some("*-bot"));
    assert_eq!(by(&list, "olga"), None);
    let released = ["admin", "*-bot", "nobody"].map(str::to_owned);
    assert_eq!(list.release(&released), names(3, 2));
    assert_eq!((by(&list, "admin"), by(&list, "my-bot")), (None, None));
    assert_eq!(
        list.configure(&rules(&["admin", "~support", "root"])),
        names(4, 3)
    );
    assert_eq!(by(&list, "admin"), None, "it stays released");
    assert_eq!(list.reserve(&rules(&["admin"])), names(5, 1));
    assert_eq!(by(&list, "admin").as_deref(), Some("admin"));
    assert_eq!(list.configure(&[]), names(6, 0));
    let left: Vec<_> = list
        .iter()
        .map(|(rule, added)| (rule.text.as_str(), added))
        .collect();
    assert_eq!(left, [("admin", true)]);
}

#[test]
fn a_list_is_the_same_behind_its_bytes() {
    let mut list = NameRules::default();
    list.configure(&rules(&["admin", "~support", "a*z"]));
    list.release(&["admin".to_owned()]);
    assert_eq!(NameRules::decode(&list.encode()).unwrap(), list);
}

#[test]
fn a_reservation_is_told_before_a_protection() {
    let mut list = NameRules::default();
    let protected = NameRule::new("r0okery", NameKind::Protected, "", Timestamp(1)).unwrap();
    list.reserve(&[protected, rule("rookery")]);
    assert_eq!(by(&list, "rookery").as_deref(), Some("rookery"));
}

#[test]
fn rules_and_patterns_are_bounded_and_all_or_none_are_made() {
    let mut list = NameRules::default();
    let many: Vec<_> = (0..=NameRules::PATTERNS_MAX)
        .map(|it| rule(&format!("a{it}*")))
        .collect();
    assert_eq!(list.reserve(&many), Outcome::NamesFull);
    assert_eq!(list.iter().count(), 0);
    assert_ne!(list.reserve(&many[1..]), Outcome::NamesFull);
    let most = NameRules::RULES_MAX;
    let many: Vec<_> = (0..most).map(|it| rule(&format!("a{it}"))).collect();
    assert_eq!(list.reserve(&many), Outcome::NamesFull);
}

#[test]
fn a_reason_that_is_too_long_is_cut() {
    let mut list = NameRules::default();
    let mut long = rule("admin");
    long.reason = "ü".repeat(500);
    list.reserve(&[long]);
    let (kept, _) = list.iter().next().unwrap();
    assert_eq!(kept.reason.len(), NameRule::REASON_BYTES_MAX);
}

#[test]
fn a_sign_makes_no_other_name_of_one_that_is_reserved_or_protected() {
    let mut list = NameRules::default();
    list.reserve(&rules(&["root", "abuse-team", "~support", "*-bot"]));
    let protected = NameRule::new("rookery", NameKind::Protected, "ours", Timestamp(1)).unwrap();
    list.reserve(&[protected]);
    let hidden = |name: &str| list.hidden_in(name).map(|rule| rule.text.as_str());
    for name in ["root.", "r-oot", "_ro.ot_", "r00t-"] {
        assert_eq!(hidden(name), Some("root"), "{name}");
    }
    assert_eq!(hidden("rook.ery"), Some("rookery"));
    for name in [
        "root",
        "rookery",
        "roots.",
        "anna.b",
        "abuse-team",
        "sup.port",
        "--",
    ] {
        assert_eq!(hidden(name), None, "{name}");
    }
}
