//! `rookery admin nodes`.

use clap::Subcommand;
use rookery_proto::admin::nodes_client::NodesClient;
use rookery_proto::admin::{
    CreateTokenRequest, CreateTokenResponse, DrainNodeRequest, ListNodesRequest, Node, NodeLife,
    RemoveNodeRequest, UndrainNodeRequest,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::{counted, duration, table};
use super::Shown;

/// The nodes of the cluster.
#[derive(Debug, Subcommand)]
pub(super) enum NodesCommand {
    /// List the nodes.
    List,
    /// Empty a node: its shards move to others, and its clients are sent away in waves.
    Drain {
        /// Its id, as `nodes list` shows it.
        id: u64,
    },
    /// Use a node again that was emptied.
    Undrain {
        /// Its id, as `nodes list` shows it.
        id: u64,
    },
    /// Remove a node for ever: every other node refuses it from then on. One that lives is drained and stopped before.
    Remove {
        /// Its id, as `nodes list` shows it.
        id: u64,
        /// Also if it is alive: its clients are cut off, and its shards wait until its lease has ended.
        #[arg(long)]
        force: bool,
    },
}

impl NodesCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = NodesClient::new(channel);
        match self {
            Self::List => list(client).await,
            Self::Drain { id } => {
                client.drain_node(DrainNodeRequest { id }).await?;
                let text = format!(
                    "node {id} is being emptied: `nodes list` shows its shards, `server status` on it its clients"
                );
                Ok(Shown::done(text, json!({"id": id})))
            }
            Self::Undrain { id } => {
                client.undrain_node(UndrainNodeRequest { id }).await?;
                let text = format!("node {id} is in use again");
                Ok(Shown::done(text, json!({"id": id})))
            }
            Self::Remove { id, force } => {
                let removed = client.remove_node(RemoveNodeRequest { id, force }).await?;
                let (shards, alive) = (removed.get_ref().shards, removed.get_ref().alive);
                let mut text = format!("node {id} is removed; stop its process");
                if alive && shards > 0 {
                    text.push_str(&format!(
                        "\nWARNING: it was alive and owned {}: their accounts wait until its lease has ended; \
                         `nodes drain {id}` before would have spared them that",
                        counted(u64::from(shards), "shard")
                    ));
                }
                let json = json!({"id": id, "shards": shards, "alive": alive});
                Ok(Shown::done(text, json))
            }
        }
    }
}

/// Makes a token for `rookery cluster join`.
pub(in crate::cli) async fn create_token(
    channel: Channel,
    roles: Vec<String>,
    seconds: u64,
) -> Result<CreateTokenResponse, Status> {
    let request = CreateTokenRequest { roles, seconds };
    Ok(NodesClient::new(channel)
        .create_token(request)
        .await?
        .into_inner())
}

/// How a node stands, for people.
fn state(node: &Node) -> String {
    let mut text = match node.life() {
        _ if !node.enlisted => "never started".to_owned(),
        NodeLife::Unspecified => "not known".to_owned(),
        NodeLife::Alive => "alive".to_owned(),
        NodeLife::LeaseEnded => format!("lease ended {} ago", duration(node.life_ms)),
        NodeLife::Stopped => format!("stopped {} ago", duration(node.life_ms)),
        NodeLife::NeverSeen => "no lease yet".to_owned(),
    };
    if node.draining {
        text.push_str(", draining");
    }
    text
}

/// The same for programs.
fn life(node: &Node) -> &'static str {
    match node.life() {
        NodeLife::Unspecified => "unknown",
        NodeLife::Alive => "alive",
        NodeLife::LeaseEnded => "lease_ended",
        NodeLife::Stopped => "stopped",
        NodeLife::NeverSeen => "never_seen",
    }
}

async fn list(mut client: NodesClient<Channel>) -> Result<Shown, Status> {
    let listed = client.list_nodes(ListNodesRequest {}).await?.into_inner();
    let rows: Vec<_> = listed
        .nodes
        .iter()
        .map(|node| {
            let roles = node.roles.join(", ");
            vec![
                node.id.to_string(),
                node.address.clone(),
                roles,
                node.shards.to_string(),
                state(node),
            ]
        })
        .collect();
    let mut text = match rows.is_empty() {
        true => "no nodes: this server is alone".to_owned(),
        false => table(
            &["ID", "CLUSTER ADDRESS", "ROLES", "SHARDS", "STATE"],
            &rows,
        ),
    };
    if !listed.removed.is_empty() {
        let removed: Vec<_> = listed.removed.iter().map(u64::to_string).collect();
        text.push_str(&format!("\nremoved: {}", removed.join(", ")));
    }
    let nodes: Vec<_> = listed
        .nodes
        .iter()
        .map(|node| {
            json!({
                "id": node.id,
                "address": node.address,
                "roles": node.roles,
                "enlisted": node.enlisted,
                "draining": node.draining,
                "shards": node.shards,
                "life": life(node),
                "life_ms": node.life_ms,
            })
        })
        .collect();
    let json = json!({"nodes": nodes, "removed": listed.removed, "version": listed.version});
    Ok(Shown { text, json }.or_stale(&listed.stale))
}
