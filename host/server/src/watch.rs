//! `watch = true` of a tenant: its controller file is deployed when it changes on disk.
//!
//! By a look at the file once a second, not by events of the file system: editors rename, linkers truncate and write
//! for a while, mounted configuration is a symbolic link that moves, network drives tell nothing. All of that is a
//! file that looks different from one look to the next, and a look costs a `stat`.

use crate::deploy::{DeployError, How};
use crate::serve::BUILT_IN_CONTROLLER;
use crate::switch::Switch;
use crate::tenants::{Tenant, Tenants};
use arc_swap::ArcSwap;
use plugboard_calls::logic::Logic;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often the files are looked at. A file is read when it was the same in two looks: whoever writes it is done.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches over the controllers of all tenants that want it, for as long as it is polled.
pub async fn watch(tenants: Arc<ArcSwap<Tenants>>, switch: Arc<Switch>) {
    let mut seen: HashMap<String, Seen> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let watched: Vec<Arc<Tenant>> = tenants.load().iter().filter(|t| t.watched.is_some()).cloned().collect();
        let mut before = std::mem::take(&mut seen);
        let switch = switch.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let look = |tenant: Arc<Tenant>| {
                let domain = tenant.domain().to_owned();
                let now = before.remove(&domain).unwrap_or_default().look(&tenant, &switch);
                (domain, now)
            };
            watched.into_iter().map(look).collect()
        });
        match looked.await {
            Ok(looked) => seen = looked,
            Err(error) => tracing::error!(%error, "watching controllers failed"),
        }
    }
}

/// What was seen of a file.
#[derive(Default)]
struct Seen {
    /// None: it was not there.
    stamp: Option<Stamp>,
    /// It was read as it is.
    read: bool,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Seen {
    fn look(self, tenant: &Tenant, switch: &Arc<Switch>) -> Self {
        let Some(file) = &tenant.watched else { return self };
        let stamp = Stamp::of(file);
        match stamp {
            Some(now) if self.stamp == Some(now) => Self { stamp, read: self.read || deploy(tenant, file, switch) },
            _ => Self { stamp, read: false },
        }
    }
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(file).ok()?;
        Some(Self { modified: metadata.modified().ok()?, bytes: metadata.len(), inode: metadata.ino() })
    }
}

/// Deploys what the file holds, unless it did so already. Whether it need not be tried again.
fn deploy(tenant: &Tenant, file: &Path, switch: &Arc<Switch>) -> bool {
    let (domain, deployments) = (tenant.domain(), &tenant.deployments);
    let Ok(component) = std::fs::read(file) else { return false };
    if deployments.is_configured(BUILT_IN_CONTROLLER, Some(&component)) {
        return true;
    }
    let calls_of = |logic: &Arc<dyn Logic>| switch.calls_on(logic);
    let deployed = deployments.deploy(&component, How::default(), &calls_of);
    match deployed.and_then(|deployed| deployments.configure(&component).map(|()| deployed)) {
        Ok(deployed) => {
            let version = deployed.version.id();
            tracing::info!(tenant = domain, file = %file.display(), version, "the controller has changed: deployed");
            true
        }
        Err(DeployError::Reloading) => false,
        Err(problem) => {
            let file = file.display();
            tracing::error!(tenant = domain, %file, %problem, "the controller has changed and was not deployed");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_written_looks_different() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("mine.wasm");
        assert_eq!(Stamp::of(&file), None);
        std::fs::write(&file, "one").expect("written");
        let one = Stamp::of(&file);
        assert_eq!(Stamp::of(&file), one);
        let aside = folder.path().join("aside");
        std::fs::write(&aside, "two").expect("written");
        std::fs::rename(&aside, &file).expect("renamed");
        let two = Stamp::of(&file);
        assert_ne!(two, one, "renamed over");
        std::fs::write(&file, "three").expect("written");
        assert_ne!(Stamp::of(&file), two, "written in place");
    }
}
