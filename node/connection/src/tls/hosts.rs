//! The certificates that are in use, and the two kinds of TLS that show them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rookery_xmpp::jid::prepare_domain;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};

use super::certificate::HostCertificate;
use super::{TlsLoadError, TlsOptions};

/// The virtual hosts' certificates, replaced while running.
#[derive(Debug)]
pub struct TlsHosts {
    current: ArcSwap<TlsGeneration>,
    clients: Clients,
}

/// Whether clients connect to this node. Where they do not, there may be no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clients {
    Come,
    StayAway,
}

/// What was loaded together. A connection keeps the one it began with, so that a reload never comes
/// between a handshake and its channel binding.
#[derive(Debug)]
pub(crate) struct TlsGeneration {
    certificates: Arc<Certificates>,
    starttls: Arc<ServerConfig>,
    direct_tls: Arc<ServerConfig>,
    web: Arc<ServerConfig>,
}

/// Certificates by their prepared hosts.
#[derive(Debug)]
struct Certificates {
    by_host: BTreeMap<String, Arc<HostCertificate>>,
    /// What a client is shown that names none of the hosts; nothing only where no clients come.
    first: Option<Arc<HostCertificate>>,
}

impl TlsHosts {
    /// Reads every certificate, of which clients need one.
    pub fn load(options: &TlsOptions) -> Result<Self, TlsLoadError> {
        Self::load_for(options, Clients::Come)
    }

    /// Reads every certificate on a node that no clients connect to: it needs none.
    pub fn load_without_clients(options: &TlsOptions) -> Result<Self, TlsLoadError> {
        Self::load_for(options, Clients::StayAway)
    }

    fn load_for(options: &TlsOptions, clients: Clients) -> Result<Self, TlsLoadError> {
        Ok(Self {
            current: ArcSwap::from_pointee(TlsGeneration::load(options, clients)?),
            clients,
        })
    }

    /// Whether [`reload`](Self::reload) would take these options.
    pub fn check(&self, options: &TlsOptions) -> Result<(), TlsLoadError> {
        TlsGeneration::load(options, self.clients).map(drop)
    }

    /// Reads every certificate again. Handshakes that begin later see them; if one cannot be used,
    /// all stay as they are.
    pub fn reload(&self, options: &TlsOptions) -> Result<(), TlsLoadError> {
        let fresh = TlsGeneration::load(options, self.clients)?;
        self.current.store(Arc::new(fresh));
        Ok(())
    }

    /// What rustls is told for a server of web pages, with the certificates in use. Nobody can be shown one where
    /// there is none: the handshake fails.
    pub fn web_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().web)
    }

    /// What a new connection takes.
    pub(crate) fn current(&self) -> Arc<TlsGeneration> {
        self.current.load_full()
    }
}

impl TlsGeneration {
    fn load(options: &TlsOptions, clients: Clients) -> Result<Self, TlsLoadError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificates = Arc::new(Certificates::load(options, &provider)?);
        if certificates.first.is_none() && clients == Clients::Come {
            return Err(TlsLoadError::NoCertificate);
        }
        let starttls = server_config(options, &provider, &certificates)?;
        let mut direct_tls = starttls.clone();
        direct_tls.alpn_protocols = vec![ALPN.to_vec()];
        let mut web = starttls.clone();
        web.alpn_protocols = vec![ALPN_WEB.to_vec()];
        // Browsers may be without it; no channel is bound there.
        web.require_ems = false;
        Ok(Self {
            certificates,
            starttls: Arc::new(starttls),
            direct_tls: Arc::new(direct_tls),
            web: Arc::new(web),
        })
    }

    /// What rustls is told, by whether TLS begins with the first byte (XEP-0368) or with
    /// `<starttls/>`.
    pub(crate) fn server_config(&self, direct_tls: bool) -> Arc<ServerConfig> {
        Arc::clone(if direct_tls {
            &self.direct_tls
        } else {
            &self.starttls
        })
    }

    /// The channel binding `tls-server-end-point` (RFC 5929) of a client that sent this SNI.
    pub(crate) fn end_point_hash(&self, server_name: Option<&str>) -> Option<Vec<u8>> {
        let shown = self.certificates.shown_to(server_name)?;
        shown.end_point_hash.clone()
    }
}

impl Certificates {
    fn load(options: &TlsOptions, provider: &CryptoProvider) -> Result<Self, TlsLoadError> {
        let (mut by_host, mut first) = (BTreeMap::new(), None);
        for files in &options.certificates {
            let host = prepare_domain(&files.host).map_err(|cause| TlsLoadError::Host {
                host: files.host.clone(),
                cause,
            })?;
            let certificate = Arc::new(HostCertificate::load(files, provider)?);
            first.get_or_insert_with(|| Arc::clone(&certificate));
            if by_host
                .insert(host.clone().into_owned(), certificate)
                .is_some()
            {
                return Err(TlsLoadError::HostTwice {
                    host: host.into_owned(),
                });
            }
        }
        Ok(Self { by_host, first })
    }

    /// RFC 6066 3 lets a server go on with another certificate where it does not know the name; the
    /// stream header then ends in an error that says so, which a failed handshake could not.
    fn shown_to(&self, server_name: Option<&str>) -> Option<&HostCertificate> {
        let host = server_name.and_then(|name| prepare_domain(name).ok());
        let found = host.and_then(|host| self.by_host.get(&*host));
        found.or(self.first.as_ref()).map(|found| &**found)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.shown_to(hello.server_name())?;
        Some(Arc::clone(&shown.key))
    }
}

fn server_config(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
    certificates: &Arc<Certificates>,
) -> Result<ServerConfig, TlsLoadError> {
    let versions: &[_] = if options.tls12 {
        &[&TLS13, &TLS12]
    } else {
        &[&TLS13]
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(TlsLoadError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::<Certificates>::clone(certificates));
    // Streams live for hours, so resumption saves little; without it no secret outlives a
    // connection, and no memory is kept for clients that are gone. Early data could be replayed.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    // Only with it `tls-exporter` is bound to the handshake under TLS 1.2 (RFC 9266 4.2).
    config.require_ems = true;
    Ok(config)
}

/// XEP-0368 3: what clients send so that one port can serve several protocols.
const ALPN: &[u8] = b"xmpp-client";

/// RFC 7301 6: what the pages speak.
const ALPN_WEB: &[u8] = b"http/1.1";
