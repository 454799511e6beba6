//! The head of a message.

use bytes::Bytes;

use crate::message::Message;
use crate::parse::{Limits, ParseError, ParseErrorKind};

pub(super) fn parse(datagram: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    let _ = (datagram, limits);
    Err(ParseErrorKind::Empty.into())
}
