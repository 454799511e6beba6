//! The syntax of challenges and credentials (RFC 7235 §2.1): `Scheme name=value, name="value", Scheme ...`.

use crate::params::{end_of_quoted, unquote};
use crate::text::is_token;

/// The most challenges that are read from one header field.
pub(super) const MAX_CHALLENGES: usize = 16;

/// The most fields that one challenge or set of credentials may have; the RFCs name a dozen.
pub(super) const MAX_FIELDS: usize = 32;

/// One challenge, or one set of credentials.
#[derive(Debug, Default)]
pub(super) struct Scheme<'a> {
    pub(super) name: &'a str,
    fields: Vec<(&'a str, String)>,
    /// A field came twice, there were too many, or something was no field.
    malformed: bool,
}

impl Scheme<'_> {
    /// Whether it is Digest, and nothing about it is malformed.
    pub(super) fn is_digest(&self) -> bool {
        self.name.eq_ignore_ascii_case("Digest") && !self.malformed
    }

    /// The value of a field, without quotes and escapes.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn has_room_for(&self, name: &str) -> bool {
        self.fields.len() < MAX_FIELDS && self.get(name).is_none()
    }
}

/// Takes a header value apart. What follows something that cannot be read is left out.
pub(super) fn parse(value: &str) -> Vec<Scheme<'_>> {
    let mut schemes: Vec<Scheme<'_>> = Vec::new();
    for item in items(value) {
        let (scheme, field) = split_scheme(item);
        if let Some(name) = scheme {
            if schemes.len() == MAX_CHALLENGES {
                break;
            }
            schemes.push(Scheme { name, ..Scheme::default() });
        }
        let Some(current) = schemes.last_mut() else { break };
        match split_field(field) {
            Some((name, value)) if current.has_room_for(name) => current.fields.push((name, value)),
            None if field.is_empty() => {}
            _ => current.malformed = true,
        }
    }
    schemes
}

/// The parts between commas that stand outside of quotes. An open quote ends the list.
fn items(value: &str) -> Vec<&str> {
    let (mut items, mut start, mut at) = (Vec::new(), 0, 0);
    let bytes = value.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => match value.get(at + 1..).and_then(end_of_quoted) {
                Some(end) => at += end + 1,
                None => return items,
            },
            b',' => {
                items.extend(value.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    items.extend(value.get(start..));
    items.into_iter().map(str::trim_ascii).filter(|item| !item.is_empty()).collect()
}

/// The scheme that an item begins with, if any, and the rest. `a = b` begins with none.
fn split_scheme(item: &str) -> (Option<&str>, &str) {
    let (word, rest) = item.split_at(item.find([' ', '\t', '=']).unwrap_or(item.len()));
    let rest = rest.trim_ascii();
    if rest.starts_with('=') { (None, item) } else { (Some(word), rest) }
}

fn split_field(field: &str) -> Option<(&str, String)> {
    let (name, value) = field.split_once('=')?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let well_formed = match value.strip_prefix('"') {
        Some(quoted) => end_of_quoted(quoted).is_some_and(|end| end + 1 == quoted.len()),
        // Some send URIs and other text without quotes: anything that has no white space is taken.
        None => !value.is_empty() && !value.contains([' ', '\t', '"']),
    };
    (is_token(name.as_bytes()) && well_formed).then(|| (name, unquote(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_schemes_in_one_value() {
        let schemes = parse(r#"Basic realm="a, b", Digest realm = "q\"q" ,nonce=n,, NTLM , Digest nonce="2""#);
        let names: Vec<_> = schemes.iter().map(|scheme| scheme.name).collect();
        assert_eq!(names, ["Basic", "Digest", "NTLM", "Digest"]);
        assert_eq!(schemes[0].get("realm"), Some("a, b"));
        assert_eq!((schemes[1].get("REALM"), schemes[1].get("nonce")), (Some("q\"q"), Some("n")));
        assert_eq!(schemes[3].get("nonce"), Some("2"));
    }

    #[test]
    fn what_is_malformed_is_no_digest() {
        for bad in [r#"Digest a="1", a="2""#, r#"Digest a="1"x"#, "Digest a", "Digest a=1 2", "nonce=1"] {
            assert!(!parse(bad).iter().any(Scheme::is_digest), "{bad}");
        }
        assert!(parse("Digest a=\"1").is_empty(), "an open quote");
    }

    #[test]
    fn the_number_of_fields_is_bounded() {
        let value = |count: usize| {
            let fields: Vec<String> = (0..count).map(|field| format!("f{field}=1")).collect();
            format!("Digest {}", fields.join(", "))
        };
        assert!(parse(&value(MAX_FIELDS))[0].is_digest());
        assert!(!parse(&value(MAX_FIELDS + 1))[0].is_digest());
    }

    #[test]
    fn the_number_of_challenges_is_bounded() {
        let value = |count: usize| vec!["Digest a=1"; count].join(", ");
        assert_eq!(parse(&value(MAX_CHALLENGES)).len(), MAX_CHALLENGES);
        assert_eq!(parse(&value(MAX_CHALLENGES + 1)).len(), MAX_CHALLENGES);
    }
}
