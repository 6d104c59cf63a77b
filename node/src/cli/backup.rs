//! `rookery backup`, `rookery restore`, `rookery verify`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rookery_control::ClusterSecret;
use rookery_proto::admin::ExportRequest;
use rookery_proto::admin::backup_client::BackupClient;
use rookery_store::{Backend, Store};
use serde_json::json;
use tokio::sync::mpsc::channel;
use tokio::time::Instant;

use super::admin::Target;
use super::terminal::counted;
use super::{Failure, block_on, complain, say};
use crate::backup::restore::restored_secret;
use crate::backup::{
    Amount, BackupError, Contents, Control, Difference, Reader, Source, Writer, compare, export,
    restore,
};
use crate::config::{self, Config};
use crate::operation::Folder;
use crate::roles::{kept_secret, open_store};

/// Copy everything that a server's store holds into a folder, while it serves. A copy that was
/// interrupted goes on when the command is given again.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// The folder for the backup: empty, or with an unfinished one.
    dir: PathBuf,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    at_rest: AtRestArgs,
    /// How fast to read at most; 0 for as fast as it goes.
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    mib_per_second_max: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Put a backup into an empty store, which no server uses.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The folder with the backup.
    dir: PathBuf,
    #[command(flatten)]
    at_rest: AtRestArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Check a backup; with something to compare it with, say what is not the same. Exits with 1 for
/// differences.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// The folder with the backup.
    dir: PathBuf,
    /// Another backup to compare it with.
    #[arg(conflicts_with_all = ["config", "set", "server"])]
    other: Option<PathBuf>,
    /// Compare it with what a running server holds.
    #[arg(long, conflicts_with_all = ["config", "set"])]
    server: bool,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    at_rest: AtRestArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A store that no server uses.
#[derive(Args, Debug)]
struct AtRestArgs {
    /// Use the store of this configuration, while no server does.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override an option of it, as in `--set server.data_dir=/srv/rookery`. May be given many
    /// times, also without a file.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

/// The opened store, the secret that belongs to it, and the lock of its folder.
struct AtRest {
    store: Arc<dyn Store>,
    secret: Option<ClusterSecret>,
    _folder: Option<Folder>,
}

impl BackupArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(self.copy())?
    }

    async fn copy(self) -> Result<(), Failure> {
        let mut writer = Writer::open(&self.dir).map_err(failure)?;
        if writer.goes_on() {
            let done = told(writer.amount());
            complain(&format!(
                "goes on with an unfinished backup: {done} are there"
            ));
        }
        let from = writer.next().map(str::to_owned);
        let at_rest = self.at_rest.open_to_read().await?;
        let control = match writer.is_walked() {
            true => None,
            false => {
                let mut source = open(&self.target, at_rest.as_ref(), from).await?;
                fill(&mut writer, &mut source, self.mib_per_second_max).await?;
                source.control().cloned()
            }
        };
        let amount = writer.amount();
        let end = writer.finish(control).map_err(failure)?;
        let text = format!("{}: {}", self.dir.display(), told(amount));
        show(
            self.json,
            &text,
            amount,
            json!({"finished_ms": end.finished_ms}),
        );
        Ok(())
    }
}

/// Writes all that a source has.
async fn fill(writer: &mut Writer, source: &mut Source, rate: u32) -> Result<(), Failure> {
    let (begun, before) = (Instant::now(), writer.amount().bytes);
    let mut progress = Progress::new();
    while let Some(piece) = source.next().await.map_err(failure)? {
        let (control, secret) = (source.control().cloned(), source.secret());
        writer.begin(control, secret).map_err(failure)?;
        for record in &piece.records {
            writer.put(record).map_err(failure)?;
        }
        if let Some(next) = piece.page {
            writer.page(next).map_err(failure)?;
        }
        progress.tell(writer.amount());
        let read = writer.amount().bytes - before;
        if let Some(due_ms) = (read * 1_000 / (1024 * 1024)).checked_div(rate.into()) {
            tokio::time::sleep_until(begun + Duration::from_millis(due_ms)).await;
        }
    }
    match writer.is_walked() {
        true => Ok(()),
        false => Err(Failure::unavailable(
            "the server ended before the copy was whole: the same command goes on",
        )),
    }
}

impl RestoreArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(self.restore())?
    }

    async fn restore(self) -> Result<(), Failure> {
        let mut reader = Reader::open(&self.dir).map_err(failure)?;
        reader.check().map_err(failure)?;
        let at_rest = self.at_rest.open_to_write().await?;
        let mut progress = Progress::new();
        let restored = restore(&mut reader, &at_rest.store, |amount| progress.tell(amount)).await;
        let amount = restored.map_err(failure)?;
        let mut text = format!("restored {}", told(amount));
        let control = reader.end().control.as_ref();
        let command = control.and_then(registration);
        if let Some(command) = &command {
            text.push_str(&format!(
                "\nan administrator had set the registration policy; once the server runs, this sets it again:\n    \
                 {command}"
            ));
        }
        show(self.json, &text, amount, json!({"registration": command}));
        Ok(())
    }
}

/// The command that sets the registration policy as it was, if an administrator had.
fn registration(control: &Control) -> Option<String> {
    let policy = control.registration.as_object()?;
    if !control.registration_overridden {
        return None;
    }
    let mode = match policy.get("mode")?.as_str()? {
        // The state's own word, which nobody types.
        "off" => "unthrottled",
        mode => mode,
    };
    let windows = policy
        .iter()
        .filter(|(name, _)| name.starts_with("per_") || *name == "in_all");
    let windows = windows.filter_map(|(name, window)| {
        let window = window.as_str()?;
        Some(format!(" --window {name}={window}"))
    });
    let windows: String = windows.collect();
    Some(format!(
        "rookery admin registration set --mode {mode}{windows}"
    ))
}

impl VerifyArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(self.verify())?
    }

    async fn verify(self) -> Result<(), Failure> {
        let mut reader = Reader::open(&self.dir).map_err(failure)?;
        let checked = reader.check().map_err(failure)?;
        let at_rest = self.at_rest.open_to_read().await?;
        let mut second = match (&self.other, self.server || at_rest.is_some()) {
            (Some(other), _) => folder(other)?,
            (None, true) => open(&self.target, at_rest.as_ref(), None).await?,
            (None, false) => {
                show(
                    self.json,
                    &format!("whole: {}", told(checked)),
                    checked,
                    json!({}),
                );
                return Ok(());
            }
        };
        let mut first = Source::Folder(Box::new(reader));
        let contents = Contents::of(&mut first).await.map_err(failure)?;
        let mut again = folder(&self.dir)?;
        let compared = compare(contents, &mut again, &mut second).await;
        let (differences, amount) = compared.map_err(failure)?;
        self.report(&differences, amount)
    }

    fn report(&self, differences: &[Difference], amount: Amount) -> Result<(), Failure> {
        let lines = differences.iter().map(|difference| match difference {
            Difference::Secret => {
                "the secret of names without an account is not the same, or is not there: a store without its server \
                 has it only from a restore; `--server` asks a running server"
                    .to_owned()
            }
            Difference::Differs(jid) => format!("{jid} is not the same"),
            Difference::Missing(jid) => format!("{jid} is only in {}", self.dir.display()),
            Difference::Extra(jid) => format!("{jid} is not in {}", self.dir.display()),
        });
        let lines: Vec<String> = lines.collect();
        let text = match lines.is_empty() {
            true => format!("equal: {}", told(amount)),
            false => lines.join("\n"),
        };
        show(self.json, &text, amount, json!({"differences": lines}));
        match lines.len() {
            0 => Ok(()),
            1 => Err(Failure::refused("1 thing differs")),
            count => Err(Failure::refused(format!("{count} things differ"))),
        }
    }
}

fn folder(dir: &Path) -> Result<Source, Failure> {
    let mut reader = Reader::open(dir).map_err(failure)?;
    reader.check().map_err(failure)?;
    Ok(Source::Folder(Box::new(reader)))
}

/// A store at rest, or a running server's.
async fn open(
    target: &Target,
    at_rest: Option<&AtRest>,
    from: Option<String>,
) -> Result<Source, Failure> {
    if let Some(at_rest) = at_rest {
        let (pieces, source) = channel(4);
        tokio::spawn(export(at_rest.store.clone(), from, pieces));
        return Ok(Source::Store {
            pieces: source,
            secret: at_rest.secret,
        });
    }
    let channel = target.connect().await?;
    let mut client = BackupClient::new(channel).max_decoding_message_size(PIECE_BYTES_MAX);
    let from = from.unwrap_or_default();
    let asked = client.export(ExportRequest { from }).await;
    let stream = asked.map_err(|status| super::admin::failure(&status))?;
    Ok(Source::Server {
        stream: Box::new(stream.into_inner()),
        control: None,
        secret: None,
    })
}

impl AtRestArgs {
    /// The store, if one is named. It must be there.
    async fn open_to_read(&self) -> Result<Option<AtRest>, Failure> {
        if self.config.is_none() && self.set.is_empty() {
            return Ok(None);
        }
        let config = self.load()?;
        let file = config.server.data_dir.join("store/store.db");
        if config.store.backend == Backend::Sqlite && !file.exists() {
            let dir = config.server.data_dir.display();
            return Err(Failure::config(format!("there is no store in {dir}")));
        }
        Ok(Some(at_rest(&config).await?))
    }

    /// The store that is named; it may have to be made.
    async fn open_to_write(&self) -> Result<AtRest, Failure> {
        if self.config.is_none() && self.set.is_empty() {
            return Err(Failure::usage(
                "into which store? name its configuration with --config FILE, or its folder with \
                 --set server.data_dir=DIR",
            ));
        }
        at_rest(&self.load()?).await
    }

    fn load(&self) -> Result<Config, Failure> {
        let source = config::Source {
            file: self.config.clone(),
            set: self.set.clone(),
            ..config::Source::default()
        };
        let loaded = source.load();
        Ok(loaded
            .map_err(|problems| Failure::config(problems.to_string()))?
            .config)
    }
}

async fn at_rest(config: &Config) -> Result<AtRest, Failure> {
    let software = |error: &dyn std::fmt::Display| Failure::software(error.to_string());
    // The embedded store is its folder's, and so a running server's.
    let folder = match config.store.backend {
        Backend::Sqlite => Some(Folder::open(&config.server.data_dir)),
        Backend::Scylla => None,
    };
    let folder = folder.transpose().map_err(|error| software(&error))?;
    let store = open_store(config, &config.server.data_dir).await;
    let store = store.map_err(|error| software(&error))?;
    let restored = restored_secret(&*store).await;
    let restored = restored.map_err(|error| software(&error))?;
    Ok(AtRest {
        secret: restored.or_else(|| kept_secret(&config.server.data_dir)),
        store,
        _folder: folder,
    })
}

/// Tells how far it is, now and then.
struct Progress(Instant);

impl Progress {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn tell(&mut self, amount: Amount) {
        if self.0.elapsed() >= PROGRESS {
            complain(&told(amount));
            self.0 = Instant::now();
        }
    }
}

fn told(amount: Amount) -> String {
    let (owners, records) = (
        counted(amount.owners, "owner"),
        counted(amount.records, "record"),
    );
    let mib = amount.bytes as f64 / (1024.0 * 1024.0);
    format!("{owners}, {records}, {mib:.1} MiB")
}

fn show(as_json: bool, text: &str, amount: Amount, more: serde_json::Value) {
    if !as_json {
        return say(text);
    }
    let mut json = json!({
        "owners": amount.owners,
        "records": amount.records,
        "bytes": amount.bytes,
    });
    if let (Some(all), serde_json::Value::Object(more)) = (json.as_object_mut(), more) {
        all.extend(more);
    }
    say(&format!("{json:#}"));
}

fn failure(error: BackupError) -> Failure {
    match &error {
        BackupError::Server(status) => super::admin::failure(status),
        BackupError::Store(_) | BackupError::File { .. } => Failure::software(error.to_string()),
        _ => Failure::refused(error.to_string()),
    }
}

/// A piece, and the largest record that may be the last in it.
const PIECE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Between two lines about how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overridden_registration_policy_is_told_as_a_command() {
        let mut control = Control {
            registration_overridden: true,
            registration: json!({"mode": "closed", "per_address": "3/1h", "in_all": "off", "reservation_ms": 1}),
            ..Control::default()
        };
        let command = registration(&control).unwrap();
        assert!(
            command.starts_with("rookery admin registration set --mode closed "),
            "{command}"
        );
        for window in [" --window per_address=3/1h", " --window in_all=off"] {
            assert!(command.contains(window), "{command}");
        }
        control.registration_overridden = false;
        assert_eq!(registration(&control), None);
    }
}
