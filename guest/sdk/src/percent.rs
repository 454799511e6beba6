//! Percent-encoding (RFC 3986 §2.1) of paths, queries and SIP URIs (RFC 3261 §19.1.2).

use std::borrow::Cow;

/// Undoes percent-encoding. A plus sign stays one: it begins international numbers. None when a percent sign is not
/// followed by two hexadecimal digits or the result is not UTF-8.
pub fn decode(text: &str) -> Option<String> {
    decoded(text).map(Cow::into_owned)
}

/// As [`decode`], without a copy of a text that has nothing encoded in it.
pub fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.as_bytes().contains(&b'%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (high, low) = (hex(*tail.first()?)?, hex(*tail.get(1)?)?);
        bytes.push(high << 4 | low);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Percent-encodes every byte but letters, digits and those in `kept`.
pub fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// What the user part of a SIP URI may carry besides letters and digits (RFC 3261 §25.1: mark and user-unreserved).
pub const URI_USER: &str = "-_.!~*'()&=+$,;?/";

/// What a header value inside a SIP URI may carry besides letters and digits (RFC 3261 §25.1: unreserved and
/// hnv-unreserved).
pub const URI_HEADER: &str = "-_.!~*'()[]/?:+$";

/// The names and values of a query, decoded, in order. A plus sign stays one. None when one cannot be decoded.
pub fn query(query: &str) -> Option<Vec<(String, String)>> {
    pairs(query).map(|pair| pair.map(|(name, value)| (name.into_owned(), value.into_owned()))).collect()
}

/// As [`query`], one after the other, without a copy of what has nothing encoded in it.
pub fn pairs(query: &str) -> impl Iterator<Item = Option<(Cow<'_, str>, Cow<'_, str>)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(n, v)| Some((decoded(n)?, decoded(v)?)))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding() {
        assert_eq!(decode("bob%40example.com").as_deref(), Some("bob@example.com"));
        assert_eq!(decode("+4930%20x").as_deref(), Some("+4930 x"));
        assert_eq!(decode("j%c3%bcrgen").as_deref(), Some("jürgen"));
        for bad in ["%", "%4", "%zz", "%ff", "%+1"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn encoding_keeps_what_it_may() {
        assert_eq!(encode("jürgen x@1", URI_USER), "j%C3%BCrgen%20x%401");
        assert_eq!(encode("1234#", URI_HEADER), "1234%23");
    }

    #[test]
    fn queries() {
        let pairs = query("a=1&b=%41&&c&d=x=y").expect("well formed");
        let expected = [("a", "1"), ("b", "A"), ("c", ""), ("d", "x=y")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_string(), v.to_string())));
        assert_eq!(query("a=%"), None);
    }
}
