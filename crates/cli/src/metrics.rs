//! `GET /metrics`: what Prometheus scrapes of a node, by the page server that hosts use too.

use anyhow::Result;
use cryptlet_host::{Page, Server};
use cryptlet_node::NodeHandle;
use std::net::SocketAddr;

/// A running endpoint. It ends when this is dropped.
pub(crate) struct MetricsServer(Server);

impl MetricsServer {
    /// Starts to serve the node's metrics.
    pub(crate) async fn start(node: NodeHandle, listen: SocketAddr) -> Result<Self> {
        Ok(Self(Page::metrics(move || node.metrics()).serve(listen).await?))
    }

    /// Where Prometheus finds them.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/metrics", self.0.address())
    }
}
