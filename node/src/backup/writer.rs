//! Writes a backup into a folder, or goes on with one.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rookery_control::ClusterSecret;
use rookery_proto::backup::Record;
use rookery_xmpp::clock::Timestamp;
use rookery_xmpp::entropy::{Entropy, OsEntropy};

use super::chunk::{self, ChunkWriter};
use super::manifest::{Begin, Control, End, FORMAT, FORMAT_VERSION, Manifest, ManifestFile, hex};
use super::{Amount, BackupError};

/// A backup while it is made. What is on disk when this is dropped is gone on with by the next one.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    /// None until the control group's moment is known.
    manifest: Option<ManifestFile>,
    /// Of the chunks that are finished.
    amount: Amount,
    chunks: u32,
    chunk: Option<ChunkWriter>,
    /// Where the walk goes on behind the last page.
    next: Option<String>,
    is_walked: bool,
    /// Whether the folder was not there before.
    is_new: bool,
}

/// A backup of which nothing was written leaves no folder that looks like one.
impl Drop for Writer {
    fn drop(&mut self) {
        if self.is_new && self.manifest.is_none() {
            // Fails, as it should, where there is something in it.
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

impl Writer {
    /// Begins in `dir`, which is made if need be, or goes on with the backup that was interrupted there.
    pub fn open(dir: &Path) -> Result<Self, BackupError> {
        let is_new = !dir.exists();
        let mut make = DirBuilder::new();
        let made = make.recursive(true).mode(0o700).create(dir);
        made.map_err(BackupError::file(dir))?;
        let found = Manifest::read(dir)?;
        if found.as_ref().is_some_and(|found| found.end.is_some()) {
            return Err(BackupError::Finished(dir.to_owned()));
        }
        let mut it = Self {
            dir: dir.to_owned(),
            manifest: None,
            amount: Amount::default(),
            chunks: 0,
            chunk: None,
            next: None,
            is_walked: false,
            is_new,
        };
        match found {
            None => it.check_empty()?,
            Some(found) => it.resume(&found)?,
        }
        Ok(it)
    }

    fn check_empty(&self) -> Result<(), BackupError> {
        let entries = std::fs::read_dir(&self.dir).map_err(BackupError::file(&self.dir))?;
        // A crash may have left the manifest without a line.
        let mut names = entries.flatten().map(|entry| entry.file_name());
        match names.all(|name| name == "manifest.jsonl") {
            true => Ok(()),
            false => Err(BackupError::NotEmpty(self.dir.clone())),
        }
    }

    fn resume(&mut self, found: &Manifest) -> Result<(), BackupError> {
        for line in &found.chunks {
            let path = chunk::path(&self.dir, line.chunk);
            if !path.exists() {
                return Err(BackupError::Missing(path));
            }
            self.amount.add(Amount {
                owners: line.owners,
                records: line.records,
                bytes: line.length,
            });
            self.chunks = line.chunk;
            self.next.clone_from(&line.next);
            self.is_walked = line.next.is_none();
        }
        self.manifest = Some(ManifestFile::resume(&self.dir, found)?);
        Ok(())
    }

    /// Where the walk is to go on; none at its beginning.
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Whether nothing is missing but the end.
    pub fn is_walked(&self) -> bool {
        self.is_walked
    }

    /// Whether an earlier call has begun it.
    pub fn goes_on(&self) -> bool {
        self.manifest.is_some()
    }

    /// How much there is by now.
    pub fn amount(&self) -> Amount {
        let mut amount = self.amount;
        if let Some(chunk) = &self.chunk {
            amount.add(chunk.amount());
        }
        amount
    }

    /// Writes the first line, unless the backup goes on.
    pub fn begin(
        &mut self,
        control: Option<Control>,
        decoy_secret: Option<ClusterSecret>,
    ) -> Result<(), BackupError> {
        if self.manifest.is_some() {
            return Ok(());
        }
        let mut id = [0; 16];
        OsEntropy.fill(&mut id);
        let begin = Begin {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            id: hex(&id),
            begun_ms: Timestamp::now().as_millis(),
            control,
            decoy_secret,
        };
        self.manifest = Some(ManifestFile::create(&self.dir, &begin)?);
        Ok(())
    }

    /// Adds a record.
    pub fn put(&mut self, record: &Record) -> Result<(), BackupError> {
        let chunk = match &mut self.chunk {
            Some(chunk) => chunk,
            none => none.insert(ChunkWriter::create(&self.dir, self.chunks + 1)?),
        };
        chunk.put(record)
    }

    /// A page of owners is whole; the walk goes on at `next`, or is at its end. What is in chunks of full size is
    /// durable when this returns.
    pub fn page(&mut self, next: Option<String>) -> Result<(), BackupError> {
        self.is_walked = next.is_none();
        self.next = next;
        let is_full = |chunk: &ChunkWriter| chunk.length() >= CHUNK_BYTES;
        if self.is_walked || self.chunk.as_ref().is_some_and(is_full) {
            self.close_chunk()?;
        }
        Ok(())
    }

    fn close_chunk(&mut self) -> Result<(), BackupError> {
        let Some(chunk) = self.chunk.take() else {
            return Ok(());
        };
        self.amount.add(chunk.amount());
        let line = chunk.finish(self.next.clone())?;
        self.chunks = line.chunk;
        self.manifest().append(&line)
    }

    /// Writes the last line. Durable when it returns: the whole backup.
    ///
    /// # Panics
    /// If [`is_walked`](Self::is_walked) is not true.
    pub fn finish(mut self, control: Option<Control>) -> Result<End, BackupError> {
        assert!(self.is_walked, "the walk is not at its end");
        self.close_chunk()?;
        let amount = self.amount;
        let manifest = self.manifest.take().expect("it was begun");
        manifest.finish(Timestamp::now().as_millis(), control, amount)
    }

    fn manifest(&mut self) -> &mut ManifestFile {
        self.manifest.as_mut().expect("begin comes first")
    }
}

/// A chunk ends with the page of owners that makes it this long: what is written anew after an interruption, at most,
/// but for an owner that is larger.
pub const CHUNK_BYTES: u64 = 32 * 1024 * 1024;
