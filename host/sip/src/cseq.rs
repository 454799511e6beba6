//! CSeq (RFC 3261 §20.16).

use std::fmt;

use crate::message::Method;
use crate::text::Text;

/// The largest sequence number (RFC 3261 §8.1.1.5).
pub const MAX_SEQUENCE: u32 = (1 << 31) - 1;

/// A CSeq value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// The sequence number, 0 to [`MAX_SEQUENCE`].
    pub number: u32,
    /// The method.
    pub method: Method,
}

/// A CSeq that breaks the grammar or its bound. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed CSeq")]
pub struct InvalidCSeq;

impl CSeq {
    /// Parses a CSeq value.
    ///
    /// # Errors
    /// When it is not a number up to [`MAX_SEQUENCE`] and a method.
    pub fn parse(text: &Text) -> Result<CSeq, InvalidCSeq> {
        CSeq::read(text)
    }

    /// As [`CSeq::parse`]; shares no buffer.
    pub(crate) fn read(text: &str) -> Result<CSeq, InvalidCSeq> {
        let text = text.trim_ascii();
        let blank = text.bytes().position(|byte| matches!(byte, b' ' | b'\t')).ok_or(InvalidCSeq)?;
        let (number, method) = text.split_at_checked(blank).ok_or(InvalidCSeq)?;
        let number = crate::values::parse_number(number).filter(|number| *number <= MAX_SEQUENCE);
        let method = Method::named(method.trim_ascii());
        number.zip(method).map(|(number, method)| CSeq { number, method }).ok_or(InvalidCSeq)
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_up_to_the_bound() {
        let parse = |text: &str| CSeq::parse(&text.into()).map(|cseq| cseq.to_string());
        assert_eq!(parse("0009   INVITE").as_deref(), Ok("9 INVITE"));
        assert_eq!(parse("2147483647 BYE").as_deref(), Ok("2147483647 BYE"));
        for bad in ["2147483648 BYE", "36893488147419103232 X", "1", "INVITE", "-1 BYE", "+1 BYE", "1 B YE", ""] {
            assert_eq!(parse(bad), Err(InvalidCSeq), "{bad}");
        }
    }
}
