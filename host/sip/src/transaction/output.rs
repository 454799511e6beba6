//! What comes out of the layer.

use bytes::Bytes;

use crate::message::{Request, Response};
use crate::transport::Destination;

/// Names a client transaction. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) u64);

/// Names a server transaction. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub(super) u64);

/// What the layer wants done or has to tell. `U` is the tag that the user gave with the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Output<U> {
    /// Send these bytes.
    Transmit {
        /// Where to.
        destination: Destination,
        /// The message.
        bytes: Bytes,
        /// The client transaction to tell with [`super::Layer::transport_failed`] when they cannot be sent.
        client: Option<ClientId>,
    },
    /// A new request, not an ACK or CANCEL. One final response is owed to it.
    Request {
        /// Its transaction.
        server: ServerId,
        /// The request; its topmost Via says where it came from (RFC 3261 §18.2.1, RFC 3581 §4).
        request: Request,
        /// Where it came from.
        flow: Destination,
    },
    /// The ACK of a 2xx that was sent with [`super::Layer::respond`]; once for each.
    Ack {
        /// The transaction of the INVITE.
        server: ServerId,
        /// The ACK.
        request: Request,
        /// Where it came from.
        flow: Destination,
    },
    /// The peer gave up an INVITE that has no final response yet; it still wants one (487). The layer has answered the
    /// CANCEL.
    Cancelled {
        /// The transaction of the INVITE.
        server: ServerId,
        /// The CANCEL.
        request: Request,
    },
    /// A response. After a final one there are no more, but for further 2xx to an INVITE with other To tags.
    Response {
        /// The transaction.
        client: ClientId,
        /// The user's tag.
        user: U,
        /// The response.
        response: Response,
    },
    /// There will be no final response. The transaction is over.
    Failed {
        /// The transaction.
        client: ClientId,
        /// The user's tag.
        user: U,
        /// Why.
        reason: FailureReason,
    },
    /// No ACK came for a 2xx, in 64 times T1 (RFC 3261 §13.3.1.4). The dialog stands, and is to be ended.
    NoAck {
        /// The transaction of the INVITE.
        server: ServerId,
    },
    /// A message that no transaction is about. Nothing is owed; for logs and counters.
    Stray(Stray),
}

/// Why a request of ours got no final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// None came in time (timers B and F, or 64 times T1 after a CANCEL).
    Timeout,
    /// The transport failed.
    Transport,
}

/// A message that no transaction is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Stray {
    /// Where it came from.
    pub flow: Destination,
    /// What it is.
    pub reason: StrayReason,
}

/// What a stray message is.
#[derive(Clone, Debug, PartialEq)]
pub enum StrayReason {
    /// A response to nothing that we have sent, or to what is over (RFC 3261 §18.1.2). A 2xx to an INVITE may be among
    /// them that came after a failure or a timeout: its dialog still wants an ACK and a BYE (RFC 3261 §13.2.2.4).
    Response(Box<Response>),
    /// An ACK of nothing that we have sent.
    Ack(Box<Request>),
    /// A request for which the table is full; answered 503.
    Refused(Box<Request>),
    /// A message that [`crate::validate`] would have refused; dropped.
    Malformed,
}

/// Why a request was not sent. Ours, not the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SendError {
    /// The table of client transactions is full.
    #[error("too many client transactions")]
    TableFull,
    /// The message does not fit into a datagram.
    #[error("message too large")]
    TooLarge,
    /// The Request-URI holds white space or a control character, or CSeq is missing, malformed or of another method.
    #[error("malformed request")]
    Malformed,
    /// An ACK or CANCEL: see [`super::Layer::acknowledge`] and [`super::Layer::cancel`].
    #[error("not a request that starts a transaction")]
    WrongMethod,
    /// The destination names a listener without a sent-by.
    #[error("no such listener")]
    NoListener,
}

/// Why a response was not sent. Ours, not the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RespondError {
    /// No such transaction, or it is over.
    #[error("no such server transaction")]
    Unknown,
    /// It has its final response.
    #[error("already answered")]
    AlreadyAnswered,
    /// The message does not fit into a datagram.
    #[error("message too large")]
    TooLarge,
}

/// How often something happened since the layer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests of ours refused because the table was full.
    pub clients_refused: u64,
    /// Requests of peers refused because the table was full.
    pub servers_refused: u64,
    /// Requests of peers that were retransmissions.
    pub retransmissions_absorbed: u64,
    /// Messages that we sent again because of a timer.
    pub retransmissions_sent: u64,
    /// Messages that no transaction was about.
    pub strays: u64,
}
