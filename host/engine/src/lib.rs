//! Runs call controllers: WebAssembly components of the world `call-controller` (`wit/call-control.wit`), in wasmtime.
//! No other crate knows wasmtime.
//!
//! - [`Engine`]: one for the process. [`Engine::check`] begins the life of a component: [`Checked`], [`Compiled`],
//!   [`Tried`].
//! - [`Version`]: a tried component in service for a tenant. It is the [`Logic`](plugboard_calls::logic::Logic) that
//!   calls run on. Running and old versions differ in nothing but who uses them: swapping is not done here.
//! - [`EngineLimits`]: what a guest may cost. Whatever it does within an event, the event ends when its deadline is
//!   used up in processor time; its memory and what it hands over are bounded; and
//!   a [`Breakdown`](plugboard_calls::logic::Breakdown) says what went wrong.
//! - [`Grant`]: what one tenant allows its guests besides: WASI, and more memory.
//! - [`Error`]: why a component is refused.
//!
//! What a guest stages ends in the [`Stage`](plugboard_calls::stage::Stage) that comes with the event; this crate does
//! not look at it.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use plugboard_engine::{Engine, EngineLimits};
//!
//! let engine = Engine::new(EngineLimits::default(), None)?;
//! let tried = engine.check(std::fs::read("controller.wasm")?)?.compile()?.try_out()?;
//! let version = tried.version(&[0; 32], Default::default());
//! println!("{} is {} {}", version.id(), tried.description().name, tried.description().version);
//! # Ok(())
//! # }
//! ```

mod allowance;
mod background;
mod bindings;
mod check;
mod compiled_folder;
mod convert;
mod courtesy;
mod engine;
mod error;
mod imports;
mod instance;
mod instances;
mod life;
mod limits;
mod stats;
mod ticker;
mod version;
mod visit;
mod wasi;

pub use allowance::processor_time;
pub use background::in_background;
pub use engine::Engine;
pub use error::Error;
pub use life::{Checked, Compiled, ComponentHash, HTTP_PREFIX_BYTES_MAX, NAME_BYTES_MAX, Tried};
pub use limits::{EngineLimits, Grant, MEMORY_BYTES_MAX};
pub use stats::Stats;
pub use version::{Version, VersionId};
