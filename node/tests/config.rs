//! `rookery config` and what it says about wrong configurations, on the real program.

mod program;

use program::rookery;

#[test]
fn the_printed_default_configuration_reads_back_to_itself() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rookery.toml");
    let printed = rookery(["config"]).expect_success();
    std::fs::write(&file, &printed).unwrap();
    let again = rookery(["config", "--effective", "--config", file.to_str().unwrap()]);
    assert_eq!(again.expect_success(), printed);
}

#[test]
fn an_override_reads_back_from_the_effective_configuration() {
    let set = [
        "config",
        "--effective",
        "--json",
        "--set",
        "log.filter=debug",
        "--set",
    ];
    let json = rookery(set.into_iter().chain(["server.hosts=[\"a.example\"]"])).expect_success();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["log"]["filter"]["value"], "debug");
    assert_eq!(json["log"]["filter"]["default"], "info");
    assert_eq!(json["server"]["hosts"]["value"][0], "a.example");
}

/// A wrong configuration, the line that is to blame, and words that its message must hold.
type Wrong = (&'static str, usize, &'static [&'static str]);

const WRONG: &[Wrong] = &[
    (
        "[server]\nhsots = []\n",
        2,
        &["no option `hsots`", "did you mean `hosts`?"],
    ),
    (
        "[srever]\n",
        1,
        &["no section `srever`", "did you mean `[server]`?"],
    ),
    (
        "[log]\n\ndata_dir = \"/x\"\n",
        3,
        &["no option `data_dir`", "it belongs under `[server]`"],
    ),
    (
        "data_dir = \"/x\"\n",
        1,
        &["stands outside its section", "under `[server]`"],
    ),
    (
        "server = 3\n",
        1,
        &["`server` is a section", "write `[server]`"],
    ),
    (
        "[server]\nnode = -1\n",
        2,
        &["`server.node`", "a whole number from 0"],
    ),
    (
        "[server]\nnode = \"one\"\n",
        2,
        &["`server.node`", "a whole number from 0"],
    ),
    (
        "[log]\nfilter = 3\n",
        2,
        &["`log.filter`", "a text in quotes"],
    ),
    (
        "[server]\nroles = [\n  \"conection\",\n]\n",
        3,
        &["cannot be `conection`", "did you mean `connection`"],
    ),
    (
        "[registration]\nper_host = \"3/1y\"\n",
        2,
        &["`registration.per_host`", "3/1h"],
    ),
    (
        "[bandwidth]\nclient_rate = \"3kbit\"\n",
        2,
        &[
            "`bandwidth.client_rate`",
            "\"3kbit\"",
            "\"3kb/s\"",
            "\"off\"",
        ],
    ),
    (
        "[bandwidth]\nclient_rate = -1\n",
        2,
        &["`bandwidth.client_rate`", "a rate such as \"3kb/s\""],
    ),
    (
        "[quota]\naccount_burst = \"2\"\n",
        2,
        &["`quota.account_burst`", "\"2s\""],
    ),
    (
        "[server]\nhosts = [\"a.example\"]\n[bandwidth]\nclient_burst = \"20ms\"\n",
        4,
        &[
            "`bandwidth.client_burst` cannot be 20ms",
            "from 100ms to 1h",
        ],
    ),
    (
        "[server]\nhosts = [\"a.example\"]\n[bandwidth]\nexempt = [\"a@b/c\"]\n",
        4,
        &["`bandwidth.exempt`", "bot@example.org"],
    ),
    ("[server]\nhosts = [\"a\"\n[log]\n", 3, &["array"]),
    (
        "[log]\nfilter = \"info\"\nfilter = \"warn\"\n",
        3,
        &["duplicate key", "`filter`"],
    ),
    (
        "[http]\nlisten = [\"localhost:80\"]\n",
        2,
        &["`http.listen`", "socket address", "127.0.0.1:5222"],
    ),
    (
        "[server]\nhosts = [\"a.example\"]\n[session]\nresume_location = \"node1\"\n",
        4,
        &["`session.resume_location`", "node1.example.org:5222"],
    ),
    (
        "[server]\nhosts = [\"a.example\"]\n[web]\nlisten = [\"127.0.0.1:443\"]\n",
        4,
        &["no certificate to show", "web.tls = false"],
    ),
    (
        "[server]\nhosts = [\"a.example\"]\n[web]\nbase_url = \"a.example/x\"\n",
        4,
        &["`web.base_url`", "https://example.org"],
    ),
    (
        "[server]\nhosts = [\"a.example\"]\n[server_info]\nhosts = [\"A.example\", \"b.example\"]\n",
        4,
        &["`b.example` in `server_info.hosts`", "`server.hosts`"],
    ),
];

#[test]
fn every_wrong_configuration_is_refused_with_its_line_the_reason_and_the_nearest_right_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.toml");
    for (text, line, words) in WRONG {
        std::fs::write(&file, text).unwrap();
        let run = rookery(["serve", "--config", file.to_str().unwrap()]);
        let told = run.expect_failure(78);
        let place = format!("{}:{line}: ", file.display());
        assert!(told.starts_with(&place), "{text:?}: {told}");
        words
            .iter()
            .for_each(|word| assert!(told.contains(word), "{text:?}: {word:?} in {told}"));
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("wrong.toml");
    std::fs::write(&file, "[server]\nhsots = []\nnode = -1\n[lgo]\n").unwrap();
    let told = rookery(["serve", "--config", file.to_str().unwrap()]).expect_failure(78);
    let places = [2, 3, 4].map(|line| told.find(&format!("wrong.toml:{line}: ")).unwrap());
    assert!(places.is_sorted(), "{told}");
}

#[test]
fn values_that_contradict_one_another_are_refused_where_they_were_given() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("odd.toml");
    std::fs::write(
        &file,
        "[server]\nhosts = [\"a.example\"]\n[control]\nproposal_retry_ms = 9000\n[admin]\n\
         listen = [\"127.0.0.1:5270\"]\n[log]\nfilter = \"a=b=c\"\n",
    )
    .unwrap();
    let told = rookery(["serve", "--config", file.to_str().unwrap()]).expect_failure(78);
    for words in [
        "odd.toml:4: `control.proposal_retry_ms` (9000) must be below",
        "odd.toml:6: `admin.listen` opens the API to the network and needs `admin.certificate`",
        "odd.toml:8: `log.filter` cannot be understood",
    ] {
        assert!(told.contains(words), "{words:?} in {told}");
    }
}

#[test]
fn overrides_are_held_to_the_same_rules() {
    let told = rookery([
        "config",
        "--effective",
        "--set",
        "server.nod=3",
        "--set",
        "log",
    ]);
    let told = told.expect_failure(78);
    assert!(
        told.contains("--set server.nod: `[server]` has no option `nod`"),
        "{told}"
    );
    assert!(
        told.contains("`log` is not of the form section.key=value"),
        "{told}"
    );
}

#[test]
fn a_host_is_demanded_and_a_missing_file_is_named() {
    let told = rookery(["serve", "--config", "/nonexistent.toml"]).expect_failure(78);
    assert!(told.contains("cannot read /nonexistent.toml"), "{told}");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let told = rookery(["serve", "--config", empty.path().to_str().unwrap()]).expect_failure(78);
    assert!(told.contains("`server.hosts` names no host"), "{told}");
}
