//! How a state becomes bytes: the schema number, then the value in the postcard format.
//!
//! It runs twice in every event, so it must cost little. postcard is the smallest and fastest of the serde formats with
//! a written, frozen specification: fields in order, variable-length integers, no names and no tags. What it lacks,
//! reading a value whose fields have changed, is what the schema number and `migrate` are for; a self-describing format
//! would pay for that on every event instead. It needs no clock, no chance and no standard library.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Fault;

/// Encodes a value under a schema number.
///
/// # Errors
/// [`Fault::Internal`] for a type that the format cannot carry (a map of unknown length, for example).
pub fn encode<T: Serialize>(schema: u32, value: &T) -> Result<Vec<u8>, Fault> {
    postcard::serialize_with_flavor(&(schema, value), Bytes(Vec::with_capacity(TYPICAL_BYTES)))
        .map_err(|error| Fault::Internal(format!("state not encodable: {error}")))
}

/// Decodes what [`encode`] made under the same schema number.
///
/// # Errors
/// [`Fault::BadState`] for another schema, for bytes that are no such value, and for bytes left over.
pub fn decode<T: DeserializeOwned>(schema: u32, bytes: &[u8]) -> Result<T, Fault> {
    let unreadable = |error: postcard::Error| Fault::BadState(format!("state not readable: {error}"));
    let (found, rest) = postcard::take_from_bytes::<u32>(bytes).map_err(unreadable)?;
    if found != schema {
        return Err(Fault::BadState(format!("state of schema {found}, expected {schema}")));
    }
    let (value, rest) = postcard::take_from_bytes(rest).map_err(unreadable)?;
    if rest.is_empty() { Ok(value) } else { Err(Fault::BadState(format!("{} bytes too many", rest.len()))) }
}

/// Adds the encoding of a value, without a schema number. A value of derived types without maps, which the format
/// always carries.
pub(crate) fn extend(bytes: Vec<u8>, value: &impl Serialize) -> Vec<u8> {
    postcard::serialize_with_flavor(value, Bytes(bytes)).expect("a vector takes all that the format can carry")
}

/// The first value of those that [`extend`] wrote, and what is behind it; none at the end.
pub(crate) fn first<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    postcard::take_from_bytes(bytes).ok()
}

/// Room for the state of an ordinary call, so that encoding it allocates once.
const TYPICAL_BYTES: usize = 1024;

/// What is encoded so far. In the sandbox a copy is a call into the host: not worth it for a number of some bytes, much
/// cheaper than a loop over a text.
struct Bytes(Vec<u8>);

impl Flavor for Bytes {
    type Output = Vec<u8>;

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() > NUMBER_BYTES_MAX {
            self.0.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|byte| self.0.push(*byte));
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.0)
    }
}

/// The longest encoded number that occurs, a time in milliseconds or a random one, in bytes.
const NUMBER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back() {
        let value = (7_u64, String::from("alice"), Some(vec![1_u8, 2, 3]));
        let bytes = encode(3, &value).expect("encodable");
        assert_eq!(decode::<(u64, String, Option<Vec<u8>>)>(3, &bytes), Ok(value));
    }

    #[test]
    fn another_schema_a_cut_state_and_trailing_bytes_are_refused() {
        let bytes = encode(3, &"alice").expect("encodable");
        assert!(matches!(decode::<String>(4, &bytes), Err(Fault::BadState(_))));
        assert!(matches!(decode::<String>(3, &bytes[..bytes.len() - 1]), Err(Fault::BadState(_))));
        assert!(matches!(decode::<String>(3, &[&bytes[..], b"x"].concat()), Err(Fault::BadState(_))));
        assert!(matches!(decode::<String>(3, &[]), Err(Fault::BadState(_))));
    }
}
