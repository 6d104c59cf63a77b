//! The handle over real drivers and real disks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use super::*;
use crate::raft::{StoreError, Write, eraftpb::Message};
use crate::state::{RegistrationMode, WindowKind};
use crate::window::WindowSetting;

fn policy(limit: u32) -> RegistrationPolicy {
    RegistrationPolicy {
        mode: RegistrationMode::On,
        in_all: WindowSetting::fixed(limit, 3_600),
        ..RegistrationPolicy::default()
    }
}

fn closed() -> RegistrationPolicy {
    RegistrationPolicy::default()
}

fn start(dir: &Path, policy: RegistrationPolicy) -> Control {
    Control::start(ControlOptions::default(), dir, NodeId::FIRST, policy).unwrap()
}

fn reserve() -> Reserve {
    let address = "192.0.2.1".parse().unwrap();
    Reserve {
        host: "localhost".into(),
        address,
        name: "olga".into(),
        now: Timestamp::now(),
    }
}

/// Waits for a condition, for at most ten seconds.
async fn until<T, F: Future<Output = Option<T>>>(mut condition: impl FnMut() -> F) -> T {
    let polled = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), polled)
        .await
        .expect("condition within 10 s")
}

#[tokio::test]
async fn a_new_group_of_one_leads_and_follows_its_configuration_when_start_returns() {
    let dir = tempfile::tempdir().unwrap();
    let control = start(dir.path(), policy(2));
    assert_eq!(*control.policy().registration, policy(2));
    assert_eq!(*control.watch().borrow(), control.policy());
    let status = control.status().await.unwrap();
    assert_eq!(status.leader, Some(NodeId::FIRST));
    assert_eq!(status.members.len(), 1);
    assert_eq!(status.commit, status.applied);
}

#[tokio::test]
async fn what_was_committed_counts_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let control = start(dir.path(), policy(2));
    for _ in 0..2 {
        let reservation = control.reserve_registration(reserve()).await.unwrap();
        control.commit_registration(reservation).await.unwrap();
    }
    control.stop().await;
    assert_eq!(
        control.reserve_registration(reserve()).await,
        Err(Unavailable::Stopped.into())
    );
    let control = start(dir.path(), policy(2));
    let refused = control.reserve_registration(reserve()).await;
    let Err(RegistrationRefused::Throttled {
        window: WindowKind::All,
        retry_after_ms,
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert!(
        (3_500_000..=3_600_000).contains(&retry_after_ms),
        "{retry_after_ms}"
    );
}

#[tokio::test]
async fn of_many_at_once_exactly_as_many_as_the_limit_get_in() {
    let dir = tempfile::tempdir().unwrap();
    let control = start(dir.path(), policy(40));
    let tries: Vec<_> = (0..500)
        .map(|_| {
            let control = control.clone();
            tokio::spawn(async move { control.reserve_registration(reserve()).await })
        })
        .collect();
    let mut granted = Vec::new();
    for attempt in tries {
        granted.extend(attempt.await.unwrap().ok());
    }
    assert_eq!(granted.len(), 40);
    control.release_registration(granted[0]).await.unwrap();
    assert_eq!(
        control.commit_registration(granted[0]).await,
        Err(SettleError::NotReserved),
        "a released reservation cannot be committed"
    );
    control.reserve_registration(reserve()).await.unwrap();
}

#[tokio::test]
async fn an_override_outlives_restarts_and_new_configurations_until_it_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    let control = start(dir.path(), policy(2));
    let mut changes = control.watch();
    let version = control.set_registration(closed()).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(changes.borrow_and_update().version, version);
    assert_eq!(
        control.policy().version,
        version,
        "applied here when it returns"
    );
    control.stop().await;
    let control = start(dir.path(), policy(3));
    assert_eq!(*control.policy().registration, closed());
    assert!(control.policy().registration_overridden);
    assert_eq!(
        control.reserve_registration(reserve()).await,
        Err(RegistrationRefused::Closed)
    );
    control.reset_registration().await.unwrap();
    assert_eq!(
        *control.read_policy().await.unwrap().registration,
        policy(3)
    );
}

#[tokio::test]
async fn the_log_is_cut_and_a_restart_continues_from_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let options = ControlOptions {
        snapshot_after_entries: 50,
        log_kept_entries: 10,
        ..ControlOptions::default()
    };
    let open = || Control::start(options.clone(), dir.path(), NodeId::FIRST, policy(100)).unwrap();
    let control = open();
    for _ in 0..100 {
        let reservation = control.reserve_registration(reserve()).await.unwrap();
        control.commit_registration(reservation).await.unwrap();
    }
    let before = control.status().await.unwrap();
    assert!(before.snapshot_index >= 150, "{before:?}");
    assert!(before.log_entries <= 60, "{before:?}");
    control.stop().await;
    let control = open();
    let after = control.status().await.unwrap();
    assert_eq!(after.registrations_remembered, 100);
    assert!(control.reserve_registration(reserve()).await.is_err());
}

/// SQLite behind a switch that fills the disk.
struct Switched(SqliteLog, Arc<AtomicBool>);

impl LogStore for Switched {
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if self.1.load(Ordering::SeqCst) {
            Err(StoreError::Full)
        } else {
            self.0.write(writes)
        }
    }
}

/// A disk that panics once a switch is on.
struct Panics(SqliteLog, Arc<AtomicBool>);

impl LogStore for Panics {
    fn write(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        assert!(!self.1.load(Ordering::SeqCst), "the disk is on fire");
        self.0.write(writes)
    }
}

#[tokio::test]
async fn a_driver_that_panics_is_told_of_and_one_that_is_stopped_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let (log, recovered) = SqliteLog::open(dir.path(), NodeId::FIRST, &[NodeId::FIRST]).unwrap();
    let store = Box::new(Panics(log, Arc::clone(&broken)));
    let options = ControlOptions::default();
    let control = Control::start_on(store, recovered, options, NodeId::FIRST, policy(9), |_| {
        Box::new(Alone)
    })
    .unwrap();
    broken.store(true, Ordering::SeqCst);
    let refused = control.reserve_registration(reserve()).await;
    assert_eq!(refused, Err(Unavailable::Stopped.into()));
    let told = tokio::time::timeout(Duration::from_secs(10), control.failed());
    assert!(
        told.await.is_ok(),
        "the process would live on without its member"
    );
    control.stop().await;

    let dir = tempfile::tempdir().unwrap();
    let sound = start(dir.path(), policy(1));
    let failure = sound.0.failure.clone().unwrap();
    sound.stop().await;
    // Its thread has ended when the other end is gone.
    until(async || failure.has_changed().is_err().then_some(())).await;
    assert!(!*failure.borrow());
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let (log, recovered) = SqliteLog::open(dir.path(), NodeId::FIRST, &[NodeId::FIRST]).unwrap();
    let store = Box::new(Switched(log, Arc::clone(&full)));
    let options = ControlOptions {
        tick_ms: 5,
        ..ControlOptions::default()
    };
    let control = Control::start_on(store, recovered, options, NodeId::FIRST, policy(9), |_| {
        Box::new(Alone)
    })
    .unwrap();
    let reservation = control.reserve_registration(reserve()).await.unwrap();
    full.store(true, Ordering::SeqCst);
    let refused = control.reserve_registration(reserve()).await;
    assert_eq!(refused, Err(Unavailable::Disk.into()));
    assert_eq!(
        control.commit_registration(reservation).await,
        Err(SettleError::Unavailable(Unavailable::Disk))
    );
    assert!(control.status().await.unwrap().write_error.is_some());
    assert_eq!(
        *control.policy().registration,
        policy(9),
        "what is known stays known"
    );
    full.store(false, Ordering::SeqCst);
    until(|| async { control.commit_registration(reservation).await.ok() }).await;
    assert_eq!(control.status().await.unwrap().write_error, None);
    control.reserve_registration(reserve()).await.unwrap();
}

/// The mailboxes of a group in one process.
type Switchboard = Arc<[OnceLock<Mailbox>; 3]>;

/// Hands messages to the others' mailboxes, unless the line is down.
struct Local(Switchboard, u64, Arc<Mutex<BTreeMap<u64, bool>>>);

impl Transport for Local {
    fn send(&mut self, messages: Vec<Message>) {
        let down = self.2.lock().unwrap().clone();
        for message in messages {
            let to = message.to;
            if down.contains_key(&to) || down.contains_key(&self.1) {
                continue;
            }
            if let Some(mailbox) = self.0[to as usize - 1].get() {
                mailbox.deliver(message);
            }
        }
    }
}

struct Three {
    members: Vec<Control>,
    down: Arc<Mutex<BTreeMap<u64, bool>>>,
    _dirs: Vec<tempfile::TempDir>,
}

fn three(limit: u32, proposal_timeout_ms: u64) -> Three {
    let voters: Vec<_> = (1..=3).filter_map(NodeId::new).collect();
    let switchboard = Switchboard::default();
    let down = Arc::default();
    let options = ControlOptions {
        tick_ms: 20,
        proposal_timeout_ms,
        proposal_retry_ms: 100,
        ..ControlOptions::default()
    };
    let (mut members, mut dirs) = (Vec::new(), Vec::new());
    for node in &voters {
        let dir = tempfile::tempdir().unwrap();
        let id = node.get();
        let local = Local(Arc::clone(&switchboard), id, Arc::clone(&down));
        let transport = |mailbox| -> Box<dyn Transport> {
            local.0[id as usize - 1].set(mailbox).unwrap();
            Box::new(local)
        };
        let (options, policy) = (options.clone(), policy(limit));
        let control = Control::start_member(options, dir.path(), *node, &voters, policy, transport);
        members.push(control.unwrap());
        dirs.push(dir);
    }
    Three {
        members,
        down,
        _dirs: dirs,
    }
}

async fn leader(members: &[Control]) -> usize {
    until(|| async {
        for (place, control) in members.iter().enumerate() {
            let status = control.status().await.unwrap();
            if status.leader == status.node && *control.policy() != Policy::default() {
                return Some(place);
            }
        }
        None
    })
    .await
}

#[tokio::test]
async fn any_of_three_members_answers_and_the_limit_holds_for_all_together() {
    let group = three(7, 9_000);
    leader(&group.members).await;
    let mut granted = 0;
    for turn in 0..12 {
        let control = &group.members[turn % 3];
        match control.reserve_registration(reserve()).await {
            Ok(reservation) => {
                control.commit_registration(reservation).await.unwrap();
                granted += 1;
            }
            Err(refused) => assert!(
                matches!(refused, RegistrationRefused::Throttled { .. }),
                "{refused:?}"
            ),
        }
    }
    assert_eq!(granted, 7);
    let version = group.members[0].set_registration(closed()).await.unwrap();
    let read = group.members[1].read_policy().await.unwrap();
    assert!(
        read.version >= version,
        "a read on another member sees what was set"
    );
    for control in &group.members {
        control.stop().await;
    }
}

#[tokio::test]
async fn a_leader_cut_off_is_replaced_and_itself_lets_nobody_through() {
    let group = three(7, 1_000);
    let old = leader(&group.members).await;
    group.down.lock().unwrap().insert(old as u64 + 1, true);
    let refused = group.members[old].reserve_registration(reserve()).await;
    assert_eq!(refused, Err(Unavailable::NoQuorum.into()));
    let others: Vec<_> = (0..3)
        .filter(|place| *place != old)
        .map(|place| group.members[place].clone())
        .collect();
    leader(&others).await;
    until(|| async { others[0].reserve_registration(reserve()).await.ok() }).await;
    group.down.lock().unwrap().clear();
    until(|| async { group.members[old].read_policy().await.ok() }).await;
    for control in &group.members {
        control.stop().await;
    }
}
