//! Bytes in JSON: text as text, anything else as `{"base64": "..."}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize as _, Serializer, de};

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Readable {
    Text(String),
    Binary { base64: String },
}

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serializer.serialize_str(text),
        Err(_) => Readable::Binary { base64: STANDARD.encode(bytes) }.serialize(serializer),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    match Readable::deserialize(deserializer)? {
        Readable::Text(text) => Ok(text.into_bytes()),
        Readable::Binary { base64 } => STANDARD.decode(base64).map_err(de::Error::custom),
    }
}

/// The same for bytes that may not be there.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(serde::Serialize)]
    struct Lent<'a>(#[serde(serialize_with = "super::serialize")] &'a [u8]);

    #[derive(serde::Deserialize)]
    struct Bytes(#[serde(deserialize_with = "super::deserialize")] Vec<u8>);

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Lent).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Bytes>::deserialize(deserializer)?.map(|Bytes(bytes)| bytes))
    }
}
