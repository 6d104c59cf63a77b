//! kill -9 at a random moment: every commit that was acknowledged counts after the restart.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of a test; a child's report"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use rookery_control::{
    Control, ControlOptions, NodeId, RegistrationMode, RegistrationPolicy, Reserve, WindowSetting,
};
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, Seeded};

/// Tells the child where its database is.
const DIR: &str = "ROOKERY_CRASH_TEST_DIR";
/// Registrations under way at once in the child.
const WORKERS: usize = 8;
const ROUNDS: u64 = 8;

fn start(dir: &Path) -> Control {
    let options = ControlOptions {
        // Short, so that compactions are hit as well.
        snapshot_after_entries: 100,
        log_kept_entries: 10,
        ..ControlOptions::default()
    };
    let policy = RegistrationPolicy {
        mode: RegistrationMode::On,
        in_all: WindowSetting::fixed(50_000, 86_400),
        reservation_ms: 3_600_000,
        ..RegistrationPolicy::default()
    };
    Control::start(options, dir, NodeId::FIRST, policy).unwrap()
}

/// Registers until it is killed, one line of output an acknowledged commit. Run by the test below only.
#[test]
#[ignore = "the child process of acknowledged_commits_survive_kill_9"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let control = start(Path::new(&dir));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| tokio::spawn(register_for_ever(control.clone())))
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    });
}

async fn register_for_ever(control: Control) {
    loop {
        let reserve = Reserve {
            host: "localhost".into(),
            address: "192.0.2.1".parse().unwrap(),
            name: "olga".into(),
            now: Timestamp::now(),
        };
        let reservation = control.reserve_registration(reserve).await.unwrap();
        control.commit_registration(reservation).await.unwrap();
        println!("\ncommitted");
    }
}

/// Lines of the child before it is killed.
fn run_and_kill(dir: &Path, after: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        acknowledged += u64::from(line == "committed");
        if acknowledged == after {
            // SIGKILL; what it has said meanwhile is read to the end.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        acknowledged >= after,
        "the child ended by itself after {acknowledged}"
    );
    acknowledged
}

#[test]
fn acknowledged_commits_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Seeded::new(9);
    let mut acknowledged = 0;
    for round in 1..=ROUNDS {
        acknowledged += run_and_kill(dir.path(), 1 + random.below(300));
        let control = start(dir.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let remembered = runtime.block_on(async {
            let status = control.status().await.unwrap();
            control.stop().await;
            status.registrations_remembered as u64
        });
        let unacknowledged_max = round * WORKERS as u64;
        assert!(
            (acknowledged..=acknowledged + unacknowledged_max).contains(&remembered),
            "{acknowledged} acknowledged, {remembered} remembered after round {round}"
        );
    }
}
