//! The staging area of one event: the guest's imports end here. It validates, hands out ids, and remembers; nothing
//! leaves it until the whole event is sealed with an `ok` and committed.
//!
//! What a call to it answers depends only on what was given to [`Stage::new`] and on the calls before, so an event
//! that is run again from its journal stages the same. What directory and cache say is kept with it ([`Answers`]).

mod answers;
mod check;
#[cfg(test)]
mod tests;
mod view;

pub use answers::{Answers, UserAnswer, ValueAnswer};
pub use view::{Few, LegView, View};

use crate::cache::Cache;
use crate::contract::*;
use crate::effect::Effect;
use crate::guest_settings::GuestSettings;
use crate::limits::*;
use crate::logic::{Breakdown, Directory, Logic, UserRecord, one_line};
use crate::tenant::Tenant;
use plugboard_sip::digits::Digits;
use plugboard_sip::time::Time;
use std::cell::RefCell;
use std::sync::Arc;

/// What one event may see, refer to and use.
pub struct Setting {
    /// The call's ids that can be referred to.
    pub view: View,
    /// The bounds.
    pub limits: Arc<Limits>,
    /// The event's time.
    pub now: Time,
    /// The event's chance.
    pub seed: u64,
    /// Who caused the event.
    pub principal: Principal,
    /// The user that the call is bound to, if any.
    pub agent: Option<Arc<str>>,
    /// What stands behind the `@` of Call-IDs.
    pub call_id_host: Arc<str>,
    /// The tenant's users.
    pub directory: Arc<dyn Directory>,
    /// The tenant's cache.
    pub cache: Arc<dyn Cache>,
    /// What the operator tells the guest.
    pub settings: Arc<GuestSettings>,
}

impl Setting {
    /// What a guest may see when it is asked which call a request is about: users and settings, and no call. It may
    /// stage nothing.
    pub fn of_route(tenant: &Tenant, logic: &dyn Logic, now: Time, principal: Principal) -> Self {
        let settings = tenant.settings();
        Self {
            view: View::default(),
            limits: Arc::new(Limits { effects_per_event: 0, ..(*settings.limits).clone() }),
            now,
            seed: 0,
            principal,
            agent: None,
            call_id_host: "".into(),
            directory: settings.directory.clone(),
            cache: tenant.cache.clone(),
            settings: logic.settings(),
        }
    }
}

/// A line that the guest wrote to its tenant's log.
pub type LogLine = (LogLevel, String);

/// The staging area of one event.
pub struct Stage {
    setting: Arc<Setting>,
    /// What of the setting's view is left. Boxed: a stage goes from hand to hand.
    view: Box<View>,
    /// The user that the call is bound to by now.
    agent: Option<Arc<str>>,
    effects: Vec<Effect>,
    bytes: usize,
    log: Vec<LogLine>,
    /// The limit of the event that it went over.
    broken: Option<Limit>,
    /// The limits of the call that it met; each once.
    met: Vec<Limit>,
    answers: RefCell<Answers>,
}

/// An event that the guest handled: everything in it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The effects in the order in which they were staged.
    pub(crate) effects: Vec<Effect>,
    /// The new state; `None` ends the call.
    pub(crate) state: Option<Vec<u8>>,
    /// The leg id that is free now.
    pub(crate) next_leg: u32,
    /// The transaction id that is free now.
    pub(crate) next_transaction: u32,
}

impl Committed {
    /// The effects in the order in which they were staged.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// The same, for whoever masks what nobody may read. That changes a copy: what is committed is out of reach.
    pub fn effects_mut(&mut self) -> &mut [Effect] {
        &mut self.effects
    }

    /// The same, to keep.
    pub fn into_effects(self) -> Vec<Effect> {
        self.effects
    }

    /// The new state; `None` ends the call.
    pub fn state(&self) -> Option<&[u8]> {
        self.state.as_deref()
    }
}

impl Stage {
    /// An empty stage.
    pub fn new(setting: impl Into<Arc<Setting>>) -> Self {
        let setting = setting.into();
        Self {
            view: Box::new(setting.view.clone()),
            agent: setting.agent.clone(),
            setting,
            effects: Vec::new(),
            bytes: 0,
            log: Vec::new(),
            broken: None,
            met: Vec::new(),
            answers: RefCell::default(),
        }
    }

    /// `sip.call`
    pub fn call(&mut self, invite: Invite) -> Result<Started, StageError> {
        check::sip_uri("target", &invite.target)?;
        check::address("from", &invite.from)?;
        if let Some(to) = &invite.to {
            check::address("to", to)?;
        }
        check::headers(&invite.headers)?;
        if self.view.legs.len() >= self.setting.limits.legs_per_call {
            return Err(self.meet(Limit::LegsPerCall));
        }
        self.room(&invite.headers, &invite.body)?;
        let transaction = self.next_transaction()?;
        let view = &mut self.view;
        let leg = LegId(view.next_leg);
        view.next_leg += 1;
        view.legs.push(LegView { id: leg, dialog: false, released: false });
        let call_id = call_id(self.setting.seed, leg, &self.setting.call_id_host);
        self.effects.push(Effect::Call { leg, transaction, call_id: call_id.clone(), invite });
        Ok(Started { leg, transaction, call_id })
    }

    /// `sip.request`
    pub fn request(
        &mut self,
        leg: LegId,
        method: String,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<TransactionId, StageError> {
        check::method(&method)?;
        check::headers(&headers)?;
        let found = self.leg(leg)?;
        // RFC 3261 §14.1: one INVITE at a time.
        let meets = method == "INVITE" && self.view.inviting.iter().any(|(on, _)| *on == leg);
        if !found.dialog || found.released || meets {
            return Err(StageError::WrongState);
        }
        self.room(&headers, &body)?;
        let transaction = self.next_transaction()?;
        if method == "INVITE" {
            self.view.cancellable.push(transaction);
            self.view.inviting.push((leg, transaction));
        }
        self.effects.push(Effect::Request { leg, transaction, method, headers, body });
        Ok(transaction)
    }

    /// `sip.ack`
    pub fn ack(&mut self, invite: TransactionId, headers: Vec<Header>, body: Vec<u8>) -> Result<(), StageError> {
        check::headers(&headers)?;
        self.room(&headers, &body)?;
        take(&mut self.view.unacknowledged, invite)?;
        self.view.inviting.retain(|(_, id)| *id != invite);
        self.effects.push(Effect::Ack { invite, headers, body });
        Ok(())
    }

    /// `sip.answer-challenge`
    pub fn answer_challenge(&mut self, challenged: TransactionId) -> Result<TransactionId, StageError> {
        let challenges = &mut self.view.challenged;
        let at = challenges.iter().position(|(id, _)| *id == challenged).ok_or(StageError::Denied)?;
        let leg = self.leg(self.view.challenged[at].1)?;
        if leg.released {
            return Err(StageError::WrongState);
        }
        self.room(&[], &[])?;
        let transaction = self.next_transaction()?;
        self.view.challenged.swap_remove(at);
        self.effects.push(Effect::AnswerChallenge { challenged, transaction });
        Ok(transaction)
    }

    /// `sip.cancel`
    pub fn cancel(&mut self, invite: TransactionId) -> Result<(), StageError> {
        self.room(&[], &[])?;
        take(&mut self.view.cancellable, invite)?;
        self.effects.push(Effect::Cancel { invite });
        Ok(())
    }

    /// `sip.respond`
    pub fn respond(
        &mut self,
        transaction: TransactionId,
        status: u16,
        reason: String,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<(), StageError> {
        if !(101..=699).contains(&status) {
            return Err(StageError::Malformed(format!("status {status} is not within 101 to 699")));
        }
        check::line("reason", &reason)?;
        check::headers(&headers)?;
        self.room(&headers, &body)?;
        if status >= 200 {
            take(&mut self.view.owed, transaction)?;
            self.view.inviting.retain(|(_, id)| *id != transaction);
        } else if !self.view.owed.contains(&transaction) {
            return Err(StageError::Unknown);
        }
        self.effects.push(Effect::Respond { transaction, status, reason, headers, body });
        Ok(())
    }

    /// `sip.release`
    pub fn release(&mut self, leg: LegId, headers: Vec<Header>) -> Result<(), StageError> {
        check::headers(&headers)?;
        self.room(&headers, &[])?;
        let view = &mut self.view;
        let was_there = view.has_had(leg);
        match view.legs.iter_mut().find(|l| l.id == leg) {
            Some(found) if !found.released => {
                found.released = true;
                let transaction = TransactionId(view.next_transaction);
                view.next_transaction += 1;
                self.effects.push(Effect::Release { leg, transaction, headers });
                Ok(())
            }
            Some(_) => Ok(()),
            None if was_there => Ok(()), // over already
            None => Err(StageError::Unknown),
        }
    }

    /// `timers.set`
    pub fn set_timer(&mut self, name: String, after_ms: u64) -> Result<(), StageError> {
        check::timer_name(&name)?;
        if after_ms > TIMER_MS_MAX {
            return Err(StageError::Malformed(format!("a timer runs {TIMER_MS_MAX} ms at most")));
        }
        if self.view.timers >= self.setting.limits.timers_per_call {
            return Err(self.meet(Limit::TimersPerCall));
        }
        self.room(&[], &[])?;
        // Counts a replaced timer twice within its event; the next event counts anew.
        self.view.timers += 1;
        self.effects.push(Effect::SetTimer { name, after_ms });
        Ok(())
    }

    /// `timers.clear`
    pub fn clear_timer(&mut self, name: String) -> Result<(), StageError> {
        check::timer_name(&name)?;
        self.room(&[], &[])?;
        self.effects.push(Effect::ClearTimer { name });
        Ok(())
    }

    /// `auth.act-as`
    pub fn act_as(&mut self, agent: &str) -> Result<Identity, Denial> {
        let user = self.find(agent).ok_or(Denial::UnknownUser)?;
        let permitted = match &self.setting.principal {
            Principal::Trusted => true,
            Principal::User(name) => *name == user.name,
            Principal::Network => self.agent.as_deref() == Some(&user.name),
        };
        if !permitted || self.effects.len() >= self.setting.limits.effects_per_event {
            return Err(Denial::NotPermitted);
        }
        self.agent = Some(user.name.as_str().into());
        self.effects.push(Effect::ActAs { user: user.name.clone() });
        Ok(user.identity.clone())
    }

    /// `auth.find-user`
    pub fn find_user(&self, name: &str) -> Option<Identity> {
        self.find(name).map(|user| user.identity.clone())
    }

    /// `settings.get`
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.setting.settings.get(name)
    }

    /// `cache.get`
    pub fn cache_get(&self, key: &str) -> Option<Vec<u8>> {
        for effect in self.effects.iter().rev() {
            match effect {
                Effect::CachePut { key: k, value, .. } if k == key => return Some(value.clone()),
                Effect::CacheRemove { key: k } if k == key => return None,
                _ => {}
            }
        }
        let read = || self.setting.cache.get(key, self.setting.now);
        self.answers.borrow_mut().value(key, read)
    }

    /// `cache.put`
    pub fn cache_put(&mut self, key: String, value: Vec<u8>, ttl_seconds: u32) -> Result<(), StageError> {
        check::cache_key(&key)?;
        if !(1..=CACHE_TTL_SECONDS_MAX).contains(&ttl_seconds) {
            return Err(StageError::Malformed(format!("ttl-seconds is not within 1 to {CACHE_TTL_SECONDS_MAX}")));
        }
        self.room(&[], &value)?;
        self.effects.push(Effect::CachePut { key, value, ttl_seconds });
        Ok(())
    }

    /// `cache.remove`
    pub fn cache_remove(&mut self, key: String) -> Result<(), StageError> {
        check::cache_key(&key)?;
        self.room(&[], &[])?;
        self.effects.push(Effect::CacheRemove { key });
        Ok(())
    }

    /// `http.respond`
    pub fn http_respond(&mut self, exchange: ExchangeId, response: HttpResponse) -> Result<(), StageError> {
        check::http_response(&response)?;
        self.room(&[], &response.body)?;
        take(&mut self.view.exchanges, exchange)?;
        self.effects.push(Effect::HttpRespond { exchange, response });
        Ok(())
    }

    /// `log.write`. What is no text of one line becomes one: nobody writes lines in the name of others.
    pub fn log(&mut self, level: LogLevel, mut message: String) {
        if self.log.len() < LOG_LINES_MAX {
            let end = message.floor_char_boundary(LOG_LINE_BYTES_MAX);
            message.truncate(end);
            self.log.push((level, one_line(message)));
        }
    }

    /// What the guest logged: worth reading whether or not the event is committed.
    pub fn take_log(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.log)
    }

    /// The limits of the call that kept the guest from something.
    pub(crate) fn take_met(&mut self) -> Vec<Limit> {
        std::mem::take(&mut self.met)
    }

    /// What the guest was told that neither the event nor its state holds: an event that is run again must be told
    /// the same.
    pub fn take_answers(&mut self) -> Answers {
        std::mem::take(self.answers.get_mut())
    }

    /// Closes the event. Only `Ok` can be committed; with an error all that was staged is gone.
    pub fn seal(self, outcome: Result<Option<Vec<u8>>, Breakdown>) -> Result<Committed, Breakdown> {
        let state = outcome?;
        if let Some(limit) = self.broken {
            return Err(Breakdown::Limit(limit.name()));
        }
        if state.as_ref().is_some_and(|s| s.len() > self.setting.limits.state_bytes) {
            return Err(Breakdown::Limit(Limit::StateBytes.name()));
        }
        let View { next_leg, next_transaction, .. } = *self.view;
        Ok(Committed { effects: self.effects, state, next_leg, next_transaction })
    }

    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        self.answers.borrow_mut().user(name, || self.setting.directory.find(name))
    }

    fn leg(&self, leg: LegId) -> Result<LegView, StageError> {
        self.view.legs.iter().find(|l| l.id == leg).copied().ok_or(StageError::Unknown)
    }

    fn next_transaction(&mut self) -> Result<TransactionId, StageError> {
        if self.view.pending >= self.setting.limits.transactions_per_call {
            return Err(self.meet(Limit::TransactionsPerCall));
        }
        let view = &mut self.view;
        view.pending += 1;
        view.next_transaction += 1;
        Ok(TransactionId(view.next_transaction - 1))
    }

    /// Whether one more effect of this size fits; counts its bytes when it does.
    fn room(&mut self, headers: &[Header], body: &[u8]) -> Result<(), StageError> {
        if self.effects.len() >= self.setting.limits.effects_per_event {
            return Err(self.break_quota(Limit::EffectsPerEvent));
        }
        let size = body.len() + headers.iter().map(|h| h.name.len() + h.value.len()).sum::<usize>();
        if self.bytes + size > self.setting.limits.bytes_per_event {
            return Err(self.break_quota(Limit::BytesPerEvent));
        }
        self.bytes += size;
        Ok(())
    }

    /// An event that wanted more than it may have is not half committed: nothing of it happens.
    fn break_quota(&mut self, limit: Limit) -> StageError {
        self.broken = Some(limit);
        StageError::OverQuota(limit.name())
    }

    /// The guest is told that the call has as many as it may have; the event goes on.
    fn meet(&mut self, limit: Limit) -> StageError {
        if !self.met.contains(&limit) {
            self.met.push(limit);
        }
        StageError::OverQuota(limit.name())
    }
}

/// Removes an id that can be used once.
fn take<T: PartialEq>(ids: &mut Few<T>, id: T) -> Result<(), StageError> {
    let at = ids.iter().position(|i| *i == id).ok_or(StageError::Unknown)?;
    ids.swap_remove(at);
    Ok(())
}

/// A Call-ID (RFC 3261 §8.1.1.4): unique by the event's seed and the leg's number.
fn call_id(seed: u64, leg: LegId, host: &str) -> String {
    let high = crate::chance::mix(seed ^ 0x1d_ca11);
    let low = crate::chance::mix(high ^ u64::from(leg.0));
    [Digits::hexadecimal(high, 16).as_str(), Digits::hexadecimal(low, 16).as_str(), "@", host].concat()
}
