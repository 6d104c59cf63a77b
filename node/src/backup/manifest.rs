//! The manifest: a line of JSON for the beginning, one a chunk, one for the end.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rookery_control::ClusterSecret;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;

/// The version of the format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// What the control group held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The last entry that was applied.
    pub applied: u64,
    /// The version of the policy.
    pub policy_version: u64,
    /// Whether an administrator's registration policy was in force, and not the configuration's.
    pub registration_overridden: bool,
    /// The registration policy in force, in the form of the configuration.
    pub registration: serde_json::Value,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// Always `rookery-backup`.
    pub format: String,
    /// The version of the format.
    pub version: u32,
    /// A name of its own.
    pub id: String,
    /// When it was begun, in milliseconds since 1970 (UTC).
    pub begun_ms: u64,
    /// The control group at the beginning; absent in a copy of a store at rest.
    pub control: Option<Control>,
    /// The secret from which names without an account get their salts; absent in backups of earlier builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoy_secret: Option<ClusterSecret>,
}

/// The line of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChunkLine {
    /// Its number, from 1.
    pub(super) chunk: u32,
    /// The length of its file.
    pub(super) length: u64,
    pub(super) owners: u64,
    pub(super) records: u64,
    pub(super) sha256: String,
    /// Where the walk over the owners goes on behind it; none at its end.
    pub(super) next: Option<String>,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When it was finished, in milliseconds since 1970 (UTC).
    pub finished_ms: u64,
    /// The control group at the end.
    pub control: Option<Control>,
    /// Owners in all chunks.
    pub owners: u64,
    /// Records in all chunks.
    pub records: u64,
    /// Of all lines before, and of this one without it.
    sha256: String,
}

impl End {
    /// What its checksum must be, where `lines` are hashed before it.
    fn hash(&self, lines: Sha256) -> String {
        let without = Self {
            sha256: String::new(),
            ..self.clone()
        };
        let text = serde_json::to_string(&without).expect("a struct of plain values");
        hex(&lines.chain_update(text).finalize())
    }
}

/// A manifest as far as it was written.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) begin: Begin,
    pub(super) chunks: Vec<ChunkLine>,
    pub(super) end: Option<End>,
    /// Bytes of the lines that are whole.
    length: u64,
}

impl Manifest {
    /// Reads what is in `dir`. None if there is no manifest with a whole first line.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, BackupError> {
        let path = path(dir);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(BackupError::File { path, cause }),
        };
        // A line that a crash cut short was never relied on.
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let mut lines = text[..whole]
            .split_inclusive(|byte| *byte == b'\n')
            .peekable();
        let Some(first) = lines.next() else {
            return Ok(None);
        };
        let begin = first_line(dir, &path, first)?;
        let mut manifest = Self {
            begin,
            chunks: Vec::new(),
            end: None,
            length: whole as u64,
        };
        let mut read = first.len();
        for line in lines {
            manifest.take(&path, line, &text[..read])?;
            read += line.len();
        }
        Ok(Some(manifest))
    }

    fn take(&mut self, path: &Path, line: &[u8], before: &[u8]) -> Result<(), BackupError> {
        if self.end.is_some() {
            return Err(BackupError::damaged(path, "a line behind the last"));
        }
        let number = self.chunks.len() + 1;
        if let Ok(chunk) = serde_json::from_slice::<ChunkLine>(line) {
            if usize::try_from(chunk.chunk) != Ok(number) {
                let what = format!("chunk {} where {number} belongs", chunk.chunk);
                return Err(BackupError::damaged(path, what));
            }
            self.chunks.push(chunk);
            return Ok(());
        }
        let end: End = parse(path, line)?;
        if end.sha256 != end.hash(Sha256::new_with_prefix(before)) {
            let what = "its checksum does not fit: a line was changed";
            return Err(BackupError::damaged(path, what));
        }
        self.end = Some(end);
        Ok(())
    }
}

/// The manifest while it is written.
#[derive(Debug)]
pub(super) struct ManifestFile {
    path: PathBuf,
    file: File,
    hash: Sha256,
}

impl ManifestFile {
    /// Begins one.
    pub(super) fn create(dir: &Path, begin: &Begin) -> Result<Self, BackupError> {
        let path = path(dir);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&path).map_err(BackupError::file(&path))?;
        let hash = Sha256::new();
        let mut it = Self { path, file, hash };
        it.append(begin)?;
        sync_folder(dir)?;
        Ok(it)
    }

    /// Goes on with one, behind its whole lines.
    pub(super) fn resume(dir: &Path, manifest: &Manifest) -> Result<Self, BackupError> {
        let path = path(dir);
        let text = std::fs::read(&path).map_err(BackupError::file(&path))?;
        let whole = text.get(..usize::try_from(manifest.length).unwrap_or(usize::MAX));
        let hash = Sha256::new_with_prefix(whole.unwrap_or(&text));
        let mut options = OpenOptions::new();
        let opened = options.append(true).open(&path);
        let file = opened.map_err(BackupError::file(&path))?;
        file.set_len(manifest.length)
            .map_err(BackupError::file(&path))?;
        Ok(Self { path, file, hash })
    }

    /// Adds a line. Durable when it returns.
    pub(super) fn append(&mut self, line: &impl Serialize) -> Result<(), BackupError> {
        let text = serde_json::to_string(line);
        let mut text = text.map_err(|error| BackupError::Record(error.to_string()))?;
        text.push('\n');
        self.hash.update(&text);
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        written.map_err(BackupError::file(&self.path))
    }

    /// Adds the last line.
    pub(super) fn finish(
        mut self,
        finished_ms: u64,
        control: Option<Control>,
        amount: super::Amount,
    ) -> Result<End, BackupError> {
        let mut end = End {
            finished_ms,
            control,
            owners: amount.owners,
            records: amount.records,
            sha256: String::new(),
        };
        end.sha256 = end.hash(self.hash.clone());
        self.append(&end)?;
        Ok(end)
    }
}

fn first_line(dir: &Path, path: &Path, line: &[u8]) -> Result<Begin, BackupError> {
    // A newer format may have another first line: only these two are always there.
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u32,
    }
    let head: Head = parse(path, line)?;
    if head.format != FORMAT {
        return Err(BackupError::damaged(path, "it is no backup's"));
    }
    if head.version > FORMAT_VERSION {
        return Err(BackupError::NewerFormat {
            path: dir.to_owned(),
            found: head.version,
            known: FORMAT_VERSION,
        });
    }
    parse(path, line)
}

fn parse<T: DeserializeOwned>(path: &Path, line: &[u8]) -> Result<T, BackupError> {
    serde_json::from_slice(line).map_err(|error| BackupError::damaged(path, error.to_string()))
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(dir: &Path) -> Result<(), BackupError> {
    let synced = File::open(dir).and_then(|folder| folder.sync_all());
    synced.map_err(BackupError::file(dir))
}

/// Bytes as people compare them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path(dir: &Path) -> PathBuf {
    dir.join("manifest.jsonl")
}

/// What the first line says of itself.
pub(super) const FORMAT: &str = "rookery-backup";
