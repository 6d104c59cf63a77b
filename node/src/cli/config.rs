//! `rookery config`.

use clap::Args;

use super::{Failure, SourceArgs, say};
use crate::config::{Config, to_json, to_toml};

/// Print every option with its default, unit and reason.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Print the values that `--config` and `--set` lead to, instead of the defaults.
    #[arg(long)]
    effective: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ConfigArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = if self.effective {
            let loaded = self.source.source().load();
            loaded
                .map_err(|problems| Failure::config(problems.to_string()))?
                .config
        } else {
            Config::default()
        };
        if self.json {
            say(&format!("{:#}", to_json(&config)));
        } else {
            say(to_toml(&config).trim_end());
        }
        Ok(())
    }
}
