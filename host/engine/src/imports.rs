//! The imports of the contract: each goes to the [`Stage`] of the event and comes back converted. Nothing is decided
//! here. In `route` users and settings can be read and the rest is denied; in `describe` and `migrate` all of it is.

use crate::bindings::{auth, cache, http, log, settings, sip, timers, types};
use crate::visit::Visit;
use plugboard_calls::contract;
use plugboard_calls::stage::Stage;

impl Visit {
    fn stage<T>(
        &mut self,
        effect: impl FnOnce(&mut Stage) -> Result<T, contract::StageError>,
    ) -> Result<T, types::StageError> {
        self.staging().and_then(effect).map_err(Into::into)
    }
}

fn headers(list: Vec<types::HeaderResult>) -> Vec<contract::Header> {
    list.into_iter().map(Into::into).collect()
}

impl types::Host for Visit {}

impl sip::Host for Visit {
    fn call(&mut self, invite: sip::Invite) -> Result<sip::Started, types::StageError> {
        self.stage(|stage| stage.call(invite.into()).map(Into::into))
    }

    fn request(
        &mut self,
        leg: types::LegId,
        method: String,
        header_list: Vec<types::HeaderResult>,
        body: Vec<u8>,
    ) -> Result<types::TransactionId, types::StageError> {
        self.stage(|stage| stage.request(leg.into(), method, headers(header_list), body).map(Into::into))
    }

    fn ack(
        &mut self,
        invite: types::TransactionId,
        header_list: Vec<types::HeaderResult>,
        body: Vec<u8>,
    ) -> Result<(), types::StageError> {
        self.stage(|stage| stage.ack(invite.into(), headers(header_list), body))
    }

    fn answer_challenge(
        &mut self,
        challenged: types::TransactionId,
    ) -> Result<types::TransactionId, types::StageError> {
        self.stage(|stage| stage.answer_challenge(challenged.into()).map(Into::into))
    }

    fn cancel(&mut self, invite: types::TransactionId) -> Result<(), types::StageError> {
        self.stage(|stage| stage.cancel(invite.into()))
    }

    fn respond(
        &mut self,
        transaction: types::TransactionId,
        status: u16,
        reason: String,
        header_list: Vec<types::HeaderResult>,
        body: Vec<u8>,
    ) -> Result<(), types::StageError> {
        self.stage(|stage| stage.respond(transaction.into(), status, reason, headers(header_list), body))
    }

    fn release(&mut self, leg: types::LegId, header_list: Vec<types::HeaderResult>) -> Result<(), types::StageError> {
        self.stage(|stage| stage.release(leg.into(), headers(header_list)))
    }
}

impl timers::Host for Visit {
    fn set(&mut self, name: String, after_ms: u64) -> Result<(), types::StageError> {
        self.stage(|stage| stage.set_timer(name, after_ms))
    }

    fn clear(&mut self, name: String) -> Result<(), types::StageError> {
        self.stage(|stage| stage.clear_timer(name))
    }
}

impl auth::Host for Visit {
    fn act_as(&mut self, agent: String) -> Result<auth::Identity, auth::Denial> {
        let stage = self.staging().map_err(|_| auth::Denial::NotPermitted)?;
        stage.act_as(&agent).map(Into::into).map_err(Into::into)
    }

    fn find_user(&mut self, name: String) -> Option<auth::Identity> {
        self.reading()?.find_user(&name).map(Into::into)
    }
}

impl cache::Host for Visit {
    fn get(&mut self, key: String) -> Option<Vec<u8>> {
        self.reading()?.cache_get(&key)
    }

    fn put(&mut self, key: String, value: Vec<u8>, ttl_seconds: u32) -> Result<(), types::StageError> {
        self.stage(|stage| stage.cache_put(key, value, ttl_seconds))
    }

    fn remove(&mut self, key: String) -> Result<(), types::StageError> {
        self.stage(|stage| stage.cache_remove(key))
    }
}

impl settings::Host for Visit {
    fn get(&mut self, name: String) -> Option<String> {
        self.reading()?.setting(&name).map(str::to_owned)
    }
}

impl http::Host for Visit {
    fn respond(&mut self, exchange: types::ExchangeId, response: types::HttpResponse) -> Result<(), types::StageError> {
        self.stage(|stage| stage.http_respond(exchange.into(), response.into()))
    }
}

impl log::Host for Visit {
    fn write(&mut self, level: log::Level, message: String) {
        if let Some(stage) = self.logging() {
            stage.log(level.into(), message);
        }
    }
}
