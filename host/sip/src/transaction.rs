//! Transactions (RFC 3261 §17 with RFC 6026): the four machines, and the layer that keeps the table of them.
//!
//! The layer is driven by four calls, each with the present time and a list that outputs are added to:
//! [`Layer::receive`] for what the network brought, [`Layer::send`] and [`Layer::respond`] for what the user wants,
//! and [`Layer::poll`] when [`Layer::next_deadline`] has come.

mod branch;
mod client;
mod clients;
mod config;
mod deadlines;
mod derived;
mod invite_client;
mod invite_server;
mod keys;
mod layer;
mod machine;
mod non_invite_client;
mod non_invite_server;
mod output;
mod reply;
mod servers;
mod table;
#[cfg(test)]
mod tests;
mod timer;

pub use config::{
    Config, MAX_CLIENT_TRANSACTIONS, MAX_FORKS, MAX_SERVER_TRANSACTIONS, MAX_UDP_MESSAGE, SentBy, TableLimits,
    TimerValues,
};
pub use layer::Layer;
pub use output::{ClientId, Counters, FailureReason, Output, RespondError, SendError, ServerId, Stray, StrayReason};
pub use reply::{return_path, stateless_reply, stateless_response};
