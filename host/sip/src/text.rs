//! Text that is cheap to clone, and the token of the SIP grammar.

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use bytes::Bytes;
use bytestring::ByteString;
use smallvec::SmallVec;

/// Immutable UTF-8 text. Clones and parts share one buffer, usually the datagram it came in.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(ByteString);

impl Text {
    /// No text.
    pub const EMPTY: Text = Text(ByteString::new());

    /// Text that lives as long as the program; costs nothing.
    pub const fn from_static(text: &'static str) -> Text {
        Text(ByteString::from_static(text))
    }

    /// The bytes as text; none when they are not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Option<Text> {
        ByteString::try_from(bytes).ok().map(Text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text in a buffer of its own: for what is kept longer than the message that it came in.
    pub fn apart(&self) -> Text {
        Text::from(self.as_str())
    }

    /// The bytes of the text, shared.
    pub fn to_bytes(&self) -> Bytes {
        self.0.as_bytes().clone()
    }

    /// The bytes of the text.
    pub fn into_bytes(self) -> Bytes {
        self.0.into_bytes()
    }

    /// The part of this text that `part` is, sharing its buffer.
    ///
    /// # Panics
    /// When `part` was not borrowed from this text.
    pub fn slice_of(&self, part: &str) -> Text {
        if part.is_empty() {
            return Text::EMPTY;
        }
        Text(self.0.slice_ref(part))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// As `str` does, so that a map can be asked with one.
impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(ByteString::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(ByteString::from(text))
    }
}

impl From<&Text> for Text {
    fn from(text: &Text) -> Text {
        text.clone()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A value as it prints, in one allocation of its size; `to_string` would make several, and sharing what is larger than
/// its text one more.
pub fn printed(value: impl fmt::Display) -> Text {
    let mut printed = Printed(SmallVec::new());
    write!(printed, "{value}").expect("there is room for all");
    Text::from_utf8(Bytes::copy_from_slice(&printed.0)).expect("it was written as text")
}

/// Text that is being printed.
struct Printed(SmallVec<[u8; USUAL_BYTES]>);

impl fmt::Write for Printed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// What most values fit into, in bytes.
const USUAL_BYTES: usize = 96;

/// A `token` of the SIP grammar (RFC 3261 §25.1): letters, digits and ``-.!%*_+`'~``, at least one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(Text);

impl Token {
    /// The text as a token; none when it is empty or holds anything else.
    pub fn new(text: impl Into<Text>) -> Option<Token> {
        let text = text.into();
        is_token(text.as_bytes()).then_some(Token(text))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether the bytes are a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    static TOKEN: ByteSet = byte_set!(is_token_byte);
    !bytes.is_empty() && TOKEN.holds(bytes)
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// The bytes that a rule lets through, looked up: rules are asked for every byte of a message.
pub(crate) struct ByteSet(pub(crate) [bool; 256]);

impl ByteSet {
    /// Whether all bytes are let through.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.0[usize::from(*byte)])
    }

    /// What a text begins with that is let through, and the rest; none when that would part a character.
    pub(crate) fn split<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let end = text.bytes().position(|byte| !self.0[usize::from(byte)]);
        text.split_at_checked(end.unwrap_or(text.len()))
    }
}

/// The [`ByteSet`] of a `const fn(u8) -> bool`.
macro_rules! byte_set {
    ($rule:expr) => {{
        const BYTES: [bool; 256] = {
            let mut bytes = [false; 256];
            let mut byte = 0;
            while byte < 256 {
                bytes[byte] = $rule(byte as u8);
                byte += 1;
            }
            bytes
        };
        crate::text::ByteSet(BYTES)
    }};
}
pub(crate) use byte_set;

/// What stands before and behind the first of these ASCII characters; none when there is none.
pub(crate) fn split_once(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = position(text.as_bytes(), at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// What stands before the first of these ASCII characters, and the rest from it on.
pub(crate) fn split_before(text: &str, at: u8) -> (&str, &str) {
    let at = position(text.as_bytes(), at).unwrap_or(text.len());
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// What stands behind this ASCII character, when the text begins with it.
#[inline]
pub(crate) fn behind(text: &str, first: u8) -> Option<&str> {
    if text.as_bytes().first() == Some(&first) { text.get(1..) } else { None }
}

/// Where the first of these bytes stands. Byte by byte: in what is as short as the parts of a header field, that is less
/// work than to call [`memchr`].
pub(crate) fn position(bytes: &[u8], of: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_the_buffer() {
        let whole = Text::from("sip:alice@example.com");
        let part = whole.slice_of(&whole[4..9]);
        assert_eq!(part, "alice");
        assert_eq!(part.to_bytes().as_ptr(), whole.to_bytes()[4..].as_ptr());
    }

    #[test]
    fn tokens_hold_no_separators() {
        assert!(Token::new("a-.!%*_+`'~9").is_some());
        for bad in ["", "a b", "a:b", "a\r\nb", "\u{e9}"] {
            assert!(Token::new(bad).is_none(), "{bad:?}");
        }
    }
}
