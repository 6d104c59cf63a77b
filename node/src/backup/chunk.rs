//! A chunk: a file of records behind their lengths, with the hash of all of it in the manifest.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use rookery_proto::backup::Record;
use rookery_proto::backup::record::Kind;
use sha2::{Digest, Sha256};

use super::manifest::{ChunkLine, FORMAT_VERSION, hex, sync_folder};
use super::{Amount, BackupError};

/// A chunk while it is written, under another name.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    dir: PathBuf,
    number: u32,
    part: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    length: u64,
    amount: Amount,
    encoded: Vec<u8>,
}

impl ChunkWriter {
    pub(super) fn create(dir: &Path, number: u32) -> Result<Self, BackupError> {
        let mut part = path(dir, number).into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&part).map_err(BackupError::file(&part))?;
        let mut it = Self {
            dir: dir.to_owned(),
            number,
            part,
            file: BufWriter::with_capacity(256 * 1024, file),
            hash: Sha256::new(),
            length: 0,
            amount: Amount::default(),
            encoded: Vec::new(),
        };
        it.write(MAGIC)?;
        it.write(&FORMAT_VERSION.to_be_bytes())?;
        Ok(it)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn amount(&self) -> Amount {
        self.amount
    }

    pub(super) fn put(&mut self, record: &Record) -> Result<(), BackupError> {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        record.encode(&mut encoded).expect("a vector grows");
        let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
        if length > RECORD_BYTES_MAX {
            return Err(BackupError::Record(format!("one of {length} bytes")));
        }
        self.write(&length.to_be_bytes())?;
        self.write(&encoded)?;
        let begins = matches!(record.kind, Some(Kind::Owner(_)));
        self.amount.add(Amount {
            owners: u64::from(begins),
            records: 1,
            bytes: u64::from(length),
        });
        self.encoded = encoded;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
        self.file
            .write_all(bytes)
            .map_err(BackupError::file(&self.part))
    }

    /// Durable when it returns: the chunk under its own name, of which the line tells.
    pub(super) fn finish(mut self, next: Option<String>) -> Result<ChunkLine, BackupError> {
        let synced = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(BackupError::file(&self.part))?;
        let name = path(&self.dir, self.number);
        std::fs::rename(&self.part, &name).map_err(BackupError::file(&name))?;
        sync_folder(&self.dir)?;
        Ok(ChunkLine {
            chunk: self.number,
            length: self.length,
            owners: self.amount.owners,
            records: self.amount.records,
            sha256: hex(&self.hash.finalize()),
            next,
        })
    }
}

/// A chunk while it is read. What it gives is good only when [`next`](Self::next) has given `None`: by then the hash
/// was compared.
#[derive(Debug)]
pub(super) struct ChunkReader {
    path: PathBuf,
    file: BufReader<File>,
    hash: Sha256,
    /// Bytes that are left, by the manifest.
    left: u64,
    expected: String,
}

impl ChunkReader {
    pub(super) fn open(dir: &Path, line: &ChunkLine) -> Result<Self, BackupError> {
        let path = path(dir, line.chunk);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::Missing(path));
            }
            Err(cause) => return Err(BackupError::File { path, cause }),
        };
        let length = file.metadata().map_err(BackupError::file(&path))?.len();
        if length != line.length {
            let what = format!(
                "it has {length} bytes, and had {} when it was written",
                line.length
            );
            return Err(BackupError::damaged(&path, what));
        }
        let mut it = Self {
            path,
            file: BufReader::with_capacity(256 * 1024, file),
            hash: Sha256::new(),
            left: length,
            expected: line.sha256.clone(),
        };
        let mut head = [0; MAGIC.len() + 4];
        it.read(&mut head)?;
        let (magic, version) = head.split_at(MAGIC.len());
        if magic != MAGIC || version != FORMAT_VERSION.to_be_bytes() {
            return Err(BackupError::damaged(
                &it.path,
                "it does not begin like a chunk",
            ));
        }
        Ok(it)
    }

    /// The next record; none at the end of a chunk that is as it was written.
    pub(super) fn next(&mut self) -> Result<Option<Record>, BackupError> {
        if self.left == 0 {
            let found = hex(&self.hash.clone().finalize());
            if found != self.expected {
                return Err(BackupError::damaged(
                    &self.path,
                    "its checksum does not fit",
                ));
            }
            return Ok(None);
        }
        let mut length = [0; 4];
        self.read(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > RECORD_BYTES_MAX || u64::from(length) > self.left {
            return Err(BackupError::damaged(
                &self.path,
                "a record is longer than can be",
            ));
        }
        let mut encoded = vec![0; length as usize];
        self.read(&mut encoded)?;
        let record = Record::decode(Bytes::from(encoded));
        let record = record.map_err(|error| BackupError::damaged(&self.path, error.to_string()))?;
        if record.kind.is_none() {
            return Err(BackupError::damaged(
                &self.path,
                "a record is of no kind that this build knows",
            ));
        }
        Ok(Some(record))
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), BackupError> {
        let wanted = into.len() as u64;
        if wanted > self.left {
            return Err(BackupError::damaged(&self.path, "it ends within a record"));
        }
        self.file
            .read_exact(into)
            .map_err(BackupError::file(&self.path))?;
        self.hash.update(into);
        self.left -= wanted;
        Ok(())
    }
}

/// The file of a chunk.
pub(super) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("chunk-{number:06}"))
}

const MAGIC: &[u8] = b"RKBACKUP";

/// The largest value of a store and what stands around it, with room.
pub(super) const RECORD_BYTES_MAX: u32 = 8 * 1024 * 1024;
