//! Parameters: `;name=value` of URIs and of header fields (RFC 3261 §19.1.1, §25.1).

use std::fmt;

use crate::text::{ByteSet, Text, behind, byte_set};

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Param {
    /// The name as it came; matches in any case.
    pub name: Text,
    /// The value as it came, a quoted string with its quotes; none for a parameter without `=`.
    pub value: Option<Text>,
}

/// Parameters in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Params(Vec<Param>);

/// Parameters that break the grammar. The fault of whoever made the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed parameters")]
pub struct InvalidParams;

impl Params {
    /// No parameters.
    pub const fn new() -> Params {
        Params(Vec::new())
    }

    /// Parses what follows an address or a value: nothing, or `;name=value` any number of times. White space around
    /// the separators is allowed and dropped, quoted values are kept as they are.
    ///
    /// # Errors
    /// When a name is empty, or a name or value holds what it may not.
    pub fn parse(text: &Text) -> Result<Params, InvalidParams> {
        Params::parse_part(text, text)
    }

    /// Parses `part`, which was borrowed from `whole`.
    pub(crate) fn parse_part(whole: &Text, part: &str) -> Result<Params, InvalidParams> {
        let own = |(name, value): (&str, Option<&str>)| Param {
            name: whole.slice_of(name),
            value: value.map(|value| whole.slice_of(value)),
        };
        parts(part).map(|param| param.map(own)).collect::<Result<_, _>>().map(Params)
    }

    /// The parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is one of this name, with or without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The value of the parameter of this name, as it came; none too when it has no value.
    pub fn get(&self, name: &str) -> Option<&Text> {
        self.find(name).and_then(|param| param.value.as_ref())
    }

    /// Sets the parameter of this name, in its place or at the end.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(Text::from);
        match self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: Text::from(name), value }),
        }
    }

    /// Removes the parameters of this name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|param| !param.name.eq_ignore_ascii_case(name));
    }

    fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Param { name, value } in &self.0 {
            f.write_str(";")?;
            f.write_str(name)?;
            if let Some(value) = value {
                f.write_str("=")?;
                f.write_str(value)?;
            }
        }
        Ok(())
    }
}

/// The parameters of a text one after another, looked at and not kept. The first malformed one is the last.
pub(crate) fn parts(text: &str) -> Parts<'_> {
    Parts(text.trim_ascii_start())
}

/// As [`Params::get`], of a text.
pub(crate) fn get<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    parts(text).map_while(Result::ok).find(|(own, _)| own.eq_ignore_ascii_case(name)).and_then(|(_, value)| value)
}

/// Whether a text would be parsed.
pub(crate) fn are_well_formed(text: &str) -> bool {
    parts(text).all(|param| param.is_ok())
}

/// See [`parts`].
pub(crate) struct Parts<'a>(&'a str);

impl<'a> Iterator for Parts<'a> {
    type Item = Result<(&'a str, Option<&'a str>), InvalidParams>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = std::mem::take(&mut self.0);
        if text.is_empty() {
            return None;
        }
        Some(first_param(text).ok_or(InvalidParams).map(|(name, value, rest)| {
            self.0 = rest;
            (name, value)
        }))
    }
}

/// The first parameter of a text that begins with its semicolon, and what follows it.
fn first_param(text: &str) -> Option<(&str, Option<&str>, &str)> {
    // Names are tokens, or the URI characters that tokens lack (RFC 3261 §25.1 `paramchar`).
    const fn is_name_byte(byte: u8) -> bool {
        is_unquoted(byte) && byte != b'='
    }
    static NAME: ByteSet = byte_set!(is_name_byte);
    let (name, rest) = NAME.split(behind(text, b';')?.trim_ascii_start())?;
    let rest = rest.trim_ascii_start();
    let (value, rest) = match behind(rest, b'=') {
        Some(value) => {
            let (value, rest) = split_value(value.trim_ascii_start())?;
            (Some(value), rest.trim_ascii_start())
        }
        None => (None, rest),
    };
    let ends = matches!(rest.as_bytes().first(), None | Some(b';'));
    (ends && !name.is_empty()).then_some((name, value, rest))
}

/// A token, host, URI part or quoted string that a text begins with, and the rest. Liberal in what stands unquoted, as
/// long as no separator is taken in.
fn split_value(text: &str) -> Option<(&str, &str)> {
    static UNQUOTED: ByteSet = byte_set!(is_unquoted);
    match behind(text, b'"') {
        Some(quoted) => text.split_at_checked(end_of_quoted(quoted)? + 2),
        None => UNQUOTED.split(text).filter(|(value, _)| !value.is_empty()),
    }
}

const fn is_unquoted(byte: u8) -> bool {
    !byte.is_ascii_control() && !matches!(byte, b' ' | b'"' | b'<' | b'>' | b',' | b';' | b'\\')
}

/// Where the quote stands that ends a quoted string whose first quote was just taken off.
pub(crate) fn end_of_quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index),
            _ => {}
        }
    }
    None
}

/// The text of a quoted string without its quotes and escapes; other text as it is.
pub fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.extend(chars.next()),
            other => out.push(other),
        }
    }
    out
}

/// The text as a quoted string (RFC 3261 §25.1). Line breaks, which no quoted string can hold, become spaces.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\r' | '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_quotes() {
        let params = Params::parse(&r#" ; a = 1 ;lr; c="x;\"y" "#.into()).expect("well-formed");
        assert_eq!(params.to_string(), r#";a=1;lr;c="x;\"y""#);
        assert_eq!(params.get("A").map(Text::as_str), Some("1"));
        assert!(params.contains("LR") && params.get("lr").is_none());
        assert_eq!(params.get("c").map(|value| unquote(value)).as_deref(), Some(r#"x;"y"#));
    }

    #[test]
    fn what_is_not_a_parameter() {
        for bad in [";", ";;a", ";a;", ";=1", "a", ";a=", ";a b", ";a=\"x", ";a=\"x\"y", ";a=<x>", ";a,b"] {
            assert_eq!(Params::parse(&bad.into()), Err(InvalidParams), "{bad}");
        }
    }

    #[test]
    fn setting_keeps_the_place() {
        let mut params = Params::parse(&";rport;branch=x".into()).expect("well-formed");
        params.set("rport", Some("5060"));
        params.set("received", Some("::1"));
        params.remove("branch");
        assert_eq!(params.to_string(), ";rport=5060;received=::1");
    }

    #[test]
    fn quoting_there_and_back() {
        for text in ["", "plain", r#"a"b\c"#, "\u{fc}"] {
            assert_eq!(unquote(&quote(text)), text);
        }
        assert_eq!(quote("a\r\nb"), "\"a  b\"");
    }
}
