//! Runs a [`Controller`] natively against scripted phones on a jumped clock.
//!
//! The test is the network: it asks over HTTP, answers what the controller sent, sends requests as the phones would,
//! lets time pass, and looks at the recorded [`Effect`]s. Between them the kit is the host: it checks every effect by
//! the rules that `wit/call-control.wit` documents, commits what an event staged or forgets it, and panics when the
//! controller breaks a promise that a good guest keeps:
//!
//! - every HTTP exchange is answered once, and every request of a phone has its one final response when the call ends;
//! - every 2xx to an INVITE is acknowledged or its leg released, and no leg is up when the call ends;
//! - once a call has a terminal status ([`Kit::watch`]) it never gets another;
//! - a state can be read again, and stays below the bound that the test sets ([`Kit::state_bytes_max`]).
//!
//! In one thing it is stricter than the contract: it refuses an INVITE of a call that no agent was bound to (`act_as`),
//! because such a call could answer no challenge.
//!
//! Several calls may live side by side. What the phones do is about the [`Kit::current`] one: the last that was posted to.

mod desk;
mod kit;
mod world;

pub use kit::Kit;
pub use world::{Effect, Farewell, Leg, LegState, Sent};

#[cfg(doc)]
use crate::Controller;

#[cfg(test)]
mod tests;
