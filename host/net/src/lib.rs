//! The edge of the machine: UDP sockets, TCP, TLS and WebSocket connections, the resolver and the clock. Nothing here
//! knows what a call is.

#![forbid(unsafe_code)]

pub mod clock;
pub mod resolve;
pub mod streams;
pub mod tcp;
pub mod tls;
pub mod udp;
