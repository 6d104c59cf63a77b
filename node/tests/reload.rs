//! A server with a configuration file reads it again: by SIGHUP and by the admin API, all or nothing.

mod program;

use std::fs;
use std::time::Duration;

use program::server::Server;

#[test]
fn a_changed_file_takes_effect_and_a_wrong_one_changes_nothing() {
    let nest = tempfile::tempdir().unwrap();
    let file = nest.path().join("rookery.toml");
    let write = |mode: &str, more: &str| {
        let contact = "[contact]\nabuse = [\"mailto:abuse@example.org\"]\n";
        let text = format!(
            "[log]\nfilter = \"error\"\n[registration]\nmode = \"{mode}\"\n{contact}{more}"
        );
        fs::write(&file, text).unwrap();
    };
    write("closed", "");
    let server = Server::serve(&file);
    let mode = || server.admin(&["registration", "show"]).expect_success();
    assert!(mode().contains("closed"));

    write(
        "on",
        "[router]\nshards = 7\nresources_max = 3\n[quota]\naccount_rate = 9\n",
    );
    let told = server.admin(&["server", "reload"]).expect_success();
    assert!(
        told.contains("registration.mode") && told.contains("router.resources_max"),
        "{told}"
    );
    assert!(told.contains("needs a restart: router.shards"), "{told}");
    assert!(mode().contains("on: open"));
    let budgets = server.admin(&["quota", "show"]).expect_success();
    assert!(budgets.contains("account  9b/s"), "{budgets}");

    write("onn", "");
    let told = server.admin(&["server", "reload"]).expect_failure(1);
    assert!(
        told.contains("nothing was changed") && told.contains("rookery.toml:4"),
        "{told}"
    );
    assert!(mode().contains("on: open"));

    write("unthrottled", "");
    server.signal(rustix::process::Signal::HUP);
    for _ in 0..200 {
        if mode().contains("unthrottled: open") {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(25));
    }
    panic!("SIGHUP changed nothing: {}", mode());
}
