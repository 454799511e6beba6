//! stub
/// RFC 3261 §12.2.2: the dialog does not exist (any more).
pub(crate) const GONE: u16 = 481;
