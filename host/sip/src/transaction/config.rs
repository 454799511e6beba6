//! What a layer is built with.

use std::fmt;
use std::time::Duration;

use crate::host::Host;
use crate::parse::MAX_DATAGRAM;
use crate::text::Text;
use crate::transport::Transport;

/// The most client transactions at a time.
pub const MAX_CLIENT_TRANSACTIONS: usize = 65_536;
/// The most server transactions at a time.
pub const MAX_SERVER_TRANSACTIONS: usize = 65_536;
/// The most 2xx with different To tags that one INVITE may get: forks of its request.
pub const MAX_FORKS: usize = 16;
/// The largest message that is sent over UDP, in bytes: what an IPv4 datagram carries.
pub const MAX_UDP_MESSAGE: usize = 65_507;

/// The base values of the timers (RFC 3261 §17.1.1.1, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerValues {
    /// The estimated round trip.
    pub t1: Duration,
    /// The longest interval between retransmissions of non-INVITE requests and of responses to INVITE.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Default for TimerValues {
    fn default() -> TimerValues {
        TimerValues { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// The sent-by of our Via on one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBy {
    /// The host.
    pub host: Host,
    /// The port; none for the default of the transport.
    pub port: Option<u16>,
}

/// As it stands in a Via.
impl fmt::Display for SentBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// How many transactions a layer may hold; what comes beyond is refused and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableLimits {
    /// Client transactions; a CANCEL counts with its INVITE.
    pub clients: usize,
    /// Server transactions.
    pub servers: usize,
}

impl Default for TableLimits {
    fn default() -> TableLimits {
        TableLimits { clients: MAX_CLIENT_TRANSACTIONS, servers: MAX_SERVER_TRANSACTIONS }
    }
}

/// What a layer is built with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The timers.
    pub timers: TimerValues,
    /// Our sent-by for each listener; [`crate::Destination::local`] is the index.
    pub sent_by: Vec<SentBy>,
    /// What every branch has after the cookie: a token, such as the name of this process, or nothing.
    pub branch_prefix: Text,
    /// What makes branches unpredictable and different from those of an earlier run.
    pub seed: [u8; 16],
    /// The bounds of the tables.
    pub limits: TableLimits,
}

/// The largest message that is sent over a transport, in bytes.
pub(super) const fn max_message(transport: Transport) -> usize {
    match transport {
        Transport::Udp => MAX_UDP_MESSAGE,
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => MAX_DATAGRAM,
    }
}
