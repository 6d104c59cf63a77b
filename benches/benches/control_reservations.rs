//! How many registrations a second can one control member reserve and commit, both fsynced before they are answered,
//! and how long does it take to start?
//!
//! Two shared cores, ext4 on a virtual disk, unoptimised build (2026-11): 1,300 a second one after another (0.39 ms a
//! commit), 9,900 with 16 at once, 15,200 with 256 at once, because all that waits shares one write. A new group
//! leads 3 to 6 ms after its start; one that remembers 2,600 registrations after 67 ms and one that remembers 30,000,
//! the most that a throttle can hold being 50,000, after 435 ms, most of it unoptimised JSON.
#![expect(clippy::print_stdout, reason = "a bench prints its answer")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use rookery_control::{
    Control, ControlOptions, NodeId, RegistrationMode, RegistrationPolicy, Reserve, WindowSetting,
};
use rookery_xmpp::clock::Timestamp;
use tokio::time::Instant;

/// Registrations under way at once.
const WORKERS: [u32; 3] = [1, 16, 256];
const MEASURED: Duration = Duration::from_secs(2);

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    for workers in WORKERS {
        let dir = std::env::temp_dir().join(format!("rookery-bench-{}", std::process::id()));
        let begun = Instant::now();
        let control = start(&dir)?;
        let first_start = begun.elapsed();
        let (registrations, took) = runtime.block_on(measure(&control, workers))?;
        runtime.block_on(control.stop());
        let begun = Instant::now();
        let control = start(&dir)?;
        let restart = begun.elapsed();
        runtime.block_on(control.stop());
        std::fs::remove_dir_all(&dir)?;
        println!(
            "{workers:>4} at once: {:>7.0} registrations/s ({:>7.0} commits/s), \
             start {first_start:.1?}, restart {restart:.1?}",
            f64::from(registrations) / took.as_secs_f64(),
            2.0 * f64::from(registrations) / took.as_secs_f64(),
        );
    }
    Ok(())
}

fn start(dir: &Path) -> anyhow::Result<Control> {
    let policy = RegistrationPolicy {
        mode: RegistrationMode::On,
        per_address: WindowSetting::fixed(3, 3_600),
        per_host: WindowSetting::fixed(50_000, 1),
        ..RegistrationPolicy::default()
    };
    Ok(Control::start(
        ControlOptions::default(),
        dir,
        NodeId::FIRST,
        policy,
    )?)
}

async fn measure(control: &Control, workers: u32) -> anyhow::Result<(u32, Duration)> {
    let begun = Instant::now();
    let tasks: Vec<_> = (0..workers)
        .map(|worker| tokio::spawn(register(control.clone(), worker << 24, begun + MEASURED)))
        .collect();
    let mut registrations = 0;
    for task in tasks {
        registrations += task.await??;
    }
    Ok((registrations, begun.elapsed()))
}

/// Registers from ever new addresses until the end.
async fn register(control: Control, first_address: u32, end: Instant) -> anyhow::Result<u32> {
    let mut done = 0;
    while Instant::now() < end {
        let reserve = Reserve {
            host: "localhost".to_owned(),
            address: IpAddr::from(Ipv4Addr::from_bits(first_address + done)),
            name: "olga".to_owned(),
            now: Timestamp::now(),
        };
        let reservation = control.reserve_registration(reserve).await?;
        control.commit_registration(reservation).await?;
        done += 1;
    }
    Ok(done)
}
