//! HTTP requests and answers as call logic sees them.

use crate::answer::{Answered, empty};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, StatusCode, request};
use http_body_util::Full;
use plugboard_calls::contract::{Header, HttpRequest, HttpResponse};

/// What proves who someone is; never crosses to call logic.
const CREDENTIALS: [HeaderName; 3] = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];
/// What belongs to the connection (RFC 9110 §7.6.1) or to the framing, and so to the host.
const HOSTS_OWN: [HeaderName; 7] =
    [CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

/// A request for call logic: without credentials and without what belongs to the connection. Values that are not UTF-8
/// are left out.
pub fn to_guest(parts: &request::Parts, body: Vec<u8>) -> HttpRequest {
    let kept = |(name, value): (&HeaderName, &HeaderValue)| {
        let mine = CREDENTIALS.contains(name) || HOSTS_OWN.contains(name);
        let value = std::str::from_utf8(value.as_bytes()).ok().filter(|_| !mine)?;
        Some(Header { name: name.as_str().to_owned(), value: value.to_owned() })
    };
    HttpRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.iter().filter_map(kept).collect(),
        body,
    }
}

/// Call logic's answer. Fields that are the host's or cannot be sent are left out; HEAD gets the length of the body
/// instead of the body (RFC 9110 §9.3.2).
pub fn from_guest(response: HttpResponse, method: &Method) -> Answered {
    let status = StatusCode::from_u16(response.status).ok().filter(|status| status.as_u16() >= 200);
    let mut answer = empty(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    *answer.headers_mut() = headers(response.headers);
    if method != Method::HEAD {
        *answer.body_mut() = Full::from(response.body);
    } else if !response.body.is_empty() {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(response.body.len()));
    }
    answer
}

fn headers(given: Vec<Header>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for Header { name, value } in given {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
        if !HOSTS_OWN.contains(&name) {
            // A map that is full (32,768 names) takes no more; the stage bounds what a guest can send far below that.
            let _ = headers.try_append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    #[test]
    fn call_logic_sees_no_credentials() {
        let request = Request::post("/callcontroller/a%40b/c?timeout=30")
            .header("Authorization", "Basic YTpi")
            .header("Proxy-Authorization", "Basic YTpi")
            .header("Cookie", "session=1")
            .header("Connection", "keep-alive")
            .header("Accept", "application/json")
            .body(());
        let (parts, ()) = request.expect("valid").into_parts();
        let seen = to_guest(&parts, b"body".to_vec());
        let accept = Header { name: "accept".into(), value: "application/json".into() };
        assert_eq!(seen.headers, [accept]);
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/callcontroller/a%40b/c"));
        assert_eq!((seen.query.as_deref(), seen.body.as_slice()), (Some("timeout=30"), b"body".as_slice()));
    }

    #[test]
    fn what_call_logic_answers_cannot_break_the_connection() {
        let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
        let headers = vec![
            header("content-length", "9"),
            header("transfer-encoding", "chunked"),
            header("bad name", "x"),
            header("x-bad", "a\r\nset-cookie: b"),
            header("content-type", "text/xml"),
        ];
        let response = HttpResponse { status: 200, headers, body: b"four".to_vec() };
        let answer = from_guest(response.clone(), &Method::GET);
        assert_eq!(answer.headers().keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["content-type"]);
        let head = from_guest(response, &Method::HEAD);
        assert_eq!(head.headers().get(CONTENT_LENGTH).map(HeaderValue::as_bytes), Some(b"4".as_slice()));
        for (status, sent) in [(100, 500), (42, 500), (1_000, 500), (599, 599)] {
            let answer = from_guest(HttpResponse { status, headers: Vec::new(), body: Vec::new() }, &Method::GET);
            assert_eq!(answer.status().as_u16(), sent);
        }
    }
}
