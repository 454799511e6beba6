//! The journal: every event of every call with all that it takes to run it again, and what came of it; and the
//! replay, which runs recorded calls against other call logic and says what would have gone differently.
//!
//! - [`Journal`] takes a [`Record`](plugboard_calls::record::Record) of each finished event without waiting and
//!   without touching a disk, and makes a JSON line of it (module `line`); one thread writes those into a folder per tenant that is bounded
//!   in bytes and age.
//! - [`read`] reads such files, or the last calls of a tenant.
//! - [`shadow`] compares one live event with what a candidate makes of it.
//! - [`Replay`] runs the events of each call in their order, with the recorded time, chance, principal, view
//!   and answers, and with a state that the candidate carries forward itself.
//!
//! Secrets are left out: see [`mask`] for which, and for what it cannot know.

#![forbid(unsafe_code)]

mod files;
mod json;
pub mod line;
pub mod mask;
mod note;
mod queue;
pub mod read;
mod render;
pub mod replay;
mod report;
mod rerun;
pub mod shadow;
mod writer;

pub use files::{Bounds, Folder};
pub use note::Draft;
pub use replay::{Options, Replay};
pub use report::{Difference, Kind, Report};
pub use writer::{Counters, Journal};
