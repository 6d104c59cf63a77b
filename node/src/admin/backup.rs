//! The service `Backup`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rookery_control::ClusterSecret;
use rookery_proto::admin::backup_server::Backup;
use rookery_proto::admin::{ControlMoment, ExportRequest, ExportResponse, Page};
use rookery_store::{Store, StoreError};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::status::keeps_accounts;
use crate::backup::{BackupError, Piece, export};
use crate::operator::Operator;

/// Streams copies of the store.
pub(super) struct BackupService {
    operator: Operator,
    store: Arc<dyn Store>,
    /// Where a store that can be frozen puts its copy.
    copy: PathBuf,
    /// One at a time: each takes a share of the disk's and the store's time.
    turn: Arc<Semaphore>,
}

/// The store as it is exported, and what it leaves on the disk.
struct Frozen {
    store: Option<Arc<dyn Store>>,
    copy: PathBuf,
    _turn: OwnedSemaphorePermit,
}

type Pieces = Sender<Result<ExportResponse, Status>>;

impl BackupService {
    /// Removes what a crash may have left of a copy.
    pub(super) fn new(operator: Operator, store: Arc<dyn Store>, copy: PathBuf) -> Self {
        remove(&copy);
        Self {
            operator,
            store,
            copy,
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

#[tonic::async_trait]
impl Backup for BackupService {
    type ExportStream = ReceiverStream<Result<ExportResponse, Status>>;

    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        keeps_accounts(&self.operator)?;
        let turn = Arc::clone(&self.turn).try_acquire_owned();
        let turn = turn.map_err(|_| Status::aborted("another copy of the store is under way"))?;
        let from = Some(request.into_inner().from).filter(|from| !from.is_empty());
        let (pieces, stream) = channel(PIECES);
        let (operator, store) = (self.operator.clone(), Arc::clone(&self.store));
        let copy = self.copy.clone();
        tokio::spawn(async move {
            let frozen = match freeze(store, copy, turn).await {
                Ok(frozen) => frozen,
                Err(error) => {
                    // Whoever asked may have gone.
                    let _gone = pieces.send(Err(status(error.into()))).await;
                    return;
                }
            };
            tracing::info!(?from, "backup begun");
            let outcome = serve(&operator, &frozen, from, &pieces).await;
            tracing::info!(?outcome, "backup ended");
            frozen.thaw().await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// How an export ended.
#[derive(Debug)]
enum Outcome {
    Whole,
    CallerGone,
    Failed,
}

async fn freeze(
    store: Arc<dyn Store>,
    copy: PathBuf,
    turn: OwnedSemaphorePermit,
) -> Result<Frozen, StoreError> {
    remove(&copy);
    let frozen = store.freeze(&copy).await.inspect_err(|_| remove(&copy))?;
    Ok(Frozen {
        store: Some(frozen.map_or(store, Arc::from)),
        copy,
        _turn: turn,
    })
}

async fn serve(
    operator: &Operator,
    frozen: &Frozen,
    from: Option<String>,
    pieces: &Pieces,
) -> Outcome {
    let Some(store) = frozen.store.clone() else {
        return Outcome::Failed;
    };
    let begun = ExportResponse {
        control: moment(operator).await,
        decoy_secret: secret(operator).await.bytes().to_vec().into(),
        ..ExportResponse::default()
    };
    if pieces.send(Ok(begun)).await.is_err() {
        return Outcome::CallerGone;
    }
    let (walked, mut walk) = channel(PIECES);
    let (outcome, ()) = tokio::join!(
        forward(operator, &mut walk, pieces),
        export(store, from, walked)
    );
    outcome
}

/// Hands on what the walk finds. Ends the walk when the caller has gone.
async fn forward(
    operator: &Operator,
    walk: &mut Receiver<Result<Piece, BackupError>>,
    pieces: &Pieces,
) -> Outcome {
    while let Some(piece) = walk.recv().await {
        let (response, outcome) = match piece {
            Ok(piece) => {
                let is_last = piece.page == Some(None);
                let control = if is_last {
                    moment(operator).await
                } else {
                    None
                };
                (
                    Ok(response(piece, control)),
                    is_last.then_some(Outcome::Whole),
                )
            }
            Err(error) => (Err(status(error)), Some(Outcome::Failed)),
        };
        if pieces.send(response).await.is_err() {
            walk.close();
            return Outcome::CallerGone;
        }
        if let Some(outcome) = outcome {
            return outcome;
        }
    }
    Outcome::Failed
}

fn response(piece: Piece, control: Option<ControlMoment>) -> ExportResponse {
    let page = piece.page.map(|next| Page {
        next: next.unwrap_or_default(),
    });
    ExportResponse {
        records: piece.records,
        page,
        control,
        ..ExportResponse::default()
    }
}

impl Frozen {
    /// Removes the copy.
    async fn thaw(mut self) {
        let store = self.store.take();
        let copy = self.copy.clone();
        let removed = tokio::task::spawn_blocking(move || {
            drop(store);
            remove(&copy);
        });
        if removed.await.is_err() {
            tracing::error!("the copy of the store could not be closed");
        }
    }
}

/// What the control group holds. A group that does not answer is no reason to have no backup.
async fn moment(operator: &Operator) -> Option<ControlMoment> {
    let control = operator.control();
    let policy = control.read_policy().await;
    let status = control.status().await;
    let (Ok(policy), Ok(status)) = (policy, status) else {
        tracing::warn!("the control group does not answer: the backup does not tell its version");
        return None;
    };
    let registration = serde_json::to_string(&*policy.registration);
    Some(ControlMoment {
        applied: status.applied,
        policy_version: policy.version,
        registration_overridden: policy.registration_overridden,
        registration: registration.unwrap_or_else(|_| "null".to_owned()),
    })
}

/// The secret of the cluster: what this node uses, where the group does not answer.
async fn secret(operator: &Operator) -> ClusterSecret {
    let used = ClusterSecret::new(operator.decoy_secret());
    operator.control().secret(used).await.unwrap_or(used)
}

fn status(error: BackupError) -> Status {
    match error {
        BackupError::Store(StoreError::Invalid(what)) => Status::invalid_argument(what),
        error => Status::unavailable(error.to_string()),
    }
}

fn remove(copy: &Path) {
    if let Err(error) = std::fs::remove_dir_all(copy)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %copy.display(), "a copy of the store cannot be removed");
    }
}

/// Pieces that wait to be taken: a quarter of a MiB each.
const PIECES: usize = 4;
