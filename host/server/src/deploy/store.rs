//! Where deployed components are kept: `state_dir/tenants/<domain>/<sha256>.wasm`, and `deployed.json`, which says
//! which of them were live, in order, and which one is a candidate. Each file is written aside and renamed, so a crash leaves the old or the new.

use super::Share;
use super::back_off::BackOff;
use crate::state_dir::{self, StateDir};
use plugboard_calls::guest_settings::GuestSettings;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The folder of one tenant.
pub struct Store {
    domain: String,
    folder: PathBuf,
    configured: Mutex<Configured>,
}

/// The component that the configuration names, and its settings.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Configured {
    /// `built-in`, or the SHA-256 of the file: a newer program with another built-in controller is no change of the
    /// configuration.
    pub(super) base: String,
    /// SHA-256 of the component, in hex.
    pub(super) component: String,
    /// What it is told.
    #[serde(default, skip_serializing_if = "GuestSettings::is_empty")]
    pub(super) settings: GuestSettings,
}

impl Configured {
    /// What the configuration says: a file, or none for the built-in component, and what that is told.
    pub(super) fn new(built_in: &[u8], file: Option<&[u8]>, settings: &GuestSettings) -> Self {
        let component = super::hash(file.unwrap_or(built_in));
        let base = if file.is_some() { component.clone() } else { "built-in".to_owned() };
        Self { base, component, settings: settings.clone() }
    }
}

/// A version that was live: what is needed to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// SHA-256 of the component, in hex; names the file.
    pub(super) component: String,
    /// When it was deployed first, in milliseconds since the Unix epoch.
    pub(super) deployed_unix_ms: u64,
    /// What it is told.
    #[serde(default, skip_serializing_if = "GuestSettings::is_empty")]
    pub(super) settings: GuestSettings,
}

/// A version that takes a share of the new calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CandidateRecord {
    #[serde(flatten)]
    record: Record,
    percent: u8,
}

impl CandidateRecord {
    pub(super) fn new(record: Record, share: Share) -> Self {
        Self { record, percent: share.as_percent() }
    }

    /// None when a hand has written a share that there is not.
    pub(super) fn into_parts(self) -> Option<(Record, Share)> {
        Share::percent(self.percent).map(|share| (self.record, share))
    }
}

/// What to start with.
pub(super) struct Kept {
    /// What was deployed, the last one at the end.
    pub(super) line: Vec<Record>,
    /// What took a share of the new calls.
    pub(super) candidate: Option<CandidateRecord>,
    /// What the host stepped back from.
    pub(super) back_off: BackOff,
    /// The configured component, which may be newer by now, comes behind all of it.
    pub(super) configured_is_live: bool,
    /// The settings have changed: what new calls take is told something else from now on.
    pub(super) told_otherwise: bool,
}

#[derive(Serialize, Deserialize)]
struct Deployed {
    /// What the configuration named at the time.
    configured: Configured,
    /// The last one is live.
    line: Vec<Record>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    candidate: Option<CandidateRecord>,
    #[serde(default, skip_serializing_if = "BackOff::is_empty")]
    stepped_back: BackOff,
}

impl Store {
    /// The store of the tenant of this domain, made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(state_dir: &StateDir, domain: &str) -> std::io::Result<Self> {
        let folder = state_dir.folder(&["tenants", domain])?;
        Ok(Self { domain: domain.to_owned(), folder, configured: Mutex::default() })
    }

    /// The tenant's domain.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Says what the configuration names now, and gets what to start with.
    pub(super) fn start(&self, configured: Configured) -> Kept {
        let back_off = BackOff::default();
        let nothing =
            Kept { line: Vec::new(), candidate: None, back_off, configured_is_live: true, told_otherwise: false };
        let kept = self.kept(&configured).unwrap_or(nothing);
        self.configure(configured);
        kept
    }

    /// Says what the configuration names now.
    pub(super) fn configure(&self, configured: Configured) {
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = configured;
    }

    /// What the configuration named when it was looked at last.
    pub(super) fn configured(&self) -> Configured {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn kept(&self, configured: &Configured) -> Option<Kept> {
        let tenant = &self.domain;
        let text = std::fs::read(self.folder.join(LIST)).ok()?;
        let Deployed { configured: then, mut line, candidate, stepped_back: back_off } = match serde_json::from_slice(
            &text,
        ) {
            Ok(deployed) => deployed,
            Err(error) => {
                tracing::error!(tenant, %error, "what was deployed cannot be read: starting the configured controller");
                return None;
            }
        };
        if then.base != configured.base {
            tracing::info!(tenant, "the configured controller has changed: it takes the place of what was deployed");
            return None;
        }
        let told_otherwise = then.settings != configured.settings;
        let is_configured = |last: &Record| last.component == then.component && last.settings == then.settings;
        let configured_is_live = line.last().is_some_and(is_configured);
        if configured_is_live && !told_otherwise {
            line.pop();
        }
        Some(Kept { line, candidate, back_off, configured_is_live, told_otherwise })
    }

    /// The bytes of a component, checked against its hash.
    pub(super) fn component(&self, component: &str) -> Result<Vec<u8>, String> {
        let bytes = std::fs::read(self.file(component)).map_err(|error| error.to_string())?;
        if super::hash(&bytes) == component { Ok(bytes) } else { Err("the file was changed or damaged".to_owned()) }
    }

    /// Keeps a component.
    pub(super) fn keep(&self, component: &str, bytes: &[u8]) -> Result<(), String> {
        state_dir::write(&self.file(component), bytes).map_err(|error| error.to_string())
    }

    /// Writes down what is live now, what was before, what is a candidate and what was stepped back from, and removes every other component.
    pub(super) fn save(
        &self,
        line: Vec<Record>,
        candidate: Option<CandidateRecord>,
        stepped_back: BackOff,
    ) -> Result<(), String> {
        let deployed = Deployed { configured: self.configured(), line, candidate, stepped_back };
        let text = serde_json::to_vec_pretty(&deployed).map_err(|error| error.to_string())?;
        state_dir::write(&self.folder.join(LIST), &text).map_err(|error| error.to_string())?;
        self.sweep(&deployed);
        Ok(())
    }

    /// A file that cannot be removed costs space only.
    fn sweep(&self, deployed: &Deployed) {
        let Ok(files) = std::fs::read_dir(&self.folder) else { return };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(component) = name.strip_suffix(".wasm") else { continue };
            let candidate = deployed.candidate.iter().map(|candidate| &candidate.record);
            if !deployed.line.iter().chain(candidate).any(|record| record.component == component) {
                let _ = std::fs::remove_file(file.path());
            }
        }
    }

    fn file(&self, component: &str) -> PathBuf {
        self.folder.join(format!("{component}.wasm"))
    }
}

const LIST: &str = "deployed.json";
