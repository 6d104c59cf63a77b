//! Posts what happens to an address that the operator has chosen.
//!
//! One POST of JSON on a connection of its own, over TLS for `https`. Whoever answers with 2xx has it. Redirects are not
//! followed: the operator has named one address, and that is the only one that is asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where and how to post.
pub(super) struct Webhook {
    target: Target,
    tls: Option<TlsConnector>,
    timeout: Duration,
}

/// An address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: u16,
    path: String,
    is_https: bool,
}

/// Why a webhook has not got what it was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebhookError {
    /// The network, or the other side's TLS.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// What came is no HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// It did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It answered that it does not want it.
    #[error("it answered {0}")]
    Refused(StatusCode),
}

/// What is wrong with an address. The operator's mistake, worded for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no address of the form https://hooks.example.org/rookery (no name and password in it)"
)]
pub(crate) struct TargetError;

impl WebhookError {
    /// Whether the same may work later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Refused(status) => {
                status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::REQUEST_TIMEOUT
            }
            Self::Io(_) | Self::Http(_) | Self::Timeout => true,
        }
    }
}

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let uri: Uri = text.parse().map_err(|_| TargetError)?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(TargetError),
        };
        let authority = uri.authority().ok_or(TargetError)?;
        let host = uri.host().filter(|host| !host.is_empty());
        if authority.as_str().contains('@') {
            return Err(TargetError);
        }
        let default_port = if is_https { 443 } else { 80 };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            host: host.ok_or(TargetError)?.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            path: path.to_owned(),
            is_https,
        })
    }
}

impl Target {
    /// An IPv6 address without its brackets.
    fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl Webhook {
    /// A way to post there; `ca` names a file of certificates, or is empty for the system's.
    pub(super) fn new(target: Target, ca: &Path, timeout: Duration) -> std::io::Result<Self> {
        let tls = target.is_https.then(|| tls(ca)).transpose()?;
        Ok(Self {
            target,
            tls,
            timeout,
        })
    }

    /// Posts once.
    pub(super) async fn post(&self, body: Bytes) -> Result<(), WebhookError> {
        let posted = tokio::time::timeout(self.timeout, self.post_patiently(body));
        match posted.await {
            Ok(done) => done,
            Err(_elapsed) => Err(WebhookError::Timeout),
        }
    }

    async fn post_patiently(&self, body: Bytes) -> Result<(), WebhookError> {
        let stream = TcpStream::connect((self.target.name(), self.target.port)).await?;
        match &self.tls {
            None => self.talk(TokioIo::new(stream), body).await,
            Some(tls) => {
                let name = ServerName::try_from(self.target.name().to_owned());
                let name = name.map_err(std::io::Error::other)?;
                let stream = tls.connect(name, stream).await?;
                self.talk(TokioIo::new(stream), body).await
            }
        }
    }

    async fn talk(
        &self,
        io: impl Read + Write + Unpin + Send + 'static,
        body: Bytes,
    ) -> Result<(), WebhookError> {
        let (mut sender, connection) = http1::handshake(io).await?;
        let driving = tokio::spawn(connection);
        let request = Request::post(self.target.path.as_str())
            .header(HOST, format!("{}:{}", self.target.host, self.target.port))
            .header(USER_AGENT, concat!("rookery/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(std::io::Error::other)?;
        let answer = sender.send_request(request).await;
        // What it says besides is not read.
        driving.abort();
        match answer?.status() {
            status if status.is_success() => Ok(()),
            status => Err(WebhookError::Refused(status)),
        }
    }
}

fn tls(ca: &Path) -> std::io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let bundles = match ca.as_os_str().is_empty() {
        true => BUNDLES.map(Path::new).to_vec(),
        false => vec![ca],
    };
    let bundle = bundles.iter().find(|path| path.exists()).unwrap_or(&ca);
    let certificates = CertificateDer::pem_file_iter(bundle).map_err(std::io::Error::other)?;
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    if roots.is_empty() {
        let what = format!("there is no certificate in {}", bundle.display());
        return Err(std::io::Error::other(what));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions();
    let config = config.map_err(std::io::Error::other)?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Where systems keep the certificates that they trust.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_what_is_none_is_refused() {
        let target: Target = "https://hooks.example.org/a?b=c".parse().unwrap();
        assert_eq!(
            (target.host.as_str(), target.port),
            ("hooks.example.org", 443)
        );
        assert_eq!((target.path.as_str(), target.is_https), ("/a?b=c", true));
        let target: Target = "http://[::1]:8080".parse().unwrap();
        assert_eq!(
            (target.name(), target.port, target.path.as_str()),
            ("::1", 8080, "/")
        );
        for text in [
            "",
            "hooks.example.org",
            "ftp://hooks.example.org",
            "/a",
            "https://",
            "https://me:secret@hooks.example.org/",
        ] {
            assert_eq!(text.parse::<Target>(), Err(TargetError), "{text}");
        }
    }

    /// What one request was, from a server that answers so.
    async fn post(answer: &'static str) -> (String, Result<(), WebhookError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = String::new();
            let mut buffer = [0; 4_096];
            while !heard.ends_with("{\"a\":1}") {
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "{heard}");
                heard += std::str::from_utf8(&buffer[..read]).unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            heard
        });
        let target: Target = format!("http://{address}/hook").parse().unwrap();
        let timeout = Duration::from_millis(if answer.is_empty() { 200 } else { 10_000 });
        let hook = Webhook::new(target, Path::new(""), timeout).unwrap();
        let posted = hook.post(Bytes::from_static(b"{\"a\":1}")).await;
        let heard = match answer.is_empty() {
            true => String::new(),
            false => serving.await.unwrap(),
        };
        (heard, posted)
    }

    #[tokio::test]
    async fn a_webhook_gets_one_post_of_json() {
        let (heard, posted) = post("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(posted.is_ok(), "{posted:?}");
        assert!(heard.starts_with("POST /hook HTTP/1.1\r\n"), "{heard}");
        let heard = heard.to_lowercase();
        assert!(heard.contains("content-type: application/json"), "{heard}");
        assert!(heard.contains("content-length: 7"), "{heard}");
    }

    #[tokio::test]
    async fn whoever_sends_elsewhere_refuses_or_is_silent_has_not_got_it() {
        let moved =
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        for (answer, temporary) in [
            (moved, false),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 429 Slow\r\ncontent-length: 0\r\n\r\n", true),
            ("nonsense\r\n\r\n", true),
            ("", true),
        ] {
            let error = post(answer).await.1.unwrap_err();
            assert_eq!(error.is_temporary(), temporary, "{answer}: {error}");
        }
    }
}
