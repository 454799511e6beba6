//! The named limits of a received message.

/// The largest datagram, in bytes: what UDP can carry.
pub const MAX_DATAGRAM: usize = 65_535;
/// The largest start line and header fields together, in bytes.
pub const MAX_HEAD: usize = 32 * 1024;
/// The most header fields.
pub const MAX_HEADERS: usize = 256;
/// The most Via values: a request that took more hops than Max-Forwards starts with is in a loop.
pub const MAX_VIAS: usize = 70;
/// The longest Request-URI, in bytes.
pub const MAX_URI: usize = 4096;
/// The longest header field with its continuation lines, in bytes without the last line end.
pub const MAX_LINE: usize = 8192;

/// How large a received message may be. The default has the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole message, in bytes.
    pub datagram: usize,
    /// Start line and header fields, in bytes.
    pub head: usize,
    /// The number of header fields.
    pub headers: usize,
    /// The number of Via values.
    pub vias: usize,
    /// The Request-URI, in bytes.
    pub uri: usize,
    /// One header field with its continuation lines, in bytes without the last line end.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            datagram: MAX_DATAGRAM,
            head: MAX_HEAD,
            headers: MAX_HEADERS,
            vias: MAX_VIAS,
            uri: MAX_URI,
            line: MAX_LINE,
        }
    }
}
