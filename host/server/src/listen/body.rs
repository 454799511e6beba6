//! The body of a request, whole, within its bounds of size and time.

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Incoming};
use std::time::Duration;

/// Why there is no body. The client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// 413
    #[error("the body is larger than {0} bytes (body_bytes_max)")]
    TooLarge(usize),
    /// 408
    #[error("the body took too long")]
    TooSlow,
    /// 400
    #[error("the body broke off")]
    BrokenOff,
}

impl BodyError {
    /// The status to answer with.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::TooLarge(_) => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => http::StatusCode::REQUEST_TIMEOUT,
            Self::BrokenOff => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads the whole body of at most `bytes_max` bytes.
///
/// # Errors
/// When it is larger, slower, or incomplete. What says beforehand that it is larger is not read at all.
pub async fn read_body(body: Incoming, bytes_max: usize, time: Duration) -> Result<Vec<u8>, BodyError> {
    if body.is_end_stream() {
        return Ok(Vec::new());
    }
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge(bytes_max));
    }
    match tokio::time::timeout(time, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes().into()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(BodyError::TooLarge(bytes_max)),
        Ok(Err(_)) => Err(BodyError::BrokenOff),
        Err(_) => Err(BodyError::TooSlow),
    }
}
