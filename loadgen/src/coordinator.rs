//! The process that the user started: spawns the workers, starts them together, watches the
//! server's processes, and merges the results. It carries no load itself, so one worker or many
//! run the same way.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Process};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::measure::Outcome;
use crate::measure::process::Sample;
use crate::options::{Cli, Common};
use crate::worker::{Report, Share};

/// The environment variable that makes a process a worker.
pub(crate) const WORKER_VARIABLE: &str = "ROOKERY_LOADGEN_WORKER";

/// A finished run.
pub(crate) struct Measured {
    /// All workers' results as one.
    pub(crate) outcome: Outcome,
    /// The server before the first session of this run.
    pub(crate) idle: Sample,
    /// When measuring began.
    pub(crate) begin: Sample,
    /// When measuring ended.
    pub(crate) end: Sample,
}

/// Runs the workers to their end.
pub(crate) fn run(cli: &Cli) -> anyhow::Result<Measured> {
    let common = cli.command.common();
    let watched = common.watched()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let coordinated = Coordinator::start(common, watched)?.run();
        let Ok(result) = timeout(common.limit(), coordinated).await else {
            bail!(
                "the run took longer than --limit {} s",
                common.limit().as_secs()
            );
        };
        result
    })
}

struct Coordinator {
    workers: Vec<Handle>,
    reports: mpsc::Receiver<(usize, Report)>,
    pids: Vec<u32>,
    bar: ProgressBar,
    idle: Sample,
    begin: Option<Sample>,
    end: Option<Sample>,
    outcome: Outcome,
    mark: Option<PathBuf>,
    waiting_ready: usize,
    waiting_begin: usize,
    waiting_end: usize,
    waiting_done: usize,
}

/// A worker. It is killed when dropped.
struct Handle {
    child: Child,
    /// Its end tells the worker to exit.
    input: ChildStdin,
    progress: u64,
}

impl Coordinator {
    fn start(common: &Common, pids: Vec<u32>) -> anyhow::Result<Self> {
        let count = common.processes;
        // `--seed` decides what is sent, not the mark: two runs must not take each other's messages.
        let run = fresh_mark()?;
        let (sender, reports) = mpsc::channel(REPORTS_MAX);
        let idle = Sample::take(&pids, &[]);
        let mut workers = Vec::new();
        for index in 0..count {
            let (handle, output) = spawn(Share {
                index,
                of: count,
                run,
            })?;
            tokio::spawn(forward(index as usize, output, sender.clone()));
            workers.push(handle);
        }
        let all = workers.len();
        Ok(Self {
            workers,
            reports,
            pids,
            bar: bar(),
            idle,
            begin: None,
            end: None,
            outcome: Outcome::default(),
            mark: common.mark.clone(),
            waiting_ready: all,
            waiting_begin: all,
            waiting_end: all,
            waiting_done: all,
        })
    }

    async fn run(mut self) -> anyhow::Result<Measured> {
        self.bar.set_message("connecting");
        while self.waiting_done > 0 {
            let (index, report) = self.reports.recv().await.context("all workers ended")?;
            self.take(index, report).await?;
        }
        self.bar.finish_and_clear();
        for worker in &mut self.workers {
            // It has said its last word; closing its input ends it.
            let _ = worker.input.shutdown().await;
            let _ = timeout(EXIT_WAIT, worker.child.wait()).await;
        }
        Ok(Measured {
            outcome: self.outcome,
            idle: self.idle,
            begin: self.begin.context("no worker began to measure")?,
            end: self.end.context("no worker measured to its end")?,
        })
    }

    async fn take(&mut self, index: usize, report: Report) -> anyhow::Result<()> {
        match report {
            Report::Progress(done) => {
                self.workers[index].progress = done;
                self.bar
                    .set_position(self.workers.iter().map(|w| w.progress).sum());
            }
            Report::Ready => {
                self.waiting_ready -= 1;
                if self.waiting_ready == 0 {
                    self.bar.set_message("warming up");
                    for worker in &mut self.workers {
                        worker
                            .input
                            .write_all(b"start\n")
                            .await
                            .context("a worker is gone")?;
                    }
                }
            }
            Report::Begin => {
                self.waiting_begin -= 1;
                if self.waiting_begin == 0 {
                    self.begin = Some(self.sample());
                    if let Some(mark) = &self.mark {
                        std::fs::write(mark, b"").with_context(|| mark.display().to_string())?;
                    }
                    self.bar.reset_eta();
                    self.bar.set_message("measuring");
                }
            }
            Report::End => {
                self.waiting_end -= 1;
                if self.waiting_end == 0 {
                    self.end = Some(self.sample());
                    self.bar.set_message("waiting for stragglers");
                }
            }
            Report::Done(outcome) => {
                self.waiting_done -= 1;
                self.outcome.merge(*outcome);
            }
            Report::Failed(reason) => bail!("{reason}"),
        }
        Ok(())
    }

    fn sample(&self) -> Sample {
        let own: Vec<u32> = self.workers.iter().filter_map(|w| w.child.id()).collect();
        Sample::take(&self.pids, &own)
    }
}

fn spawn(share: Share) -> anyhow::Result<(Handle, ChildStdout)> {
    let program = std::env::current_exe().context("the path of this program")?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut child = Process::new(program)
        .args(arguments)
        .env(WORKER_VARIABLE, serde_json::to_string(&share)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start a worker process")?;
    let input = child.stdin.take().context("the worker has no input")?;
    let output = child.stdout.take().context("the worker has no output")?;
    Ok((
        Handle {
            child,
            input,
            progress: 0,
        },
        output,
    ))
}

/// Passes a worker's lines on; a worker that ends without its last word has failed.
async fn forward(index: usize, output: ChildStdout, sender: mpsc::Sender<(usize, Report)>) {
    let mut lines = BufReader::new(output).lines();
    let mut last_word = false;
    while let Ok(Some(line)) = lines.next_line().await {
        let report = serde_json::from_str(&line)
            .unwrap_or_else(|error| Report::Failed(format!("a worker said {line:?}: {error}")));
        last_word = matches!(report, Report::Done(_) | Report::Failed(_));
        if sender.send((index, report)).await.is_err() {
            return;
        }
    }
    if !last_word {
        let report = Report::Failed(format!("worker {index} ended without a result"));
        // Nobody listens when another worker failed first.
        let _ = sender.send((index, report)).await;
    }
}

/// A bar on a terminal; nothing elsewhere (indicatif hides itself).
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}: {human_pos} ({per_sec})");
    let bar = ProgressBar::new_spinner();
    bar.set_style(style.expect("a valid template"));
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn fresh_mark() -> anyhow::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).context("no entropy")?;
    Ok(u32::from_ne_bytes(bytes))
}

const REPORTS_MAX: usize = 1024;
const EXIT_WAIT: Duration = Duration::from_secs(2);
