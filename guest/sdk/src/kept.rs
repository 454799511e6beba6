//! What a state remembers but most events never look at.

use core::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Fault, codec};

/// A value in its encoding, decoded when somebody asks for it. As a part of a state it goes through an event as one run
/// of bytes, however many texts are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept<T> {
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
    value: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Kept<T> {
    /// Puts a value away. It is of derived types without maps, which the format always carries.
    pub fn new(value: &T) -> Self {
        Self { bytes: codec::extend(Vec::with_capacity(TYPICAL_BYTES), value), value: PhantomData }
    }

    /// The value.
    ///
    /// # Errors
    /// [`Fault::BadState`] for bytes that are no such value: the state was not written by this controller.
    pub fn get(&self) -> Result<T, Fault> {
        match codec::first(&self.bytes) {
            Some((value, [])) => Ok(value),
            _ => Err(Fault::BadState("a part of the state is not readable".into())),
        }
    }
}

/// Room for a few addresses, so that putting them away allocates once.
const TYPICAL_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_what_is_none_is_refused() {
        let value = (String::from("alice"), Some(7_u32));
        let kept = Kept::new(&value);
        assert_eq!(kept.get(), Ok(value));
        let bytes = codec::encode(1, &kept).expect("encodable");
        assert_eq!(codec::decode(1, &bytes), Ok(kept));
        let other: Kept<bool> = codec::decode(1, &bytes).expect("not looked at");
        assert!(matches!(other.get(), Err(Fault::BadState(_))));
    }
}
