//! A world by seed: a shard of the calls core, the built-in controller run natively, phones, and a network that loses,
//! repeats, delays and reorders. The same seed gives the same trace.
//!
//! ```sh
//! SEED=42 cargo test -p plugboard-simulation -- --nocapture one_seed
//! ```

pub mod habits;
pub mod native;
pub mod network;
pub mod phone;
pub mod trouble;
pub mod world;
