//! The edge of the machine: UDP sockets, the resolver and the clock. Nothing here knows what a call is.

#![forbid(unsafe_code)]

pub mod clock;
pub mod resolve;
pub mod udp;
