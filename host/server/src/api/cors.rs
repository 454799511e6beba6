//! Pages of other origins (CORS, the Fetch standard): nothing is allowed unless the tenant's configuration names the
//! origin. Then the host answers preflights itself, since browsers send them without credentials.

use crate::answer::{Answered, empty};
use crate::tenants::Tenant;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, StatusCode};

/// The request's origin, if the tenant allows it.
pub(super) fn allowed_origin(tenant: &Tenant, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    origin.to_str().is_ok_and(|origin| tenant.allows_origin(origin)).then(|| origin.clone())
}

/// The answer to a preflight; none when the request is not one.
pub(super) fn preflight<B>(request: &Request<B>) -> Option<Answered> {
    if request.method() != Method::OPTIONS || !request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return None;
    }
    let mut answer = empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(answer)
}

/// Lets the page read the answer.
pub(super) fn allow(answer: &mut Answered, origin: HeaderValue) {
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.headers_mut().append(VARY, HeaderValue::from_static("origin"));
}
