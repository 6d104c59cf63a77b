//! `rookery admin shards`.

use clap::Subcommand;
use rookery_proto::admin::shards_client::ShardsClient;
use rookery_proto::admin::{ListShardsRequest, MoveShardRequest, Shard, ShowShardRequest};
use serde_json::{Value, json};
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::table;
use super::Shown;

/// Who serves which accounts.
#[derive(Debug, Subcommand)]
pub(super) enum ShardsCommand {
    /// List the shards and the nodes that serve them.
    List {
        /// Only those of this node.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        node: u64,
    },
    /// Show which shard an address belongs to, and which node serves it.
    Owner {
        /// An address, such as juliet@example.net.
        jid: String,
    },
    /// Move a shard to a router, until the routers change. Nobody is disconnected.
    Move {
        /// Its number.
        number: u32,
        /// The id of the router.
        to: u64,
    },
}

impl ShardsCommand {
    pub(super) async fn run(self, channel: Channel) -> Result<Shown, Status> {
        let mut client = ShardsClient::new(channel);
        match self {
            Self::List { node } => {
                let listed = client.list_shards(ListShardsRequest { node }).await?;
                let listed = listed.into_inner();
                let json = json!({
                    "version": listed.version,
                    "shards": listed.shards.iter().map(value).collect::<Vec<_>>(),
                });
                let text = shown(&listed.shards);
                Ok(Shown { text, json }.or_stale(&listed.stale))
            }
            Self::Owner { jid } => {
                let found = client.show_shard(ShowShardRequest { jid }).await?;
                let found = found.into_inner();
                let shard = found.shard.unwrap_or_default();
                let (text, json) = (shown(std::slice::from_ref(&shard)), value(&shard));
                Ok(Shown { text, json }.or_stale(&found.stale))
            }
            Self::Move { number, to } => {
                client.move_shard(MoveShardRequest { number, to }).await?;
                let text = format!("shard {number} moves to node {to}");
                Ok(Shown::done(text, json!({"shard": number, "to": to})))
            }
        }
    }
}

fn shown(shards: &[Shard]) -> String {
    if shards.is_empty() {
        return "no shards".to_owned();
    }
    let node = |id: u64| match id {
        0 => "-".to_owned(),
        id => id.to_string(),
    };
    let row = |shard: &Shard| {
        vec![
            shard.number.to_string(),
            node(shard.owner),
            shard.epoch.to_string(),
            node(shard.moving_to),
        ]
    };
    let rows: Vec<_> = shards.iter().map(row).collect();
    table(&["SHARD", "OWNER", "EPOCH", "MOVES TO"], &rows)
}

fn value(shard: &Shard) -> Value {
    json!({
        "shard": shard.number,
        "owner": shard.owner,
        "epoch": shard.epoch,
        "moving_to": shard.moving_to,
    })
}
