//! What a call controller in Rust wants: the contract as plain Rust types, a trait to implement, and the small tools
//! that every controller needs.
//!
//! A controller implements [`Controller`] and names itself in [`export!`]; it never sees generated code:
//!
//! ```
//! use plugboard_sdk::{CallKey, Context, Controller, Description, Directory, Event, Fault, Host, HttpRequest, HttpResponse};
//!
//! /// Answers every request about a call with how often it was asked.
//! struct Counter;
//!
//! impl Controller for Counter {
//!     type State = u32;
//!     const SCHEMA: u32 = 1;
//!
//!     fn describe() -> Description {
//!         plugboard_sdk::describe::<Self>("counter", env!("CARGO_PKG_VERSION"), "/count")
//!     }
//!     fn route(_domain: &str, request: &HttpRequest, _users: &impl Directory) -> Result<CallKey, HttpResponse> {
//!         Ok(CallKey { value: request.path.clone() })
//!     }
//!     fn step(_: &Context, state: Option<u32>, event: Event, host: &mut impl Host) -> Result<Option<u32>, Fault> {
//!         let count = state.unwrap_or(0) + 1;
//!         if let Event::Http(arrival) = event {
//!             let answer = plugboard_sdk::text(200, &count.to_string());
//!             host.respond_http(arrival.exchange, answer).map_err(|error| Fault::Internal(error.to_string()))?;
//!         }
//!         Ok(Some(count))
//!     }
//! }
//!
//! plugboard_sdk::export!(Counter);
//! ```
//!
//! The guest keeps nothing in its own memory: time and chance come with the event ([`Context`], [`Random`]), effects go
//! out through the [`Host`], and what it must remember is the state that it returns ([`codec`]).
//!
//! With the feature `testkit` the module `testkit` runs a controller natively against scripted phones on a jumped clock.

// The generated code, and the `export!` macro in other crates, name this crate from outside.
extern crate self as plugboard_sdk;

#[cfg(any(target_family = "wasm", test))]
#[allow(unsafe_code)] // The language asks for it of an allocator; what makes it sound stands there.
mod allocator;
#[doc(hidden)]
pub mod bindings;
pub mod codec;
mod controller;
pub mod headers;
mod host;
pub mod json;
mod kept;
pub mod percent;
mod random;
pub mod sdp;
pub mod status;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod uri;
pub mod xml;

pub use bindings::exports::plugboard::call_control::controller::Description;
pub use bindings::plugboard::call_control::auth::{Denial, Identity};
pub use bindings::plugboard::call_control::log::Level;
pub use bindings::plugboard::call_control::sip::{Invite, Started};
pub use bindings::plugboard::call_control::types::{
    Address, CallKey, Context, EndingReason, Event, ExchangeId, FailureReason, Fault, Header, HttpArrival, HttpRequest,
    HttpResponse, IncomingAck, IncomingCancel, IncomingReplacement, IncomingRequest, IncomingResponse, LegId,
    Principal, RequestFailure, StageError, Timestamp, TransactionId,
};
#[doc(hidden)]
pub use controller::Component;
pub use controller::{Controller, describe};
pub use headers::{header, text};
pub use host::{Directory, Host, Imports};
pub use kept::Kept;
pub use random::Random;
#[doc(hidden)]
pub use wit_bindgen;

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator::new();
