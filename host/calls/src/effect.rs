//! What an event may cause, once it is committed. Only [`Stage`](crate::stage::Stage) makes these, validated.

use crate::contract::*;

/// One staged effect. Ids were given at staging time and are never used again, committed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[allow(missing_docs)] // the fields are the parameters of the WIT function that stages it
pub enum Effect {
    Call {
        leg: LegId,
        transaction: TransactionId,
        call_id: String,
        invite: Invite,
    },
    Request {
        leg: LegId,
        transaction: TransactionId,
        method: String,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        body: Vec<u8>,
    },
    Ack {
        invite: TransactionId,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        body: Vec<u8>,
    },
    AnswerChallenge {
        challenged: TransactionId,
        transaction: TransactionId,
    },
    Cancel {
        invite: TransactionId,
    },
    Respond {
        transaction: TransactionId,
        status: u16,
        reason: String,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        body: Vec<u8>,
    },
    /// The id is for the BYE, should one be due.
    Release {
        leg: LegId,
        transaction: TransactionId,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
    },
    SetTimer {
        name: String,
        after_ms: u64,
    },
    ClearTimer {
        name: String,
    },
    ActAs {
        user: String,
    },
    CachePut {
        key: String,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        value: Vec<u8>,
        ttl_seconds: u32,
    },
    CacheRemove {
        key: String,
    },
    HttpRespond {
        exchange: ExchangeId,
        response: HttpResponse,
    },
}
