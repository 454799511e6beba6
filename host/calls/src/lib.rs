//! Calls as actors.
//!
//! A [`shard::Shard`] holds a part of all calls. What happens comes in by its methods; each event of a call
//! becomes a [`shard::Job`], which runs the call's [`logic::Logic`] against a [`stage::Stage`] outside the shard;
//! [`shard::Shard::finish`] commits what was staged, or none of it. What is to leave the machine comes out as
//! [`shard::Output`]s, after the commit.
//!
//! The crate is pure: time comes in with each call, chance by a seed, and it knows no socket and no thread.

#![forbid(unsafe_code)]

pub mod cache;
pub mod chance;
pub mod contract;
pub mod effect;
pub mod guest_settings;
pub mod history;
pub mod limits;
pub mod logic;
pub mod pace;
#[cfg(feature = "serde")]
mod readable;
pub mod record;
pub mod shard;
pub mod stage;
pub mod tenant;
pub mod turns;
