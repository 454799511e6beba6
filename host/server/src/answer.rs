//! Answers that the host itself gives over HTTP.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// An answer with its whole body.
pub type Answered = Response<Full<Bytes>>;

/// One line for people, as text/plain.
pub fn plain(status: StatusCode, line: &str) -> Answered {
    with_type(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// A value as JSON.
pub fn json(status: StatusCode, value: &impl Serialize) -> Answered {
    match serde_json::to_vec(value) {
        Ok(body) => with_type(status, "application/json", body),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written"),
    }
}

/// Any body of this type.
pub fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answered {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// No body.
pub fn empty(status: StatusCode) -> Answered {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
