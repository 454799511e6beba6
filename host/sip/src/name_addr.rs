//! Addresses with a name and parameters (RFC 3261 §20.10): From, To, Contact, Route, Record-Route, Reply-To,
//! Refer-To (RFC 3515), Referred-By (RFC 3892).

use std::fmt;

use crate::params::{self, Params, end_of_quoted, quote, unquote};
use crate::text::{Text, behind, position, split_before, split_once};
use crate::uri::{self, Uri};

/// An address: an optional name, a URI and parameters of the header field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameAddr {
    /// The display name without quotes and escapes.
    pub display_name: Option<Text>,
    /// The URI.
    pub uri: Uri,
    /// The parameters of the field: `tag`, `q`, `expires` and others.
    pub params: Params,
}

/// An address that breaks the grammar. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed address")]
pub struct InvalidAddress;

impl NameAddr {
    /// An address without name and parameters.
    pub fn new(uri: impl Into<Uri>) -> NameAddr {
        NameAddr { display_name: None, uri: uri.into(), params: Params::new() }
    }

    /// Parses one address, in angle brackets or not. Without them, parameters are those of the field, and the URI may
    /// hold no comma and no question mark (RFC 3261 §20.10).
    ///
    /// Liberal in two things that are seen in practice: an unquoted name may hold any character but a quote, and white
    /// space around the URI within the brackets is dropped.
    ///
    /// # Errors
    /// When a quote or bracket is not closed, or URI or parameters are malformed.
    pub fn parse(text: &Text) -> Result<NameAddr, InvalidAddress> {
        let Parts { name, uri, params } = Parts::of(text)?;
        let name = if name.starts_with('"') { Text::from(unquote(name)) } else { text.slice_of(name) };
        Ok(NameAddr {
            display_name: Some(name).filter(|name| !name.is_empty()),
            uri: Uri::parse_part(text, uri.trim_ascii()).map_err(|_| InvalidAddress)?,
            params: Params::parse_part(text, params).map_err(|_| InvalidAddress)?,
        })
    }

    /// The `tag` parameter of an address that was parsed before: its URI is not looked at again.
    pub(crate) fn tag_in(text: &str) -> Option<&str> {
        params::get(Parts::of(text).ok()?.params, "tag")
    }

    /// The URI of an address as it stands there, when it is a SIP URI and the address can be parsed.
    pub fn sip_uri_in(text: &Text) -> Option<Text> {
        let (uri, parts) = Self::well_formed(text)?;
        matches!(parts, uri::Parts::Sip(_)).then(|| text.slice_of(uri))
    }

    /// Whether a text would be parsed.
    pub(crate) fn is_well_formed(text: &str) -> bool {
        Self::well_formed(text).is_some()
    }

    /// The URI of a text that would be parsed.
    fn well_formed(text: &str) -> Option<(&str, uri::Parts<'_>)> {
        let Parts { uri, params, .. } = Parts::of(text).ok()?;
        let uri = uri.trim_ascii();
        let parts = uri::Parts::of(uri).ok()?;
        (parts.is_well_formed() && params::are_well_formed(params)).then_some((uri, parts))
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<Text> {
        self.params.get("tag").cloned()
    }

    /// The same with this tag.
    pub fn with_tag(mut self, tag: &str) -> NameAddr {
        self.params.set("tag", Some(tag));
        self
    }

    /// The `q` parameter in thousandths, 0 to 1000; 1000 when there is none or it is malformed (RFC 3261 §20.10).
    pub fn priority(&self) -> u16 {
        self.params.get("q").and_then(|q| parse_q(q)).unwrap_or(1000)
    }

    /// The `expires` parameter, seconds; none when there is none or it is malformed.
    pub fn expires(&self) -> Option<u32> {
        self.params.get("expires")?.parse().ok()
    }
}

/// An address taken apart, but not looked into.
struct Parts<'a> {
    /// With its quotes, when it has any.
    name: &'a str,
    uri: &'a str,
    params: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, InvalidAddress> {
        let part = text.trim_ascii();
        let (name, after_name) = match behind(part, b'"') {
            Some(quoted) => {
                let (name, rest) = part.split_at(end_of_quoted(quoted).ok_or(InvalidAddress)? + 2);
                (name, rest.trim_ascii_start())
            }
            None => {
                let Some(bracket) = position(part.as_bytes(), b'<') else { return Self::bare(part) };
                let (name, rest) = part.split_at(bracket);
                if position(name.as_bytes(), b'"').is_some() {
                    return Err(InvalidAddress);
                }
                (name.trim_ascii(), rest)
            }
        };
        let inner = behind(after_name, b'<').ok_or(InvalidAddress)?;
        let (uri, params) = split_once(inner, b'>').ok_or(InvalidAddress)?;
        Ok(Self { name, uri, params })
    }

    /// Without brackets.
    fn bare(part: &'a str) -> Result<Self, InvalidAddress> {
        let (uri, params) = split_before(part, b';');
        if uri.contains(['?', ',']) { Err(InvalidAddress) } else { Ok(Self { name: "", uri, params }) }
    }
}

/// RFC 3261 §25.1 `qvalue`: 0 to 1 with up to three decimals.
fn parse_q(q: &str) -> Option<u16> {
    let (whole, decimals) = q.split_once('.').unwrap_or((q, ""));
    let well_formed = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let whole = whole.parse::<u16>().ok().filter(|whole| *whole <= 1 && well_formed)?;
    let thousandths = format!("{decimals:0<3}").parse::<u16>().ok()?;
    Some(whole * 1000 + thousandths).filter(|q| *q <= 1000)
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.display_name {
            f.write_str(&quote(name))?;
            f.write_str(" ")?;
        }
        f.write_str("<")?;
        self.uri.fmt(f)?;
        f.write_str(">")?;
        self.params.fmt(f)
    }
}

impl From<&NameAddr> for crate::message::Value {
    fn from(address: &NameAddr) -> Self {
        Self::from(address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> Result<String, InvalidAddress> {
        NameAddr::parse(&text.into()).map(|address| address.to_string())
    }

    #[test]
    fn forms() {
        for (text, expected) in [
            ("sip:a@h;tag=1", "<sip:a@h>;tag=1"),
            ("<sip:a@h;lr>;tag=1", "<sip:a@h;lr>;tag=1"),
            ("caller<sip:a@h>", "\"caller\" <sip:a@h>"),
            ("\"J \\\\\\\"\"       <sip:a@h> ; tag = 9", "\"J \\\\\\\"\" <sip:a@h>;tag=9"),
            ("\"Bell, A\" < sip:a@h >", "\"Bell, A\" <sip:a@h>"),
            ("Bell, Alexander <sip:a@h>;tag=43", "\"Bell, Alexander\" <sip:a@h>;tag=43"),
            ("<sip:a@h?Route=%3Csip:b%3E>", "<sip:a@h?Route=%3Csip:b%3E>"),
            ("\"\" <tel:+1>", "<tel:+1>"),
            ("<http://www.example.com>;tag=1", "<http://www.example.com>;tag=1"),
        ] {
            assert_eq!(printed(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_uri_as_it_stands() {
        let uri = |text: &str| NameAddr::sip_uri_in(&text.into()).map(|uri| uri.to_string());
        assert_eq!(uri("\"A\" < SIP:a@H:05060;lr?x=y >;q=1").as_deref(), Some("SIP:a@H:05060;lr?x=y"));
        assert_eq!(uri("sip:a@h;q=1").as_deref(), Some("sip:a@h"));
        for bad in ["<tel:+1>", "<sip:a@h", "<sip:a@h;>", "<sip:a@h>;", "<sip:@h>", "*", ""] {
            assert_eq!(uri(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_address() {
        for bad in
            ["", "\"Mr. <sip:a@h>", "<sip:a@h", "sip:a@h?x=y", "a \"b\" <sip:a@h>", "\"a\" sip:a@h", "<sip:a@h>x"]
        {
            assert_eq!(printed(bad), Err(InvalidAddress), "{bad}");
        }
    }

    #[test]
    fn q_values() {
        let priority = |q: &str| NameAddr::parse(&format!("<sip:a@h>;q={q}").into()).map(|address| address.priority());
        assert_eq!(priority("0.33"), Ok(330));
        assert_eq!(priority("0"), Ok(0));
        assert_eq!(priority("1.000"), Ok(1000));
        assert_eq!(priority("1.5"), Ok(1000));
        assert_eq!(priority("x"), Ok(1000));
    }
}
