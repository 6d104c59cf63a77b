//! The rules about names: what the configuration asks for, and how many there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use rookery_control::{Control, NameKind, NameOptions, NameRules, NamesRefused};
use rookery_xmpp::clock::Timestamp;
use tokio::sync::watch;

/// Has the group take over what the configuration says, however long that takes.
pub(crate) async fn configure(control: Control, options: NameOptions) {
    let rules = match options.rules(Timestamp::now()) {
        Ok(rules) => rules,
        Err(error) => {
            // The checks of the configuration have let it pass.
            return tracing::error!(%error, "rules about names are not understood");
        }
    };
    loop {
        match control.configure_names(rules.clone()).await {
            Ok(changed) => {
                let (version, count) = (changed.version, rules.len());
                return tracing::debug!(version, count, "rules about names configured");
            }
            Err(NamesRefused::Full) => {
                let (error, count) = (NamesRefused::Full, rules.len());
                return tracing::error!(%error, count, "rules about names are not taken");
            }
            Err(error) => tracing::warn!(%error, "rules about names are not configured yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Shows how many rules there are, until the control group is gone.
pub(crate) async fn follow(mut lists: watch::Receiver<Arc<NameRules>>) {
    loop {
        let list = lists.borrow_and_update().clone();
        publish(&list);
        if lists.changed().await.is_err() {
            return;
        }
    }
}

fn publish(list: &NameRules) {
    let kinds = [NameKind::Reserved, NameKind::Protected];
    let mut counts: BTreeMap<_, u32> = kinds.map(|kind| (kind.as_str(), 0)).into();
    for (rule, _) in list.iter() {
        *counts.entry(rule.kind.as_str()).or_default() += 1;
    }
    for (kind, count) in counts {
        gauge!("rookery_name_rules", "kind" => kind).set(f64::from(count));
    }
    gauge!("rookery_name_rules_version").set(list.version() as f64);
}

/// Until a group that did not answer is asked again.
const PAUSE: Duration = Duration::from_secs(1);
