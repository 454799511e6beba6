//! The value of one header field.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::text::Text;

/// The value of a header field: bytes, unfolded, without white space around them. Never holds a CR or LF, so no value
/// can start another header field.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Bytes);

/// A header value held a line break. The fault of whoever made the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a header value may not hold a line break")]
pub struct LineBreak;

impl Value {
    /// The bytes as a value; white space around them is removed.
    ///
    /// # Errors
    /// When they hold a CR or LF.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Value, LineBreak> {
        let bytes = bytes.into();
        if memchr::memchr2(b'\r', b'\n', &bytes).is_some() {
            return Err(LineBreak);
        }
        Ok(Value::trimmed(bytes))
    }

    /// A value that lives as long as the program; costs nothing.
    ///
    /// # Panics
    /// When it holds a line break or white space around it.
    pub const fn from_static(text: &'static str) -> Value {
        assert!(text.trim_ascii().len() == text.len(), "a value has no white space around it");
        let mut at = 0;
        while at < text.len() {
            assert!(!matches!(text.as_bytes()[at], b'\r' | b'\n'), "a value holds no line break");
            at += 1;
        }
        Value(Bytes::from_static(text.as_bytes()))
    }

    /// The bytes of the value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value as text; none when it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The value as text that shares its buffer; none when it is not UTF-8.
    pub fn to_text(&self) -> Option<Text> {
        Text::from_utf8(self.0.clone())
    }

    /// The value as text; bytes that are not UTF-8 are replaced.
    pub fn to_text_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// The same value in a buffer of its own: for what is kept longer than the message that it came in.
    pub fn apart(&self) -> Value {
        Value(Bytes::copy_from_slice(&self.0))
    }

    /// A part of this value that shares its buffer. `part` must have been borrowed from it.
    pub(crate) fn slice_of(&self, part: &[u8]) -> Value {
        if part.is_empty() { Value::default() } else { Value(self.0.slice_ref(part)) }
    }

    /// Bytes that the parser has unfolded and trimmed already.
    pub(crate) fn from_parsed(bytes: Bytes) -> Value {
        debug_assert!(memchr::memchr2(b'\r', b'\n', &bytes).is_none(), "the parser unfolds");
        Value(bytes)
    }
}

/// Line breaks become spaces, as unfolding would make of them (RFC 3261 §7.3.1).
impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::unbroken(Bytes::from(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::unbroken(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Value {
        Value::unbroken(text.into_bytes())
    }
}

impl Value {
    /// Text as a value, with spaces for its line breaks.
    fn unbroken(text: Bytes) -> Value {
        if memchr::memchr2(b'\r', b'\n', &text).is_none() {
            return Value::trimmed(text);
        }
        let space = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        Value::trimmed(text.iter().map(space).collect())
    }

    fn trimmed(bytes: Bytes) -> Value {
        let trimmed = bytes.trim_ascii();
        Value(if trimmed.len() == bytes.len() { bytes } else { bytes.slice_ref(trimmed) })
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Value {
        Value(Bytes::from(number.to_string()))
    }
}

impl PartialEq<str> for Value {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_holds_a_line_break() {
        assert_eq!(Value::new("a\r\nEvil: 1"), Err(LineBreak));
        assert_eq!(Value::from("a\r\nEvil: 1"), "a  Evil: 1");
        assert_eq!(Value::from(String::from("a\nb")), "a b");
        assert_eq!(Value::from(Text::from("a\rb")), "a b");
    }

    #[test]
    fn any_other_bytes_survive() {
        let bytes = Bytes::from_static(b"caf\xe9");
        let value = Value::new(bytes.clone()).expect("no line break");
        assert_eq!(value.as_bytes(), bytes);
        assert_eq!(value.as_str(), None);
    }
}
