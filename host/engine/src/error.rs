//! Why a component is not taken into service, and whose fault that is.

use plugboard_calls::logic::Breakdown;
use std::io;
use std::path::PathBuf;

/// Why a component did not become a version, or the engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Guest: the bytes are something else, or damaged.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// Guest: larger than [`EngineLimits::component_bytes`](crate::EngineLimits::component_bytes).
    #[error("the component has {bytes} bytes, {max} are allowed; strip it, or raise the limit")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Guest: it wants what the contract does not offer.
    #[error("the component imports what no guest may have: {}; the contract offers: {}{}", .names.join(", "), crate::check::allowed().join(", "), crate::check::advice(.names))]
    ForeignImports {
        /// The imports, as they stand in the component.
        names: Vec<String>,
    },
    /// Guest: it is a component, but not a call controller.
    #[error("the component does not export {0}")]
    MissingExport(String),
    /// Guest: it names an interface of the contract but means another one, for example with more functions.
    #[error("the component was built against another version of the contract: {0}")]
    OtherContract(String),
    /// Guest: it is not valid, or needs more than the limits allow.
    #[error("the component does not compile: {0}")]
    DoesNotCompile(String),
    /// Guest: `describe` broke down.
    #[error("the component cannot describe itself: {0}")]
    DescribeFailed(#[source] Breakdown),
    /// Guest: `describe` gave two answers.
    #[error("the component describes itself differently each time")]
    DescribeUnstable,
    /// Guest: `describe` gave an answer that cannot be used.
    #[error("the component's description is not usable: {field} {problem}")]
    DescribeInvalid {
        /// The field of the description.
        field: &'static str,
        /// What it should be.
        problem: &'static str,
    },
    /// Host: this machine cannot run the engine as configured; fewer instances may help.
    #[error("the engine cannot run here: {0}")]
    Runtime(String),
    /// Host: the folder of compiled components cannot be used.
    #[error("cannot use the folder {} for compiled components", .path.display())]
    CompiledFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Host: others could put code into the folder of compiled components.
    #[error("the folder {} holds compiled code, so it must be yours alone: chown it to this user and chmod 700", .path.display())]
    ExposedFolder {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// Whether the component is to blame, not this host.
    pub fn is_guest_fault(&self) -> bool {
        !matches!(self, Self::Runtime(_) | Self::CompiledFolder { .. } | Self::ExposedFolder { .. })
    }
}
