//! The host's side of one event: checks what is staged and keeps it until the verdict.

use std::collections::BTreeMap;

use super::world::{Effect, Farewell, LegState, World};
use crate::{
    Denial, Directory, ExchangeId, Header, Host, HttpResponse, Identity, Invite, LegId, Level, Principal, StageError,
    Started, TransactionId,
};

/// A [`Host`] that works on a copy of a call's world.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub world: World,
    pub effects: Vec<Effect>,
    pub users: &'a BTreeMap<String, Identity>,
    pub settings: &'a BTreeMap<String, String>,
    pub cache: BTreeMap<String, (Vec<u8>, u64)>,
    pub principal: Principal,
    pub now: u64,
    pub incarnation: u32,
}

impl Directory for Desk<'_> {
    fn find_user(&self, name: &str) -> Option<Identity> {
        let bare = name.strip_prefix("sip:").unwrap_or(name);
        self.users.get(bare).cloned()
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.get(name).cloned()
    }
}

impl Host for Desk<'_> {
    fn call(&mut self, invite: Invite) -> Result<Started, StageError> {
        check_headers(&invite.headers)?;
        if self.world.agent.is_none() {
            return Err(StageError::Denied);
        }
        if !invite.target.starts_with("sip:") && !invite.target.starts_with("sips:") {
            return Err(StageError::Malformed("target".into()));
        }
        self.world.next_leg += 1;
        let leg = self.world.next_leg;
        let transaction = self.world.send(leg, "INVITE", invite.body.clone());
        self.world.legs.insert(leg, super::Leg { invite: invite.clone(), transaction, state: LegState::Calling });
        self.effects.push(Effect::Call { leg, transaction, invite });
        Ok(Started {
            leg: LegId { value: leg },
            transaction: TransactionId { value: transaction },
            call_id: format!("call-{}-{leg}@plugboard", self.incarnation),
        })
    }

    fn request(
        &mut self,
        leg: LegId,
        method: &str,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<TransactionId, StageError> {
        check_headers(&headers)?;
        if matches!(method, "ACK" | "CANCEL" | "BYE") {
            return Err(StageError::WrongState);
        }
        let state = self.world.legs.get(&leg.value).ok_or(StageError::Unknown)?.state;
        match state {
            LegState::Up => {}
            LegState::Over => return Err(StageError::Unknown),
            LegState::Calling | LegState::Cancelled | LegState::Leaving => return Err(StageError::WrongState),
        }
        // RFC 3261 §14.1: no INVITE while another is in progress in the dialog, in either direction.
        let invites =
            self.world.sent.values().any(|sent| {
                sent.leg == leg.value && sent.method == "INVITE" && (sent.answered.is_none() || sent.owes_ack)
            });
        if method == "INVITE" && invites {
            return Err(StageError::WrongState);
        }
        let transaction = self.world.send(leg.value, method, body.clone());
        self.effects.push(Effect::Request { leg: leg.value, transaction, method: method.to_string(), headers, body });
        Ok(TransactionId { value: transaction })
    }

    fn ack(&mut self, invite: TransactionId, headers: Vec<Header>, body: Vec<u8>) -> Result<(), StageError> {
        check_headers(&headers)?;
        let sent = self.world.sent.get_mut(&invite.value).ok_or(StageError::Unknown)?;
        if !sent.owes_ack {
            return Err(StageError::WrongState);
        }
        sent.owes_ack = false;
        self.effects.push(Effect::Ack { transaction: invite.value, headers, body });
        Ok(())
    }

    fn answer_challenge(&mut self, challenged: TransactionId) -> Result<TransactionId, StageError> {
        let sent = self.world.sent.get_mut(&challenged.value).ok_or(StageError::Unknown)?;
        if !matches!(sent.answered, Some(401 | 407)) {
            return Err(StageError::WrongState);
        }
        if sent.authorized || self.world.agent.is_none() {
            return Err(StageError::Denied);
        }
        sent.authorized = true;
        let (leg, method, body) = (sent.leg, sent.method.clone(), sent.body.clone());
        let opens = self.world.opens(challenged.value);
        let transaction = self.world.send(leg, &method, body);
        if let Some(sent) = self.world.sent.get_mut(&transaction) {
            sent.authorized = true;
        }
        if let Some(leg) = self.world.legs.get_mut(&leg).filter(|_| opens) {
            leg.transaction = transaction;
            leg.state = LegState::Calling;
        }
        self.effects.push(Effect::AnswerChallenge { challenged: challenged.value, transaction });
        Ok(TransactionId { value: transaction })
    }

    fn cancel(&mut self, invite: TransactionId) -> Result<(), StageError> {
        let opens = self.world.opens(invite.value);
        let sent = self.world.sent.get_mut(&invite.value).ok_or(StageError::Unknown)?;
        if sent.method != "INVITE" || opens || sent.answered.is_some() || sent.cancelled {
            return Err(StageError::WrongState);
        }
        sent.cancelled = true;
        self.effects.push(Effect::Cancel { transaction: invite.value });
        Ok(())
    }

    fn respond(
        &mut self,
        transaction: TransactionId,
        status: u16,
        reason: &str,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<(), StageError> {
        check_headers(&headers)?;
        // A 100 is the host's own to send.
        if !(101..700).contains(&status) {
            return Err(StageError::Malformed("status".into()));
        }
        let received = self.world.received.get_mut(&transaction.value).ok_or(StageError::Unknown)?;
        if received.answered.is_some_and(|status| status >= 200) {
            return Err(StageError::WrongState);
        }
        received.answered = Some(status);
        let opened = self.world.legs.get_mut(&received.leg).filter(|leg| leg.transaction == transaction.value);
        match opened {
            Some(leg) if status >= 300 => leg.state = LegState::Over,
            Some(leg) if status >= 200 => leg.state = LegState::Up,
            _ => {}
        }
        let reason = reason.to_string();
        self.effects.push(Effect::Respond { transaction: transaction.value, status, reason, headers, body });
        Ok(())
    }

    fn release(&mut self, leg: LegId, headers: Vec<Header>) -> Result<(), StageError> {
        check_headers(&headers)?;
        let found = self.world.legs.get_mut(&leg.value).ok_or(StageError::Unknown)?;
        let sends = match found.state {
            LegState::Cancelled | LegState::Leaving => return Ok(()),
            LegState::Over => Farewell::Nothing,
            LegState::Calling => {
                found.state = LegState::Cancelled;
                Farewell::Cancel
            }
            LegState::Up => {
                found.state = LegState::Leaving;
                let owed = self.world.sent.values_mut().filter(|sent| sent.leg == leg.value);
                owed.for_each(|sent| sent.owes_ack = false);
                Farewell::Bye(self.world.send(leg.value, "BYE", Vec::new()))
            }
        };
        self.effects.push(Effect::Release { leg: leg.value, headers, sends });
        Ok(())
    }

    fn set_timer(&mut self, name: &str, after_ms: u64) -> Result<(), StageError> {
        if name.len() > 64 {
            return Err(StageError::Malformed("timer name".into()));
        }
        self.world.timers.insert(name.to_string(), self.now + after_ms);
        self.effects.push(Effect::SetTimer { name: name.to_string(), after_ms });
        Ok(())
    }

    fn clear_timer(&mut self, name: &str) -> Result<(), StageError> {
        self.world.timers.remove(name);
        Ok(())
    }

    fn act_as(&mut self, agent: &str) -> Result<Identity, Denial> {
        let identity = self.find_user(agent).ok_or(Denial::UnknownUser)?;
        let allowed = match &self.principal {
            Principal::Trusted => true,
            Principal::User(user) => self.find_user(user).is_some_and(|user| user == identity),
            Principal::Network => false,
        };
        if !allowed {
            return Err(Denial::NotPermitted);
        }
        self.world.agent = Some(identity.address_of_record.clone());
        Ok(identity)
    }

    fn cache_get(&self, key: &str) -> Option<Vec<u8>> {
        self.cache.get(key).filter(|(_, until)| *until > self.now).map(|(value, _)| value.clone())
    }

    fn cache_put(&mut self, key: &str, value: &[u8], ttl_seconds: u32) -> Result<(), StageError> {
        if !(1..=86_400).contains(&ttl_seconds) {
            return Err(StageError::Malformed("ttl".into()));
        }
        self.cache.insert(key.to_string(), (value.to_vec(), self.now + u64::from(ttl_seconds) * 1000));
        self.effects.push(Effect::CachePut { key: key.to_string(), ttl_seconds });
        Ok(())
    }

    fn cache_remove(&mut self, key: &str) -> Result<(), StageError> {
        self.cache.remove(key);
        Ok(())
    }

    fn respond_http(&mut self, exchange: ExchangeId, response: HttpResponse) -> Result<(), StageError> {
        let answered = self.world.exchanges.get_mut(&exchange.value).ok_or(StageError::Unknown)?;
        if core::mem::replace(answered, true) {
            return Err(StageError::WrongState);
        }
        self.effects.push(Effect::Http { exchange: exchange.value, response });
        Ok(())
    }

    fn log(&mut self, _level: Level, _message: &str) {}
}

/// As the host checks them: `calls/src/stage/check.rs`. A test of the simulation compares the two.
fn check_headers(headers: &[Header]) -> Result<(), StageError> {
    let own = |names: &[&str], name: &str| names.iter().any(|own| own.eq_ignore_ascii_case(name));
    for Header { name, value } in headers {
        let token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
        if name.is_empty() || name.len() > 128 || !name.chars().all(token) {
            return Err(StageError::Malformed(name.clone()));
        }
        let asks = own(&OPTIONS, name) && value.split(',').any(|tag| own(&OWN_OPTION_TAGS, tag.trim()));
        if own(&RESERVED, name) || asks {
            return Err(StageError::Reserved(name.clone()));
        }
        let control = |b: u8| (b < 0x20 && b != b'\t') || b == 0x7f;
        if value.len() > VALUE_BYTES_MAX || value.bytes().any(control) {
            return Err(StageError::Malformed(name.clone()));
        }
    }
    Ok(())
}

/// Longest value of a header field, in bytes.
const VALUE_BYTES_MAX: usize = 4_096;

/// The header fields whose option tags are looked at.
const OPTIONS: [&str; 3] = ["Supported", "k", "Require"];

/// The extensions that the host serves itself.
const OWN_OPTION_TAGS: [&str; 2] = ["100rel", "timer"];

/// The header fields that the host keeps to itself, with their compact forms.
const RESERVED: [&str; 27] = [
    "Via",
    "Route",
    "Record-Route",
    "Max-Forwards",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Content-Length",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Proxy-Authentication-Info",
    "RAck",
    "RSeq",
    "Session-Expires",
    "Min-SE",
    "v",
    "f",
    "t",
    "i",
    "m",
    "l",
    "x",
];
