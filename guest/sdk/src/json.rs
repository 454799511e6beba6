//! JSON answers: `serde_json` behind one function, so that a guest needs no dependency of its own.

use serde::Serialize;

use crate::{Fault, HttpResponse, header};

pub use serde_json::{Map, Value, from_slice, json};

/// A JSON document as an HTTP response.
///
/// # Errors
/// [`Fault::Internal`] for a value that JSON cannot carry (a map whose keys are not text, for example).
pub fn response(status: u16, value: &impl Serialize) -> Result<HttpResponse, Fault> {
    let body = serde_json::to_vec(value).map_err(|error| Fault::Internal(error.to_string()))?;
    Ok(HttpResponse { status, headers: vec![header("content-type", "application/json")], body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_a_typed_body() {
        let response = response(200, &json!({ "reason": "a \"b\"" })).expect("encodable");
        assert_eq!(response.body, br#"{"reason":"a \"b\""}"#);
        assert_eq!(response.headers, [header("content-type", "application/json")]);
    }
}
