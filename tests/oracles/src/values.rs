//! The smaller header values: each that can be read prints to what reads the same, in a header field as well as alone.

use std::fmt::{Debug, Display};

use plugboard_sip::values::{InvalidValue, MaxForwards, MinSe, RAck, RSeq, Reason, Replaces, SessionExpires};
use plugboard_sip::{HeaderName, Headers, Text};

use crate::header_text;

/// A text as each of the values.
pub fn values(data: &[u8]) {
    let Some(text) = header_text(data) else { return };
    held(&text, MaxForwards::parse);
    held(&text, MinSe::parse);
    held(&text, RAck::parse);
    held(&text, RSeq::parse);
    held(&text, Reason::parse);
    held(&text, SessionExpires::parse);
    if let Some(replaces) = held(&text, Replaces::parse) {
        // What names a dialog cannot name another one once it was printed.
        assert!(!replaces.call_id.is_empty() && !replaces.call_id.contains([' ', ';']), "{replaces}");
    }
    if let Some(rack) = held(&text, RAck::parse) {
        assert!(rack.rseq.0 > 0);
    }
}

fn held<T: Display + Debug + PartialEq>(text: &Text, parse: fn(&Text) -> Result<T, InvalidValue>) -> Option<T> {
    let value = parse(text).ok()?;
    let printed = value.to_string();
    assert_eq!(parse(&printed.as_str().into()).as_ref(), Ok(&value), "{printed}");
    let mut headers = Headers::new();
    headers.push(HeaderName::Subject, printed.as_str());
    let carried = headers.get(&HeaderName::Subject).and_then(|value| value.to_text()).expect("a line of text");
    assert_eq!(parse(&carried).as_ref(), Ok(&value), "{printed}");
    Some(value)
}
