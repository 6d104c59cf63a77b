//! A network for the nodes of a cluster: each in a network namespace of its own, on one bridge, with partitions made by
//! dropping packets where they arrive.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

use super::node::{Place, run};

/// Namespaces on a bridge; dropped, they are removed.
pub(crate) struct Network {
    process: u32,
    names: Vec<String>,
}

impl Network {
    /// A bridge without namespaces. Fails where the kernel or the user's rights do not allow it.
    pub(crate) fn make() -> Result<Self> {
        let network = Self {
            process: std::process::id(),
            names: Vec::new(),
        };
        let bridge = network.bridge();
        ip(&format!("link add {bridge} type bridge"))
            .context("a network of its own needs root, and a kernel with bridges")?;
        ip(&format!("addr add {}/24 dev {bridge}", network.host()))?;
        ip(&format!("link set {bridge} up"))?;
        Ok(network)
    }

    fn bridge(&self) -> String {
        // At most 15 characters.
        format!("rookery{}", self.process)
    }

    /// This side's address, for what all nodes must reach.
    pub(crate) fn host(&self) -> IpAddr {
        self.address(1)
    }

    /// An address in 198.18.0.0/15, which is for tests and never routed (RFC 2544).
    fn address(&self, host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(198, 18, (self.process % 256) as u8, host))
    }

    /// One more namespace.
    pub(crate) fn add(&mut self) -> Result<Place> {
        let count = u8::try_from(self.names.len())?;
        // Another name than any before, for what was removed goes a little later.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rookery{}-{number}", self.process);
        let outer = format!("rk{}-{number}", self.process);
        let address = self.address(10 + count);
        ip(&format!("netns add {name}"))?;
        self.names.push(name.clone());
        ip(&format!(
            "link add {outer} type veth peer name eth0 netns {name}"
        ))?;
        ip(&format!("link set {outer} master {} up", self.bridge()))?;
        ip(&format!("-n {name} addr add {address}/24 dev eth0"))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} link set eth0 up"))?;
        filter(&name, CHAIN)?;
        Ok(Place {
            address,
            namespace: Some(name),
        })
    }

    /// Packets from one place to another get lost from now on; those of the other direction do not.
    pub(crate) fn cut(&self, from: &Place, to: &Place) -> Result<()> {
        let name = to.namespace.as_ref().context("a place in this network")?;
        let rule = format!("add rule inet rookery cut ip saddr {} drop\n", from.address);
        filter(name, &rule)
    }

    /// No packets get lost any more.
    pub(crate) fn heal(&self) -> Result<()> {
        self.names
            .iter()
            .try_for_each(|name| filter(name, "flush chain inet rookery cut\n"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            // Its interfaces go with it; what cannot be removed is left for the operator to see.
            let _ = ip(&format!("netns del {name}"));
        }
        let _ = ip(&format!("link del {}", self.bridge()));
    }
}

fn ip(words: &str) -> Result<String> {
    let words = ["ip"].into_iter().chain(words.split_whitespace());
    run(&words.map(str::to_owned).collect::<Vec<_>>())
}

/// Gives rules to the packet filter of a namespace.
fn filter(name: &str, rules: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["netns", "exec", name, "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().context("its input is piped")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    ensure!(child.wait()?.success(), "nft refused: {rules}");
    Ok(())
}

static NEXT: AtomicU32 = AtomicU32::new(0);

const CHAIN: &str = "table inet rookery {
    chain cut {
        type filter hook input priority 0;
    }
}
";
