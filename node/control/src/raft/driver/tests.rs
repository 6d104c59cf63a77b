//! One member on a real disk, driven through its handle.

use std::path::Path;

use crate::state::{RegistrationMode, RegistrationPolicy};
use crate::window::WindowSetting;
use crate::{Control, ControlOptions, NodeId, RegistrationRefused, Reserve, WindowKind};
use rookery_xmpp::clock::Timestamp;

fn policy(limit: u32) -> RegistrationPolicy {
    RegistrationPolicy {
        mode: RegistrationMode::On,
        per_address: WindowSetting::fixed(limit, 3_600),
        ..RegistrationPolicy::default()
    }
}

fn start(dir: &Path, limit: u32) -> Control {
    Control::start(ControlOptions::default(), dir, NodeId::FIRST, policy(limit)).unwrap()
}

fn reserve() -> Reserve {
    Reserve {
        host: "localhost".into(),
        address: "192.0.2.1".parse().unwrap(),
        name: "olga".into(),
        now: Timestamp::now(),
    }
}

#[tokio::test]
async fn what_was_committed_counts_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let control = start(dir.path(), 2);
    assert_eq!(control.policy().registration.mode, RegistrationMode::On);
    for _ in 0..2 {
        let reservation = control.reserve_registration(reserve()).await.unwrap();
        control.commit_registration(reservation).await.unwrap();
    }
    control.stop().await;
    let control = start(dir.path(), 2);
    let refused = control.reserve_registration(reserve()).await.unwrap_err();
    let RegistrationRefused::Throttled {
        window,
        retry_after_ms,
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(window, WindowKind::Address);
    assert!(
        (3_500_000..=3_600_000).contains(&retry_after_ms),
        "{retry_after_ms}"
    );
}
