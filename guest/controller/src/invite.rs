//! stub
use crate::desk::*;
use crate::phase::*;
use crate::record::*;
use plugboard_sdk::*;
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Invite {
    Nothing,
}
#[derive(Debug)]
pub(crate) enum NoTransfer {
    NotUp,
    Transferring,
    Refused(StageError),
}
impl Invite {
    pub fn start(_: &mut Desk<'_>, _: &mut Record) -> Result<Self, StageError> {
        Err(StageError::Denied)
    }
    pub fn response(self, _: &mut Desk<'_>, _: &mut Record, _: &IncomingResponse) -> Next<Self> {
        Next::On(self)
    }
    pub fn failure(self, _: &mut Desk<'_>, _: &mut Record, _: &RequestFailure) -> Next<Self> {
        Next::On(self)
    }
    pub fn request(self, _: &mut Desk<'_>, _: &mut Record, _: &IncomingRequest) -> Next<Self> {
        Next::On(self)
    }
    pub fn timer(self, _: &mut Desk<'_>, _: &mut Record, _: Timer) -> Next<Self> {
        Next::On(self)
    }
    pub fn ack(&mut self, _: &mut Desk<'_>, _: &mut Record, _: &IncomingAck) {}
    pub fn cancel(&mut self, _: &mut Desk<'_>, _: &IncomingCancel) {}
    pub fn phase(&self) -> &'static str {
        ""
    }
    pub fn is_up(&self) -> bool {
        false
    }
    pub fn owed(&self) -> Vec<u32> {
        Vec::new()
    }
    pub fn transfer(&mut self, _: &mut Desk<'_>, _: &mut Record, _: Party, _: u32) -> Result<(), NoTransfer> {
        Err(NoTransfer::NotUp)
    }
}
