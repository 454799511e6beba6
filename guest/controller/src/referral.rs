//! A phone that refers the other one elsewhere (RFC 3515): what its REFER asks for, whether it may, and what it is told
//! of how that goes. The transfer itself is that of [`crate::transfer`].

use plugboard_sdk::status::Status;
use plugboard_sdk::uri::{SipUri, of_field};
use plugboard_sdk::{Header, IncomingRequest, Level, header, headers};
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::record::{Party, Record};

/// What a REFER asks for.
#[derive(Debug)]
pub(crate) struct Referred {
    pub target: Party,
    pub introduction: Introduction,
    pub hearing: Hearing,
}

/// What the phone hears of how its REFER goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hearing {
    /// Nothing (RFC 4488).
    silent: bool,
    /// Which REFER it is about: not for the first one of a dialog, which needs no `id` (RFC 3515 §2.4.6).
    named: bool,
}

/// How the target of a transfer learns what the INVITE is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Introduction {
    /// Who sends it there (RFC 3892).
    referred_by: Option<String>,
    /// The dialog of the target that the call takes the place of (RFC 3891): an attended transfer.
    replaces: Option<String>,
}

/// The subscription that a REFER made: its phone hears of the transfer until that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Referral {
    leg: u32,
    /// The transaction of the REFER, which is its `id`; on the wire the host makes its CSeq number of it.
    refer: u32,
    named: bool,
    expires_ms: u64,
    /// What it was told last.
    told: Status,
}

/// A REFER that is not carried out, and what its phone is told.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub status: Status,
    pub headers: Vec<Header>,
}

/// Reads a REFER and decides whether its phone may.
///
/// The setting `phone_transfer` says where to: `deny` nowhere, `allow` (the default) to users of the tenant, and
/// elsewhere when the call was placed with isForwardingAllowed, `any` anywhere. The reason: the call goes on at the
/// expense and with the credentials of its agent, and the phone may be anybody's.
pub(crate) fn read(desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Result<Referred, Refusal> {
    let leg = record.leg_mut(request.leg.value);
    let again = leg.is_some_and(|leg| std::mem::replace(&mut leg.has_referred, true));
    let fields = |name: &'static str| request.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    let unknown = fields("Require").flat_map(|field| field.value.split(',')).map(str::trim);
    let unknown: Vec<&str> = unknown.filter(|tag| !tag.is_empty() && !tag.eq_ignore_ascii_case(NO_REFER_SUB)).collect();
    if !unknown.is_empty() {
        let headers = vec![header("Unsupported", unknown.join(", "))];
        return Err(Refusal { status: Status::new(420), headers });
    }
    let mut targets = fields("Refer-To");
    let (Some(field), None) = (targets.next(), targets.next()) else {
        return Err(refusal(400, "One Refer-To is needed"));
    };
    let uri = of_field(&field.value).ok_or_else(|| refusal(400, "Refer-To cannot be read"))?;
    let uri = SipUri::parse(uri).ok_or_else(|| refusal(416, "Unsupported URI Scheme"))?;
    if uri.parameter("method").is_some_and(|method| !method.eq_ignore_ascii_case("INVITE")) {
        return Err(refusal(403, "Only an INVITE can be referred"));
    }
    let replaces = uri.header("Replaces");
    if replaces.as_ref().is_some_and(|replaces| !names_a_dialog(replaces)) {
        return Err(refusal(400, "Replaces names no dialog"));
    }
    let target = permitted(desk, record, &uri).ok_or_else(|| refusal(403, "Not allowed to transfer there"))?;
    let referred_by = headers::find(&request.headers, "Referred-By").map(str::to_string);
    let referred_by = referred_by.or_else(|| Some(format!("<{}>", record.leg(request.leg.value)?.party)));
    let silent = headers::find(&request.headers, REFER_SUB).is_some_and(|value| value.trim().starts_with("false"));
    let hearing = Hearing { silent, named: again };
    Ok(Referred { target, introduction: Introduction { referred_by, replaces }, hearing })
}

fn permitted(desk: &mut Desk<'_>, record: &Record, uri: &SipUri<'_>) -> Option<Party> {
    let setting = desk.host.setting("phone_transfer");
    let anywhere = match setting.as_deref() {
        None | Some("allow") => record.options.forwarding,
        Some("any") => true,
        Some("deny") => return None,
        Some(other) => {
            desk.host.log(Level::Warn, &format!("phone_transfer = {other:?} means nothing: allow, any or deny"));
            return None;
        }
    };
    match desk.host.find_user(uri.address) {
        Some(user) => Some(Party { uri: user.address_of_record, name: user.display_name }),
        None => anywhere.then(|| Party { uri: uri.target(), name: None }),
    }
}

/// RFC 3891 §6.1: a Call-ID, and both tags.
fn names_a_dialog(replaces: &str) -> bool {
    let mut parts = replaces.split(';').map(str::trim);
    let call_id = parts.next().is_some_and(|call_id| !call_id.is_empty() && !call_id.contains(char::is_control));
    let names: Vec<&str> = parts.map(|part| part.split('=').next().unwrap_or(part)).collect();
    call_id && ["to-tag", "from-tag"].iter().all(|tag| names.iter().any(|name| name.eq_ignore_ascii_case(tag)))
}

fn refusal(code: u16, phrase: &str) -> Refusal {
    Refusal { status: Status::with_reason(code, phrase), headers: Vec::new() }
}

impl Introduction {
    pub fn is_attended(&self) -> bool {
        self.replaces.is_some()
    }

    /// The fields that it makes of an INVITE. A target that does not know Replaces is to say so, instead of ringing
    /// beside the call that it was to take the place of.
    pub fn headers(&self) -> impl Iterator<Item = Header> {
        let referred_by = self.referred_by.as_ref().map(|value| header("Referred-By", value));
        let replaces = self.replaces.as_ref().map(|value| [header("Replaces", value), header("Require", "replaces")]);
        referred_by.into_iter().chain(replaces.into_iter().flatten())
    }
}

impl Referral {
    /// Accepts a REFER; none when its phone wants to hear nothing. `lasts_ms` is how long the transfer may take.
    pub fn accept(desk: &mut Desk<'_>, request: &IncomingRequest, hearing: Hearing, lasts_ms: u64) -> Option<Self> {
        let headers = if hearing.silent { vec![header(REFER_SUB, "false")] } else { Vec::new() };
        desk.respond(request.transaction.value, &Status::new(202), headers, Vec::new());
        if hearing.silent {
            return None;
        }
        let (leg, refer) = (request.leg.value, request.transaction.value);
        let (expires_ms, told) = (desk.now + lasts_ms, Status::new(100));
        let referral = Self { leg, refer, named: hearing.named, expires_ms, told };
        referral.notify(desk, referral.active(desk.now)); // RFC 3515 §2.4.4: the first one comes at once
        Some(referral)
    }

    /// Tells how far the transfer is, unless the phone wanted to hear of it for a shorter time.
    pub fn progress(mut self, desk: &mut Desk<'_>, status: Status) -> Option<Self> {
        self.told = status;
        let over = self.expires_ms <= desk.now;
        let state = if over { TIMEOUT.to_string() } else { self.active(desk.now) };
        self.notify(desk, state);
        (!over).then_some(self)
    }

    /// Tells how the transfer ended, which ends the subscription (RFC 3515 §2.4.7).
    pub fn finish(mut self, desk: &mut Desk<'_>, status: &Status) {
        self.told = status.clone();
        self.notify(desk, "terminated;reason=noresource".to_string());
    }

    /// Whether a SUBSCRIBE is about this subscription.
    pub fn is_meant(&self, request: &IncomingRequest) -> bool {
        let named = |id: Option<&str>| id.map_or(!self.named, |id| id == self.refer.to_string());
        request.leg.value == self.leg && refer_id(request).is_some_and(named)
    }

    /// A SUBSCRIBE that asks for more or for less time, or none (RFC 6665 §4.2.1): the phone gets no more than the
    /// transfer may take, and hears what it has heard before.
    pub fn renew(mut self, desk: &mut Desk<'_>, request: &IncomingRequest) -> Option<Self> {
        let transaction = request.transaction.value;
        let left = self.expires_ms.saturating_sub(desk.now).div_ceil(1000);
        let wanted = headers::find(&request.headers, "Expires").map(|seconds| seconds.trim().parse::<u64>());
        let Ok(wanted) = wanted.unwrap_or(Ok(left)) else {
            desk.answer(transaction, 400);
            return Some(self);
        };
        let seconds = wanted.min(left);
        desk.respond(transaction, &Status::new(200), vec![header("Expires", seconds.to_string())], Vec::new());
        self.expires_ms = desk.now + seconds * 1000;
        let told = self.told.clone();
        self.progress(desk, told)
    }

    fn active(&self, now: u64) -> String {
        format!("active;expires={}", self.expires_ms.saturating_sub(now).div_ceil(1000).max(1))
    }

    fn notify(&self, desk: &mut Desk<'_>, state: String) {
        let id = if self.named { format!(";id={}", self.refer) } else { String::new() };
        let headers = vec![
            header("Event", format!("refer{id}")),
            header("Subscription-State", state),
            header("Content-Type", "message/sipfrag;version=2.0"),
        ];
        let body = format!("SIP/2.0 {} {}\r\n", self.told.code, self.told.reason());
        // When it is refused the phone is gone, and hears of the transfer by what happens.
        let _ = desk.request(self.leg, "NOTIFY", headers, body.into_bytes());
    }
}

/// Whether a SUBSCRIBE is about a REFER.
pub(crate) fn is_about_refer(request: &IncomingRequest) -> bool {
    refer_id(request).is_some()
}

/// The `id` that an Event `refer` has, if any; none for another package.
fn refer_id(request: &IncomingRequest) -> Option<Option<&str>> {
    let mut parts = headers::find(&request.headers, "Event")?.split(';').map(str::trim);
    let is_refer = parts.next()?.eq_ignore_ascii_case("refer");
    is_refer.then(|| parts.find_map(|parameter| parameter.strip_prefix("id=")))
}

const TIMEOUT: &str = "terminated;reason=timeout";
const REFER_SUB: &str = "Refer-Sub";
const NO_REFER_SUB: &str = "norefersub";
