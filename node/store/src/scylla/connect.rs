//! Connects to the database.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::response::query_result::QueryResult;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlValue, Row};
use tokio::time::{Instant, sleep};

use super::error::unavailable;
use super::options::ScyllaOptions;
use super::stamps::Stamps;
use crate::codec::corrupt;
use crate::error::StoreError;

/// Connects, again and again while nobody answers, within the configured time.
pub(super) async fn connect(
    options: &ScyllaOptions,
    stamps: &Arc<Stamps>,
) -> Result<Session, StoreError> {
    let builder = builder(options, stamps)?;
    let deadline = Instant::now() + options.connect_within();
    loop {
        match builder.build().await {
            Ok(session) => return Ok(session),
            Err(error) if Instant::now() + PAUSE > deadline => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "database does not answer, trying again"),
        }
        sleep(PAUSE).await;
    }
}

fn builder(options: &ScyllaOptions, stamps: &Arc<Stamps>) -> Result<SessionBuilder, StoreError> {
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile(options).into_handle())
        .timestamp_generator(stamps.clone())
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(KEEPALIVE_ANSWER)
        .connection_timeout(CONNECTION)
        // Requests go to a node that has a copy, for which the driver must know how often and where copies are kept;
        // of nothing but our own keyspace, and without the columns.
        .keyspaces_to_fetch([&options.keyspace])
        .fetch_full_schema_metadata(false);
    if !options.user.is_empty() {
        builder = builder.user(&options.user, password(&options.password_file)?);
    }
    if !options.ca.as_os_str().is_empty() {
        builder = builder.tls_context(Some(Arc::new(tls(&options.ca)?)));
    }
    Ok(builder)
}

/// How conditional requests find a node: by turns. The driver would send all that concern one partition to the same
/// node, also the ones that are tried again because it hangs.
pub(super) fn by_turns(options: &ScyllaOptions) -> Arc<dyn LoadBalancingPolicy> {
    balancing(options, false)
}

fn balancing(options: &ScyllaOptions, token_aware: bool) -> Arc<dyn LoadBalancingPolicy> {
    let mut balancing = DefaultPolicy::builder().token_aware(token_aware);
    if !options.datacenter.is_empty() {
        balancing = balancing.prefer_datacenter(options.datacenter.clone());
    }
    balancing.build()
}

/// How requests are made unless their statement says otherwise.
fn profile(options: &ScyllaOptions) -> ExecutionProfile {
    let speculation = SimpleSpeculativeExecutionPolicy {
        max_retry_count: 2,
        retry_interval: Duration::from_millis(options.speculate_ms),
    };
    ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::LocalSerial))
        .request_timeout(Some(options.request_within()))
        .load_balancing_policy(balancing(options, true))
        .speculative_execution_policy(Some(Arc::new(speculation)))
        .build()
}

fn password(file: &Path) -> Result<String, StoreError> {
    let text = std::fs::read_to_string(file)
        .map_err(|cause| unavailable(&format!("scylla.password_file cannot be read: {cause}")))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn tls(ca: &Path) -> Result<rustls::ClientConfig, StoreError> {
    let failed = |cause: &dyn std::fmt::Display| unavailable(&format!("scylla.ca: {cause}"));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|cause| failed(&cause))? {
        let certificate = certificate.map_err(|cause| failed(&cause))?;
        roots.add(certificate).map_err(|cause| failed(&cause))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| failed(&cause))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Whether a conditional write was applied. The row that it gives back has other columns on each of the two databases,
/// so this one is looked for by its name.
pub(super) fn applied(result: QueryResult) -> Result<bool, StoreError> {
    let rows = result.into_rows_result()?;
    let column = rows.column_specs().get_by_name("[applied]");
    let (column, _) = column.ok_or_else(|| corrupt(&"a conditional write gave no [applied]"))?;
    let row: Row = rows.first_row()?;
    match row.columns.get(column) {
        Some(Some(CqlValue::Boolean(applied))) => Ok(*applied),
        _ => Err(corrupt(&"[applied] is no boolean")),
    }
}

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(500);

/// A database node that hangs is no longer asked after so long without an answer to a keepalive. Until then each
/// request costs `speculate_ms`; a node that only collects its garbage, or has much to do, is back before.
const KEEPALIVE: Duration = Duration::from_secs(1);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

const CONNECTION: Duration = Duration::from_secs(2);
