//! Debian's Prosody as a peer to measure: its own configuration, data and certificate in a folder,
//! loopback only, registration open, no limits.

use std::path::Path;
use std::process::Command;

use crate::certificate::SelfSigned;
use crate::child::{Server, free_port};

/// Starts Prosody with everything it writes below `folder`. It serves direct TLS.
///
/// # Errors
/// When it is not installed (Debian: package `prosody`) or does not start.
pub fn start(folder: &Path) -> anyhow::Result<Server> {
    std::fs::create_dir_all(folder.join("data"))?;
    SelfSigned::new("localhost")?.write(folder)?;
    let port = free_port()?;
    let file = folder.join("prosody.cfg.lua");
    std::fs::write(&file, configuration(&folder.display().to_string(), port))?;
    Server::start(
        Command::new("prosody").arg("-F").arg("--config").arg(&file),
        port,
    )
}

fn configuration(folder: &str, port: u16) -> String {
    format!(
        r#"run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
certificates = "{folder}"
network_backend = "epoll"
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ }}
c2s_direct_tls_ports = {{ {port} }}
s2s_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "private", "vcard", "ping", "register_ibr", "offline",
    "blocklist",
}}
modules_disabled = {{ "s2s", "limits" }}
allow_registration = true
authentication = "internal_hashed"
password_hash = "SHA-256"
storage = "internal"
log = {{ warn = "{folder}/prosody.log" }}
ssl = {{ key = "{folder}/key.pem", certificate = "{folder}/cert.pem" }}
c2s_direct_tls_ssl = {{ key = "{folder}/key.pem", certificate = "{folder}/cert.pem" }}
VirtualHost "localhost"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_stays_in_its_folder_and_on_loopback() {
        let text = configuration("/tmp/x", 4000);
        assert!(text.contains("c2s_direct_tls_ports = { 4000 }"));
        assert!(text.contains(r#"interfaces = { "127.0.0.1" }"#));
        assert!(text.contains(r#"data_path = "/tmp/x/data""#));
    }
}
