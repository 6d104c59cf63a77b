//! The demonstration of what the cluster is for: two people talk with ordinary clients while each of its processes is
//! killed in turn, and nothing that was acknowledged is lost.

mod scene;
mod show;
mod speaker;
mod talk;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde_json::json;

use self::scene::Scene;
use self::speaker::{Part, Speaker};
use super::cluster::Cluster;
use super::stage::{Ground, Stage, Tools};
use crate::suite::{Suite, now, say, wait_for};

/// `cluster-tests demo`.
#[derive(Args)]
pub(crate) struct Demo {
    /// How long the clients talk, in minutes.
    #[arg(long, default_value_t = 4.0)]
    minutes: f32,
    /// A process is killed every so many seconds.
    #[arg(long, default_value_t = 20.0)]
    every: f32,
    /// A Python that has slixmpp.
    #[arg(long, default_value = ".check/venv/bin/python3")]
    python: PathBuf,
    /// A folder whose node_modules have xmpp.js.
    #[arg(long, default_value = ".check/npm")]
    npm: PathBuf,
    /// Write the totals as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep what cluster and clients write below this folder, which must be new.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A folder that keeps the database's files.
    #[arg(long, default_value = ".check/cql")]
    cache: PathBuf,
}

impl Demo {
    /// Plays it; fails if the promise was not kept.
    pub(crate) fn run(&self, suite: &Suite) -> Result<()> {
        super::claim(self.json.as_deref())?;
        let home = tempfile::tempdir()?;
        let folder = std::path::absolute(self.dir.as_deref().unwrap_or_else(|| home.path()))?;
        let tools = Tools {
            rookery: &suite.rookery,
            loadgen: &suite.loadgen,
            cache: &self.cache,
            folder: &folder,
        };
        tools.check()?;
        say("starts a database and eight processes, which takes about a minute");
        let mut stage = Stage::set(&tools, Ground::Loopback, 0)?;
        let scene = Arc::new(Scene::begin());
        let (ends, ended) = sync_channel(NAMES.len());
        let mut speakers = self.speakers(&stage.cluster, &folder, &scene, &ends)?;
        wait_for("both clients are online", ONLINE_MAX, || {
            scene.state().talk.is_online().then_some(())
        })?;
        self.play(&mut stage, &mut speakers, &scene, &ended)?;
        drop(speakers);
        self.judge(&scene, &stage.cluster.in_turn())
    }

    fn speakers(
        &self,
        cluster: &Cluster,
        folder: &Path,
        scene: &Arc<Scene>,
        ends: &SyncSender<usize>,
    ) -> Result<[Speaker; 2]> {
        for account in ACCOUNTS {
            let words = ["users", "create", account, "--password", PASSWORD];
            cluster.nodes[0].admin(&cluster.settings, &words)?;
        }
        let part = |who: usize| {
            let mut addresses = cluster.targets();
            addresses.rotate_left(who);
            Part {
                account: ACCOUNTS[who],
                peer: ACCOUNTS[1 - who],
                password: PASSWORD,
                authorities: cluster.authorities(),
                addresses,
            }
        };
        let start = |who: usize, command| {
            let log = folder.join(format!("{}.log", NAMES[who]));
            Speaker::start(command, who, &log, scene, ends.clone())
        };
        Ok([
            start(0, part(0).slixmpp(&self.python))?,
            start(1, part(1).xmpp_js(&self.npm, folder)?)?,
        ])
    }

    /// Lets them talk, with the tally beside it, and kills. The nodes are started again by this thread, for what a
    /// thread starts here ends with it.
    fn play(
        &self,
        stage: &mut Stage<'_>,
        speakers: &mut [Speaker; 2],
        scene: &Arc<Scene>,
        ended: &Receiver<usize>,
    ) -> Result<()> {
        let (shown, hidden) = sync_channel(1);
        let showing = {
            let scene = scene.clone();
            std::thread::spawn(move || show::show(&scene, &hidden))
        };
        let played = self.talk_and_kill(stage, speakers, scene, ended);
        drop(shown);
        // It has nothing to say but what it has shown.
        let _ = showing.join();
        played
    }

    fn talk_and_kill(
        &self,
        stage: &mut Stage<'_>,
        speakers: &mut [Speaker; 2],
        scene: &Scene,
        ended: &Receiver<usize>,
    ) -> Result<()> {
        for speaker in speakers.iter_mut() {
            speaker.tell("go")?;
        }
        self.kill(stage, scene, ended)?;
        for speaker in speakers.iter_mut() {
            speaker.tell("stop")?;
        }
        scene.trouble("waits for the rest");
        // What has not come by then is lost, as the table will say.
        let _ = wait_for("quiet", QUIET_MAX, || scene.is_quiet().then_some(()));
        Ok(())
    }

    /// Kills each node in turn, and starts it again, until the time is over.
    fn kill(&self, stage: &mut Stage<'_>, scene: &Scene, ended: &Receiver<usize>) -> Result<()> {
        let began = now();
        let every = Duration::from_secs_f32(self.every);
        let end = began + Duration::from_secs_f32(self.minutes * 60.0);
        let mut due = began + every / 2;
        for name in stage.cluster.in_turn().into_iter().cycle() {
            if due >= end {
                break;
            }
            pass(ended, due)?;
            stage.process(&name)?.kill()?;
            scene.killed(&name);
            pass(ended, now() + DOWN.min(every / 2))?;
            scene.trouble(&format!("{name} starts"));
            stage.start_again(&name)?;
            scene.trouble("");
            // A cluster that takes its time to be whole is given a moment of it.
            due = (due + every).max(now() + WHOLE);
        }
        pass(ended, end)
    }

    fn judge(&self, scene: &Scene, names: &[String]) -> Result<()> {
        let state = scene.state();
        say(&show::table(&state.talk));
        let totals = [0, 1].map(|at| state.talk.directions[at].totals(true));
        if let Some(file) = &self.json {
            let clients = NAMES.iter().zip(&state.talk.clients).map(|(name, client)| {
                let new = client.bound.saturating_sub(1);
                json!({"name": name, "resumptions": client.resumed, "new_sessions": new})
            });
            let result = json!({
                "minutes": self.minutes,
                "every_s": self.every,
                "killed": state.killed,
                "not_killed": show::spared(&state.killed, names),
                "directions": totals,
                "clients": clients.collect::<Vec<_>>(),
            });
            std::fs::write(file, serde_json::to_string_pretty(&result)? + "\n")?;
        }
        let clean = totals.iter().all(|it| it.is_clean());
        // Where nothing is acknowledged nothing can be lost.
        ensure!(
            totals.iter().all(|it| it.acknowledged > 0),
            "nothing was acknowledged"
        );
        ensure!(
            clean,
            "what was acknowledged did not arrive just once and in order"
        );
        say(&show::killed(&state.killed, names));
        say("nothing lost");
        Ok(())
    }
}

/// Lets time pass; fails if a client ends meanwhile.
fn pass(ended: &Receiver<usize>, until: Instant) -> Result<()> {
    match ended.recv_timeout(until.saturating_duration_since(now())) {
        Err(RecvTimeoutError::Timeout) => Ok(()),
        Ok(who) => bail!("{} has ended: see its log with --dir", NAMES[who]),
        Err(RecvTimeoutError::Disconnected) => bail!("the clients have ended"),
    }
}

/// The clients.
const NAMES: [&str; 2] = ["slixmpp", "xmpp.js"];
const ACCOUNTS: [&str; 2] = ["romeo@localhost", "juliet@localhost"];
/// Of accounts in a database that is thrown away.
const PASSWORD: &str = "balcony-4-ever";
const ONLINE_MAX: Duration = Duration::from_secs(30);
/// How long a node is down.
const DOWN: Duration = Duration::from_secs(4);
/// How long a cluster is whole before the next one is killed, at least.
const WHOLE: Duration = Duration::from_secs(2);
/// What is still under way when the clients stop sending has this time to arrive.
const QUIET_MAX: Duration = Duration::from_secs(60);
