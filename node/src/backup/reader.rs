//! Reads a backup from its folder.

use std::path::{Path, PathBuf};

use rookery_proto::backup::Record;

use super::chunk::ChunkReader;
use super::manifest::{Begin, End, Manifest};
use super::{Amount, BackupError};

/// A finished backup.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    manifest: Manifest,
    end: End,
    /// The chunk that is read, and those before it.
    chunk: Option<ChunkReader>,
    passed: usize,
}

impl Reader {
    /// Opens the backup in `dir` and reads its manifest. Refuses one that is not finished or of a newer format.
    pub fn open(dir: &Path) -> Result<Self, BackupError> {
        let Some(manifest) = Manifest::read(dir)? else {
            return Err(BackupError::None(dir.to_owned()));
        };
        let Some(end) = manifest.end.clone() else {
            return Err(BackupError::Unfinished(dir.to_owned()));
        };
        Ok(Self {
            dir: dir.to_owned(),
            manifest,
            end,
            chunk: None,
            passed: 0,
        })
    }

    /// How it was begun.
    pub fn begin(&self) -> &Begin {
        &self.manifest.begin
    }

    /// How it was finished.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// Reads all of it and compares every checksum. Reading begins anew behind it.
    pub fn check(&mut self) -> Result<Amount, BackupError> {
        let mut amount = Amount::default();
        self.rewind();
        while self.next()?.is_some() {
            amount.records += 1;
        }
        self.rewind();
        for line in &self.manifest.chunks {
            amount.owners += line.owners;
            amount.bytes += line.length;
        }
        if (amount.owners, amount.records) != (self.end.owners, self.end.records) {
            let what = "there are more or fewer records than its last line says";
            return Err(BackupError::damaged(&self.dir, what));
        }
        Ok(amount)
    }

    /// Begins again.
    pub fn rewind(&mut self) {
        self.chunk = None;
        self.passed = 0;
    }

    /// The next record. What it gave is good only when it has given `None`, or was [checked](Self::check) before.
    #[expect(clippy::should_implement_trait, reason = "it fails")]
    pub fn next(&mut self) -> Result<Option<Record>, BackupError> {
        loop {
            if let Some(chunk) = &mut self.chunk
                && let Some(record) = chunk.next()?
            {
                return Ok(Some(record));
            }
            let Some(line) = self.manifest.chunks.get(self.passed) else {
                self.chunk = None;
                return Ok(None);
            };
            self.chunk = Some(ChunkReader::open(&self.dir, line)?);
            self.passed += 1;
        }
    }
}
