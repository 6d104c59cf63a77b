//! How a node's ways reach other nodes: by the directory, under the cluster's identity.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use rookery_control::NodeId;
use rookery_link::{Dial, DialError, LinkOptions, client_settings};
use tonic::transport::Channel;

use super::book::Book;
use super::credentials::Credentials;
use super::dial::dial_with;
use super::identity::node_name;

/// Reaches other nodes.
pub(super) struct NodeDial {
    /// Where they are, and which were removed.
    pub(super) book: Arc<Book>,
    /// This node's certificate.
    pub(super) credentials: Credentials,
    /// The cluster's name, which their certificates say.
    pub(super) cluster: String,
    /// Times of the links.
    pub(super) options: LinkOptions,
}

impl Dial for NodeDial {
    fn dial(
        &self,
        node: u32,
    ) -> Pin<Box<dyn Future<Output = Result<Channel, DialError>> + Send + '_>> {
        Box::pin(async move {
            let id = NodeId::new(u64::from(node)).ok_or_else(|| DialError("no node".to_owned()))?;
            if self.book.is_removed(id) {
                return Err(DialError("it was removed from the cluster".to_owned()));
            }
            let address = self.book.address(id);
            let address =
                address.ok_or_else(|| DialError("its address is not known".to_owned()))?;
            let name = node_name(&self.cluster, id);
            let tls = Arc::clone(&self.credentials.now().client);
            let settings = |endpoint| client_settings(endpoint, &self.options);
            let channel = dial_with(&address, name, tls, settings).await;
            channel.map_err(|error| DialError(error.to_string()))
        })
    }
}
