//! Header fields of a message in their typed form.

use crate::cseq::CSeq;
use crate::message::{HeaderName, Headers, Request, Status, Value};
use crate::name_addr::NameAddr;
use crate::text::{Text, printed};
use crate::values::MaxForwards;
use crate::via::{self, Via};

/// A header field could not be had in its typed form. The fault of whoever made the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is no field of this name.
    #[error("no such header field")]
    Missing,
    /// Its value breaks the grammar.
    #[error("the header field is malformed")]
    Malformed,
}

impl Headers {
    /// The topmost Via.
    ///
    /// # Errors
    /// When there is none or it is malformed.
    pub fn top_via(&self) -> Result<Via, HeaderError> {
        self.first(&HeaderName::Via, Via::parse)
    }

    /// From.
    ///
    /// # Errors
    /// When there is none or it is malformed.
    pub fn from_header(&self) -> Result<NameAddr, HeaderError> {
        self.first(&HeaderName::From, NameAddr::parse)
    }

    /// To.
    ///
    /// # Errors
    /// When there is none or it is malformed.
    pub fn to_header(&self) -> Result<NameAddr, HeaderError> {
        self.first(&HeaderName::To, NameAddr::parse)
    }

    /// CSeq.
    ///
    /// # Errors
    /// When there is none or it is malformed.
    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        CSeq::read(self.look(&HeaderName::CSeq)?).map_err(|_| HeaderError::Malformed)
    }

    /// Call-ID.
    ///
    /// # Errors
    /// When there is none, it is empty or not UTF-8.
    pub fn call_id(&self) -> Result<Text, HeaderError> {
        self.first(&HeaderName::CallId, |text| (!text.is_empty()).then(|| text.clone()).ok_or(()))
    }

    /// Max-Forwards.
    ///
    /// # Errors
    /// When there is none or it is malformed.
    pub fn max_forwards(&self) -> Result<MaxForwards, HeaderError> {
        self.first(&HeaderName::MaxForwards, MaxForwards::parse)
    }

    /// The tag of From; none when there is none. Does not look at the URI: that is for whoever takes the message in.
    pub fn from_tag(&self) -> Option<Text> {
        self.tag(&HeaderName::From)
    }

    /// The tag of To; the same.
    pub fn to_tag(&self) -> Option<Text> {
        self.tag(&HeaderName::To)
    }

    fn tag(&self, name: &HeaderName) -> Option<Text> {
        let value = self.address_value(name)?;
        NameAddr::tag_in(value.as_str()?).and_then(|tag| value.slice_of(tag.as_bytes()).to_text())
    }

    /// The tag of From or To, without taking a share of the buffer.
    pub(crate) fn look_tag(&self, name: &HeaderName) -> Option<&str> {
        NameAddr::tag_in(self.address_value(name)?.as_str()?)
    }

    fn address_value(&self, name: &HeaderName) -> Option<&Value> {
        self.get_all(name).find(|value| !value.as_bytes().is_empty())
    }

    /// The `branch` of the topmost Via.
    ///
    /// # Errors
    /// When there is no Via or it is malformed.
    pub fn branch(&self) -> Result<Option<&str>, HeaderError> {
        self.via_parts().map(|via| via.branch())
    }

    /// The topmost Via as it stands there, its parameters not checked.
    pub(crate) fn via_parts(&self) -> Result<via::Parts<'_>, HeaderError> {
        via::Parts::of(self.look(&HeaderName::Via)?).map_err(|_| HeaderError::Malformed)
    }

    /// The topmost Via as it stands there.
    pub(crate) fn checked_via(&self) -> Result<via::Checked<'_>, HeaderError> {
        self.via_parts()?.checked().map_err(|_| HeaderError::Malformed)
    }

    /// The text of the first value of this name.
    pub(crate) fn look(&self, name: &HeaderName) -> Result<&str, HeaderError> {
        let value = self.first_element(name).ok_or(HeaderError::Missing)?;
        std::str::from_utf8(value).map_err(|_| HeaderError::Malformed)
    }

    /// The addresses of a header that lists them, such as Contact, Route and Record-Route, or that has one, such as
    /// Refer-To.
    ///
    /// # Errors
    /// `Malformed` when one of them is; none at all is an empty list.
    pub fn addresses(&self, name: &HeaderName) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(name).map(|value| typed(&value, NameAddr::parse)).collect()
    }

    /// Whether a list header holds this token, in any case; such as an option tag in Supported.
    pub fn lists_token(&self, name: &HeaderName, token: &str) -> bool {
        self.elements(name).any(|value| value.eq_ignore_ascii_case(token.as_bytes()))
    }

    fn first<T, E>(&self, name: &HeaderName, parse: impl Fn(&Text) -> Result<T, E>) -> Result<T, HeaderError> {
        let value = self.list(name).next().ok_or(HeaderError::Missing)?;
        typed(&value, parse)
    }
}

fn typed<T, E>(value: &Value, parse: impl Fn(&Text) -> Result<T, E>) -> Result<T, HeaderError> {
    let text = value.to_text().ok_or(HeaderError::Malformed)?;
    parse(&text).map_err(|_| HeaderError::Malformed)
}

/// The header fields that a response has from its request.
pub(super) fn response_headers(request: &Request, status: Status, to_tag: &str) -> Headers {
    let may_set_up_dialog = (101..=299).contains(&status.code());
    let mut headers = Headers::with_capacity(request.headers.len());
    for (name, value) in request.headers.iter() {
        match name {
            HeaderName::To => headers.push(HeaderName::To, tagged(value, status, to_tag)),
            HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                headers.push(name.clone(), value.clone());
            }
            HeaderName::Timestamp if status == Status::TRYING => headers.push(name.clone(), value.clone()),
            HeaderName::RecordRoute if may_set_up_dialog => headers.push(name.clone(), value.clone()),
            _ => {}
        }
    }
    headers
}

/// The To of a request with the tag of our side (RFC 3261 §8.2.6.2). What cannot be read is returned as it came.
fn tagged(to: &Value, status: Status, to_tag: &str) -> Value {
    let wants_none = status == Status::TRYING || to_tag.is_empty();
    if wants_none || to.as_str().and_then(NameAddr::tag_in).is_some() {
        return to.clone();
    }
    match to.to_text().and_then(|text| NameAddr::parse(&text).ok()) {
        Some(address) if address.tag().is_none() => Value::from(printed(address.with_tag(to_tag))),
        _ => to.clone(),
    }
}
