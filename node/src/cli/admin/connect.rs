//! Reaches the server.

use std::error::Error;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::super::Failure;
use super::Target;

impl Target {
    pub(in crate::cli) async fn connect(&self) -> Result<Channel, Failure> {
        match &self.address {
            Some(address) => self.over_tls(address).await,
            None => over_socket(&self.socket()?).await,
        }
    }

    fn socket(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.socket {
            return Ok(path.clone());
        }
        // A folder that may not be searched may hold it: connecting says so.
        let may_be = |path: &&&str| Path::new(path).try_exists().unwrap_or(true);
        let found = USUAL_SOCKETS.iter().find(may_be);
        found.map(PathBuf::from).ok_or_else(|| {
            Failure::unavailable(format!(
                "no server has its socket at {}\n    {NAME_IT}",
                USUAL_SOCKETS.join(" or ")
            ))
        })
    }

    async fn over_tls(&self, address: &str) -> Result<Channel, Failure> {
        let read = |path: &Option<PathBuf>| {
            let path = path.as_deref().unwrap_or_else(|| Path::new(""));
            std::fs::read(path).map_err(|cause| {
                Failure::config(format!("cannot read {}: {cause}", path.display()))
            })
        };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&self.ca)?))
            .identity(Identity::from_pem(
                read(&self.certificate)?,
                read(&self.key)?,
            ))
            .domain_name(host.trim_matches(['[', ']']));
        let unusable = |cause: tonic::transport::Error| {
            Failure::config(format!(
                "cannot use {address} with these certificates: {}",
                deepest(&cause)
            ))
        };
        let endpoint = Endpoint::from_shared(format!("https://{address}")).map_err(unusable)?;
        let endpoint = endpoint
            .tls_config(tls)
            .map_err(unusable)?
            .connect_timeout(CONNECT);
        endpoint.connect().await.map_err(|cause| {
            Failure::unavailable(format!(
                "no server answers at {address}: {}\n    is `admin.listen` set there, and did its \
                 `admin.client_ca` issue your certificate?",
                deepest(&cause)
            ))
        })
    }
}

/// Reaches the server whose Unix socket this is.
pub(in crate::cli) async fn over_socket(path: &Path) -> Result<Channel, Failure> {
    // The plain connection says why it fails; gRPC's would not.
    if let Err(cause) = UnixStream::connect(path) {
        let hint = match cause.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "only the server's own user and root may: try sudo"
            }
            std::io::ErrorKind::ConnectionRefused => {
                "a server left it behind: no server runs there now"
            }
            _ => NAME_IT,
        };
        let path = path.display();
        return Err(Failure::unavailable(format!(
            "no server answers on {path}: {cause}\n    {hint}"
        )));
    }
    let unusable = |cause: &dyn Error| {
        Failure::unavailable(format!("no answer on {}: {cause}", path.display()))
    };
    let endpoint = Endpoint::from_shared(format!("unix:{}", path.display()));
    let endpoint = endpoint
        .map_err(|cause| unusable(&cause))?
        .connect_timeout(CONNECT);
    endpoint.connect().await.map_err(|cause| unusable(&cause))
}

/// The first cause: "transport error" helps nobody.
fn deepest(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Where servers keep their socket unless told otherwise.
const USUAL_SOCKETS: [&str; 2] = ["rookery-data/admin.sock", "/var/lib/rookery/admin.sock"];

const NAME_IT: &str =
    "name the running server's socket with --socket, or start one with `rookery dev`";

const CONNECT: Duration = Duration::from_secs(5);
