//! What a deployment or a rollback is asked for, what it did, and why it did not.

use super::{DRAINING_MAX, Drain, Share, State, Version};
use crate::config::{RollbackConfig, TenantConfig};
use std::sync::Arc;

/// Longest time that a version may drain, in seconds: a week.
pub const DRAIN_SECONDS_MAX: u64 = 604_800;

/// Why a deployment or rollback changed nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// The component did not pass.
    #[error("{0}")]
    Refused(String),
    /// Recorded calls would have gone differently.
    #[error(
        "recorded calls would have gone differently, so nothing was changed (force it to go live all the same):\n{0}"
    )]
    Differs(String),
    /// Too much is draining.
    #[error("{DRAINING_MAX} versions still have calls: end some of them, or wait, and deploy again")]
    Draining,
    /// The host stepped back from it a short while ago.
    #[error(
        "it was stepped back from ({times}x so far): {why}; it may be deployed again in {seconds} s, or now with force"
    )]
    SteppedBack {
        /// How often.
        times: u32,
        /// Why the last time.
        why: String,
        /// How long it is still refused, in seconds.
        seconds: u64,
    },
    /// The configuration is being reloaded, or was in the meantime.
    #[error("the configuration is being reloaded: ask again")]
    Reloading,
    /// There is no version before this one.
    #[error("there is no version before this one to roll back to")]
    NothingBefore,
    /// There is none to end.
    #[error("nothing is in the shadow of the live version: put something there with deploy --shadow")]
    NoShadow,
    /// A candidate is asked for, and the component is live.
    #[error("this component is live already: all new calls take it")]
    LiveAlready,
    /// A candidate answers under the same path as the live version: who may ask is decided by that path.
    #[error(
        "a candidate must serve the path of the live version, {live}, and this one serves {candidate}: deploy it whole"
    )]
    OtherPath {
        /// What the live version serves.
        live: String,
        /// What the component serves.
        candidate: String,
    },
    /// The state folder could not be written.
    #[error("cannot keep it in the state folder: {0}")]
    Store(String),
}

/// How a component is deployed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// The part of the new calls that it takes. All of them makes it live, less a candidate.
    pub share: Share,
    /// Deploys it even if the host stepped back from it.
    pub force: bool,
    /// What becomes of the calls of the version whose place it takes, if that is not what the configuration says.
    pub drain: Option<Drain>,
}

impl Default for How {
    /// Live at once.
    fn default() -> Self {
        Self { share: Share::ALL, force: false, drain: None }
    }
}

/// What the configuration of a tenant says about its versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// When the host steps back by itself.
    pub rollback: RollbackConfig,
    /// What becomes of the calls of a version that new calls do not take any more; none: they keep it.
    pub drain: Option<Drain>,
}

impl Policy {
    /// What the configuration of this tenant says.
    pub fn of(tenant: &TenantConfig) -> Self {
        Self { rollback: tenant.rollback, drain: tenant.drain }
    }
}

/// What a deployment did.
pub struct Deployed {
    /// The version that was deployed.
    pub version: Arc<Version>,
    /// What it is now: live or a candidate.
    pub state: State,
    /// Whether nothing had to change for that.
    pub already: bool,
}

/// What a rollback did.
pub struct RolledBack {
    /// The version that is live now.
    pub live: Arc<Version>,
    /// The candidate that was taken away; without one the live version stepped back.
    pub withdrawn: Option<Arc<Version>>,
}
