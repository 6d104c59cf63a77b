//! The journal of the shim (`shim.c`): what a process changed below a folder, in order, and what of that it synced.

use anyhow::{Context, Result, bail};

/// One change, or one promise. Files and folders go by the numbers that the file system gave them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// There is a new and empty file.
    MadeFile {
        /// Where.
        path: String,
        /// Its number, which may have been another one's before.
        node: u64,
    },
    /// There is a new folder.
    MadeFolder {
        /// Where.
        path: String,
        /// Its number.
        node: u64,
    },
    /// Bytes were written.
    Written {
        /// The file.
        node: u64,
        /// Where in it.
        at: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A file got another length.
    Sized {
        /// The file.
        node: u64,
        /// Its length.
        bytes: u64,
    },
    /// What the file or folder was after so many records of this journal is durable.
    Synced {
        /// Which.
        node: u64,
        /// How many records.
        upto: u64,
    },
    /// A name is gone.
    Removed {
        /// Which.
        path: String,
    },
    /// A name was given in place of another.
    Renamed {
        /// The former.
        from: String,
        /// The new one, which may have been another one's.
        to: String,
    },
}

/// Reads a journal. Its last record may be cut off: its process was killed, and nothing follows from that record.
pub(crate) fn read(mut journal: &[u8]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    while let Some(head) = Head::take(&mut journal) {
        let (Some(path), Some(data)) = (
            take(&mut journal, head.path_bytes),
            take(&mut journal, head.data_bytes),
        ) else {
            break;
        };
        let path = String::from_utf8(path.to_vec()).context("a path in the journal")?;
        records.push(head.record(path, data)?);
    }
    Ok(records)
}

/// As in the shim.
struct Head {
    kind: u64,
    path_bytes: u64,
    node: u64,
    number: u64,
    data_bytes: u64,
}

impl Head {
    fn take(journal: &mut &[u8]) -> Option<Self> {
        let mut bytes = take(journal, 32)?;
        let mut next = |count| {
            let mut number = [0; 8];
            number[..count as usize].copy_from_slice(take(&mut bytes, count)?);
            Some(u64::from_le_bytes(number))
        };
        Some(Self {
            kind: next(4)?,
            path_bytes: next(4)?,
            node: next(8)?,
            number: next(8)?,
            data_bytes: next(8)?,
        })
    }

    fn record(&self, path: String, data: &[u8]) -> Result<Record> {
        let (node, number) = (self.node, self.number);
        Ok(match self.kind {
            1 => Record::MadeFile { path, node },
            2 => Record::MadeFolder { path, node },
            3 => Record::Written {
                node,
                at: number,
                data: data.to_vec(),
            },
            4 => Record::Sized {
                node,
                bytes: number,
            },
            5 => Record::Synced { node, upto: number },
            6 => Record::Removed { path },
            7 => Record::Renamed {
                from: path,
                to: String::from_utf8(data.to_vec()).context("a path in the journal")?,
            },
            other => bail!("the journal has a record of kind {other}"),
        })
    }
}

fn take<'a>(from: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(usize::try_from(count).ok()?)?;
    *from = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u32, path: &str, node: u64, number: u64, data: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        all.extend(kind.to_le_bytes());
        all.extend((path.len() as u32).to_le_bytes());
        for part in [node, number, data.len() as u64] {
            all.extend(part.to_le_bytes());
        }
        all.extend(path.as_bytes());
        all.extend(data);
        all
    }

    #[test]
    fn a_journal_is_read_up_to_a_record_that_is_cut_off() {
        let mut journal = bytes(1, "/a", 7, 0, b"");
        journal.extend(bytes(3, "", 7, 5, b"data"));
        journal.extend(bytes(7, "/a", 7, 0, b"/b"));
        let expected = vec![
            Record::MadeFile {
                path: "/a".to_owned(),
                node: 7,
            },
            Record::Written {
                node: 7,
                at: 5,
                data: b"data".to_vec(),
            },
            Record::Renamed {
                from: "/a".to_owned(),
                to: "/b".to_owned(),
            },
        ];
        assert_eq!(read(&journal).unwrap(), expected);
        let last = bytes(5, "", 7, 3, b"longer than it is");
        for cut in 0..last.len() {
            let mut torn = journal.clone();
            torn.extend(&last[..cut]);
            assert_eq!(read(&torn).unwrap(), expected);
        }
    }

    #[test]
    fn a_record_of_an_unknown_kind_is_refused() {
        assert!(read(&bytes(9, "", 1, 1, b"")).is_err());
    }
}
