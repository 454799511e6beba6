//! SIP as values: messages, transactions and digest authentication.
//!
//! The crate is pure. Bytes, time and the seed for unpredictable values come in as arguments; what is to be sent and
//! what happened go out as values. It knows no clock, no socket, no thread and no source of chance, so the same inputs
//! give the same outputs, always.
//!
//! The way of a datagram:
//!
//! 1. [`admit::admit`] parses it ([`parse`]) and holds it against the rules ([`validate`]). What cannot be served but
//!    can be answered comes back with the stateless answer.
//! 2. [`transaction::Layer::receive`] matches it to a transaction, absorbs retransmissions, and says what the user
//!    of the layer must know as [`transaction::Output`].
//! 3. The user answers with [`transaction::Layer::respond`], or sends with [`transaction::Layer::send`].
//!
//! [`locate`] chooses where a request goes (RFC 3263); asking DNS is left to others.
//!
//! Implements RFC 3261 §7, §8, §17, §18.2 and §20 with RFC 3581 (rport), RFC 6026 (Accepted), RFC 3326 (Reason),
//! RFC 3515 (Refer-To), RFC 3891 (Replaces), RFC 3892 (Referred-By), RFC 4028 (Session-Expires), RFC 7616 and
//! RFC 8760 (digest).

#![forbid(unsafe_code)]

pub mod admit;
pub mod bucket;
pub mod connections;
pub mod cseq;
pub mod digest;
pub mod digits;
pub mod flood;
pub mod host;
pub mod locate;
pub mod message;
pub mod name_addr;
pub mod params;
pub mod parse;
pub mod stream;
pub mod text;
pub mod time;
pub mod transaction;
pub mod transport;
pub mod uri;
pub mod validate;
pub mod values;
pub mod via;

pub use host::Host;
pub use message::{HeaderName, Headers, Message, Method, Request, Response, Status, Value};
pub use name_addr::NameAddr;
pub use text::{Text, Token};
pub use time::Time;
pub use transport::{Destination, Transport};
pub use uri::{SipUri, Uri};
pub use via::Via;
