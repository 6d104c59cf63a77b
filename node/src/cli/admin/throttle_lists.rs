//! `rookery admin throttle allow`, `block` and `only`: from which networks accounts are never made, always, or only.

use clap::{Subcommand, ValueEnum};
use rookery_proto::admin::throttle_client::ThrottleClient;
use rookery_proto::admin::{
    ChangeNetworksRequest, ListNetworksRequest, ListNetworksResponse, ResetNetworksRequest,
};
use serde_json::json;
use tonic::Status;
use tonic::transport::Channel;

use super::super::terminal::counted;
use super::Shown;

type Client = ThrottleClient<Channel>;

/// One of the lists.
#[derive(Clone, Copy, Debug)]
pub(super) enum List {
    /// Whose registrations no window counts.
    Allow,
    /// From which nobody registers.
    Block,
}

/// What is done to a list.
#[derive(Debug, Subcommand)]
pub(super) enum ListCommand {
    /// Add networks, in the whole cluster, until the lists are reset.
    Add {
        /// Addresses, or networks such as `192.0.2.0/24`.
        #[arg(required = true, value_name = "NETWORK")]
        networks: Vec<String>,
    },
    /// Take networks out.
    Remove {
        /// As `list` writes them.
        #[arg(required = true, value_name = "NETWORK")]
        networks: Vec<String>,
    },
    /// List the networks.
    List,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl ListCommand {
    pub(super) async fn run(self, list: List, client: &mut Client) -> Result<Shown, Status> {
        let mut request = ChangeNetworksRequest::default();
        let (networks, into) = match (self, list) {
            (Self::List, _) => return show(list, client).await,
            (Self::Add { networks }, List::Allow) => (networks, &mut request.allow),
            (Self::Add { networks }, List::Block) => (networks, &mut request.block),
            (Self::Remove { networks }, List::Allow) => (networks, &mut request.disallow),
            (Self::Remove { networks }, List::Block) => (networks, &mut request.unblock),
        };
        *into = networks;
        let done = client.change_networks(request).await?.into_inner();
        let text = format!("{} changed", counted(done.changed, "network"));
        let json = json!({"version": done.version, "changed": done.changed});
        Ok(Shown::done(text, json))
    }
}

async fn show(list: List, client: &mut Client) -> Result<Shown, Status> {
    let lists = client.list_networks(ListNetworksRequest {}).await?;
    let lists = lists.into_inner();
    let (networks, none) = match list {
        List::Allow => (&lists.allow, "no network is allowed past the windows"),
        List::Block => (&lists.block, "no network is blocked"),
    };
    let mut lines = networks.clone();
    if lines.is_empty() {
        lines.push(none.to_owned());
    }
    lines.extend(remark(&lists).map(str::to_owned));
    Ok(Shown {
        text: lines.join("\n"),
        json: json!({
            "networks": networks, "allow_only": lists.allow_only,
            "overridden": lists.overridden, "version": lists.version,
        }),
    })
}

fn remark(lists: &ListNetworksResponse) -> Option<&'static str> {
    let only = "only the allowed networks register";
    lists.allow_only.then_some(only)
}

/// Whether only allowed networks register.
pub(super) async fn only(switch: Switch, client: &mut Client) -> Result<Shown, Status> {
    let allow_only = matches!(switch, Switch::On);
    let request = ChangeNetworksRequest {
        allow_only: Some(allow_only),
        ..ChangeNetworksRequest::default()
    };
    let done = client.change_networks(request).await?.into_inner();
    let text = match allow_only {
        true => "only the allowed networks register",
        false => "whoever is not blocked registers, within the windows",
    };
    let json = json!({"version": done.version, "allow_only": allow_only});
    Ok(Shown::done(text, json))
}

/// Returns to the lists of the configuration.
pub(super) async fn reset(client: &mut Client) -> Result<Shown, Status> {
    let done = client.reset_networks(ResetNetworksRequest {}).await?;
    let version = done.into_inner().version;
    let text = "the lists are those of the configuration";
    Ok(Shown::done(text, json!({"version": version})))
}
