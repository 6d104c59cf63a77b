//! Where records come from: a folder, a store, a server. All in pieces.

use rookery_control::ClusterSecret;
use rookery_proto::admin::ExportResponse;
use rookery_proto::backup::Record;
use tokio::sync::mpsc::Receiver;
use tonic::Streaming;

use super::{BackupError, Control, Reader};

/// Some records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Whether a page of owners ends behind them, and where the next one begins, if there is one.
    pub page: Option<Option<String>>,
}

/// A stream of pieces.
#[derive(Debug)]
pub enum Source {
    /// A backup.
    Folder(Box<Reader>),
    /// A store that is [exported](super::export) in this process.
    Store {
        /// What the walk finds.
        pieces: Receiver<Result<Piece, BackupError>>,
        /// The secret that belongs to it, if that is known.
        secret: Option<ClusterSecret>,
    },
    /// A server.
    Server {
        /// What it streams.
        stream: Box<Streaming<ExportResponse>>,
        /// What it last said of the control group.
        control: Option<Control>,
        /// The secret of its cluster, once it has said it.
        secret: Option<ClusterSecret>,
    },
}

impl Source {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Piece>, BackupError> {
        match self {
            Self::Folder(reader) => next_of(reader),
            Self::Store { pieces, .. } => pieces.recv().await.transpose(),
            Self::Server {
                stream,
                control,
                secret,
            } => {
                let Some(response) = stream.message().await? else {
                    return Ok(None);
                };
                if let Some(moment) = response.control {
                    *control = Some(moment.try_into()?);
                }
                if let Ok(bytes) = <[u8; 32]>::try_from(&response.decoy_secret[..]) {
                    *secret = Some(ClusterSecret::new(bytes));
                }
                let page = response
                    .page
                    .map(|page| Some(page.next).filter(|next| !next.is_empty()));
                Ok(Some(Piece {
                    records: response.records,
                    page,
                }))
            }
        }
    }

    /// What was last said of the control group; none where there is none to ask.
    pub fn control(&self) -> Option<&Control> {
        match self {
            Self::Folder(reader) => reader.end().control.as_ref(),
            Self::Store { .. } => None,
            Self::Server { control, .. } => control.as_ref(),
        }
    }

    /// The secret from which names without an account get their salts, if it is known: of a server once the first piece
    /// has come.
    pub fn secret(&self) -> Option<ClusterSecret> {
        match self {
            Self::Folder(reader) => reader.begin().decoy_secret,
            Self::Store { secret, .. } | Self::Server { secret, .. } => *secret,
        }
    }
}

fn next_of(reader: &mut Reader) -> Result<Option<Piece>, BackupError> {
    let mut records = Vec::new();
    while records.len() < RECORDS {
        match reader.next()? {
            Some(record) => records.push(record),
            None => break,
        }
    }
    let piece = Piece {
        records,
        page: None,
    };
    Ok((!piece.records.is_empty()).then_some(piece))
}

impl TryFrom<rookery_proto::admin::ControlMoment> for Control {
    type Error = BackupError;

    fn try_from(moment: rookery_proto::admin::ControlMoment) -> Result<Self, BackupError> {
        let registration = serde_json::from_str(&moment.registration);
        Ok(Self {
            applied: moment.applied,
            policy_version: moment.policy_version,
            registration_overridden: moment.registration_overridden,
            registration: registration.map_err(|error| BackupError::Record(error.to_string()))?,
        })
    }
}

/// Records of a folder in one piece.
const RECORDS: usize = 64;
