//! `rookery check`: what would go wrong with a configuration, before clients find out.

mod certificates;
mod contact;
mod dns;
mod finding;
mod identity;
mod machine;
mod settings;
mod store;

use clap::Args;
use rookery_xmpp::clock::Timestamp;
use serde_json::json;

use self::finding::{Finding, Severity};
use super::terminal::counted;
use super::{Failure, SourceArgs, block_on, say};
use crate::config::Config;

/// Test a configuration: certificates, the identity in the cluster, ports, file limits, DNS, the database,
/// contact addresses, weak settings. Exits with 1 for errors, 2 for warnings alone.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Do not ask the DNS.
    #[arg(long)]
    no_dns: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl CheckArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut findings = Vec::new();
        let source = self.source.demanded("check")?;
        match source.load() {
            Ok(loaded) => {
                findings.extend(
                    loaded
                        .contradictions()
                        .into_iter()
                        .map(Finding::from_problem),
                );
                findings.extend(examine(&loaded.config));
                findings.extend(block_on(store::examine(&loaded.config))?);
                findings.extend(block_on(identity::shards(&loaded.config))?);
                findings.extend(block_on(contact::examine(&loaded.config, !self.no_dns))?);
                if !self.no_dns {
                    findings.extend(block_on(dns::examine(&loaded.config))?);
                }
            }
            Err(problems) => findings.extend(problems.0.into_iter().map(Finding::from_problem)),
        }
        findings.sort_by_key(|finding| finding.severity);
        report(&findings, self.json)
    }
}

fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = certificates::examine(config, Timestamp::now());
    findings.extend(identity::examine(config, Timestamp::now()));
    findings.extend(machine::examine(config));
    findings.extend(settings::examine(config));
    findings
}

fn report(findings: &[Finding], as_json: bool) -> Result<(), Failure> {
    let count = |severity| {
        findings
            .iter()
            .filter(|found| found.severity == severity)
            .count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let sum = format!(
        "{}, {}",
        counted(errors as u64, "error"),
        counted(warnings as u64, "warning")
    );
    if as_json {
        let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
        let json = json!({"errors": errors, "warnings": warnings, "findings": findings});
        say(&format!("{json:#}"));
    } else {
        findings
            .iter()
            .for_each(|finding| say(&finding.to_string()));
        say(&sum);
    }
    match (errors, warnings) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::warned(
            "the configuration works, but see the warnings",
        )),
        _ => Err(Failure::refused(
            "the configuration would not work as it is",
        )),
    }
}
