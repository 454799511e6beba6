//! What a request asks for that a user agent does not serve (RFC 3261 §8.2.2, §8.2.3).

use crate::message::{HeaderName, Method, Request, Status};
use crate::uri::Uri;

/// What a user agent serves; see [`unsupported`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Served<'a> {
    /// Option tags that a request may require.
    pub option_tags: &'a [&'a str],
    /// Media types, `type/subtype`, that the body of an INVITE may have.
    pub media_types: &'a [&'a str],
}

/// What a request asks for that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The scheme of the Request-URI: 416 (RFC 3261 §8.2.2.1).
    Scheme,
    /// Option tags in Require: 420 with these in Unsupported (RFC 3261 §8.2.2.3).
    Extensions(Vec<String>),
    /// The media type of the body: 415 with Accept (RFC 3261 §8.2.3).
    MediaType,
    /// The encoding of the body: 415 with Accept-Encoding (RFC 3261 §8.2.3).
    ContentEncoding,
}

impl Unsupported {
    /// The status to answer with.
    pub const fn status(&self) -> Status {
        match self {
            Unsupported::Scheme => Status::UNSUPPORTED_URI_SCHEME,
            Unsupported::Extensions(_) => Status::BAD_EXTENSION,
            Unsupported::MediaType | Unsupported::ContentEncoding => Status::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Looks for what a request asks for that is not served, in the order of RFC 3261 §8.2. ACK and CANCEL are never
/// refused in this way.
pub fn unsupported(request: &Request, served: &Served<'_>) -> Option<Unsupported> {
    if matches!(request.method, Method::Ack | Method::Cancel) {
        return None;
    }
    if matches!(Uri::parse(&request.uri), Ok(Uri::Other(_))) {
        return Some(Unsupported::Scheme);
    }
    let unknown: Vec<String> = request
        .headers
        .list(&HeaderName::Require)
        .map(|tag| tag.to_text_lossy().into_owned())
        .filter(|tag| !served.option_tags.iter().any(|own| own.eq_ignore_ascii_case(tag)))
        .collect();
    if !unknown.is_empty() {
        return Some(Unsupported::Extensions(unknown));
    }
    if request.body.is_empty() || request.method != Method::Invite {
        return None;
    }
    let headers = &request.headers;
    if headers.list(&HeaderName::ContentEncoding).any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Some(Unsupported::ContentEncoding);
    }
    let media_type = headers.get_str(&HeaderName::ContentType).map(essence).unwrap_or_default();
    let is_served = served.media_types.iter().any(|own| own.eq_ignore_ascii_case(&media_type));
    if is_served { None } else { Some(Unsupported::MediaType) }
}

/// `type/subtype` without parameters and white space.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().chars().filter(|char| !char.is_ascii_whitespace()).collect()
}
