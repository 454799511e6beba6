//! Header fields as an ordered multi-map.

use std::fmt;

use crate::message::{HeaderName, Value};

/// The header fields of a message, in the order in which they stand. How many a received message may have is bounded
/// by [`crate::parse::Limits`].
///
/// Two compare equal when they hold the same fields in the same order.
#[derive(Clone, Default, PartialEq)]
pub struct Headers(Vec<(HeaderName, Value)>);

impl Headers {
    /// No fields.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// No fields, with room for `capacity` of them.
    pub fn with_capacity(capacity: usize) -> Headers {
        Headers(Vec::with_capacity(capacity))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&HeaderName, &Value)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &HeaderName) -> Option<&Value> {
        self.get_all(name).next()
    }

    /// The text of the first field of this name; none too when it is not UTF-8.
    pub fn get_str(&self, name: &HeaderName) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The values of all fields of this name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n HeaderName) -> impl DoubleEndedIterator<Item = &'a Value> + use<'a, 'n> {
        self.0.iter().filter(move |(own, _)| own == name).map(|(_, value)| value)
    }

    /// Whether there is a field of this name.
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// The number of fields of this name; several values in one field count once.
    pub fn count(&self, name: &HeaderName) -> usize {
        self.get_all(name).count()
    }

    /// The single values of a list header (RFC 3261 §7.3.1): those of all fields of this name, split at the commas
    /// that stand outside of quotes and angle brackets. Empty ones are left out. Each shares the buffer of its field.
    ///
    /// For a name that is no list, the whole values.
    pub fn list<'a, 'n>(&'a self, name: &'n HeaderName) -> impl Iterator<Item = Value> + use<'a, 'n> {
        let is_list = name.is_list();
        self.get_all(name).flat_map(move |value| {
            let elements = Elements { rest: Some(value.as_bytes()), is_list };
            elements.map(|element| value.slice_of(element))
        })
    }

    /// As [`Headers::list`], without taking a share of the buffer.
    pub(crate) fn elements<'a, 'n>(&'a self, name: &'n HeaderName) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let is_list = name.is_list();
        self.get_all(name).flat_map(move |value| Elements { rest: Some(value.as_bytes()), is_list })
    }

    /// The first of [`Headers::elements`].
    pub(crate) fn first_element(&self, name: &HeaderName) -> Option<&[u8]> {
        let is_list = name.is_list();
        self.get_all(name).find_map(|value| Elements { rest: Some(value.as_bytes()), is_list }.next())
    }

    /// Adds a field after all others.
    pub fn push(&mut self, name: HeaderName, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    /// Adds a field before all others.
    pub fn insert_first(&mut self, name: HeaderName, value: impl Into<Value>) {
        self.0.insert(0, (name, value.into()));
    }

    /// Makes this the only field of its name, in the place of the first one or at the end.
    pub fn set(&mut self, name: HeaderName, value: impl Into<Value>) {
        let place = self.0.iter().position(|(own, _)| *own == name).unwrap_or(self.0.len());
        self.remove_all(&name);
        self.0.insert(place, (name, value.into()));
    }

    /// Removes all fields of this name; says how many there were.
    pub fn remove_all(&mut self, name: &HeaderName) -> usize {
        let before = self.0.len();
        self.0.retain(|(own, _)| own != name);
        before - self.0.len()
    }

    /// Replaces the first single value of a list header, leaving what follows it in the same field. Nothing happens
    /// when there is none.
    pub(crate) fn replace_first_in_list(&mut self, name: &HeaderName, new: impl Into<String>) {
        let Some((_, value)) = self.0.iter_mut().find(|(own, _)| own == name) else {
            return;
        };
        let bytes = value.as_bytes();
        let rest = match end_of_element(bytes) {
            Some(comma) => bytes.get(comma..).unwrap_or_default(),
            None => b"",
        };
        let mut bytes = new.into().into_bytes();
        bytes.extend_from_slice(rest);
        *value = Value::from_parsed(bytes.into());
    }
}

/// Credentials are left out: from a proof that was made of a short PIN the PIN can be found.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = Value::from("***");
        let shown = self.iter().map(|(name, value)| match name {
            HeaderName::Authorization | HeaderName::ProxyAuthorization => (name, &secret),
            _ => (name, value),
        });
        f.debug_list().entries(shown).finish()
    }
}

impl FromIterator<(HeaderName, Value)> for Headers {
    fn from_iter<I: IntoIterator<Item = (HeaderName, Value)>>(fields: I) -> Headers {
        Headers(fields.into_iter().collect())
    }
}

impl Extend<(HeaderName, Value)> for Headers {
    fn extend<I: IntoIterator<Item = (HeaderName, Value)>>(&mut self, fields: I) {
        self.0.extend(fields);
    }
}

impl IntoIterator for Headers {
    type Item = (HeaderName, Value);
    type IntoIter = std::vec::IntoIter<(HeaderName, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

struct Elements<'a> {
    rest: Option<&'a [u8]>,
    is_list: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while let Some(rest) = self.rest {
            let end = if self.is_list { end_of_element(rest) } else { None };
            let (element, after) = match end {
                Some(comma) => (rest.get(..comma).unwrap_or_default(), rest.get(comma + 1..)),
                None => (rest, None),
            };
            self.rest = after;
            let element = element.trim_ascii();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// Where the first comma stands that separates two values: not in a quoted string, not between angle brackets.
fn end_of_element(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b',', bytes)?;
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if !bracketed => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            b',' if !quoted && !bracketed => return Some(index),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contacts(values: &[&str]) -> Headers {
        values.iter().map(|value| (HeaderName::Contact, Value::from(*value))).collect()
    }

    #[test]
    fn lists_split_outside_of_quotes_and_brackets() {
        let headers = contacts(&[r#""a, \" b" <sip:a,b@h;x="1,2">;q=1 ,, <sip:c@h>"#, "sip:d@h,"]);
        let found: Vec<_> = headers.list(&HeaderName::Contact).collect();
        assert_eq!(found, [r#""a, \" b" <sip:a,b@h;x="1,2">;q=1"#, "<sip:c@h>", "sip:d@h"].map(Value::from));
    }

    #[test]
    fn a_header_that_is_no_list_is_whole() {
        let mut headers = Headers::new();
        headers.push(HeaderName::Subject, "lunch, then work");
        let found: Vec<_> = headers.list(&HeaderName::Subject).collect();
        assert_eq!(found, [Value::from("lunch, then work")]);
    }

    #[test]
    fn set_keeps_the_place_of_the_first() {
        let mut headers = contacts(&["<sip:a@h>", "<sip:b@h>"]);
        headers.push(HeaderName::Subject, "x");
        headers.set(HeaderName::Contact, "<sip:c@h>");
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Contact", "Subject"]);
        assert_eq!(headers.get_str(&HeaderName::Contact), Some("<sip:c@h>"));
    }

    #[test]
    fn credentials_are_not_printed() {
        let mut headers = contacts(&["<sip:a@h>"]);
        headers.push(HeaderName::ProxyAuthorization, "Digest response=\"abc\"");
        headers.push(HeaderName::Authorization, "Basic abc");
        let printed = format!("{headers:?}");
        assert!(printed.contains("<sip:a@h>") && !printed.contains("abc"), "{printed}");
    }

    #[test]
    fn replacing_the_first_of_a_list_leaves_the_others() {
        let mut headers = Headers::new();
        headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b");
        headers.replace_first_in_list(&HeaderName::Via, "new");
        assert_eq!(headers.get_str(&HeaderName::Via), Some("new, SIP/2.0/UDP b"));
    }
}
