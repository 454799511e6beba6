//! Session timers (RFC 4028) of one leg: what is asked for, what was agreed on, and when the next step is due. Pure:
//! [`super::refresh`] acts on it.

use plugboard_sip::message::{HeaderName, Headers, Method, Request, Response, Value};
use plugboard_sip::time::Time;
use plugboard_sip::values::{MinSe, Refresher, SessionExpires};
use std::time::Duration;

/// The smallest interval that any element may ask for, in seconds (RFC 4028 §4: Min-SE).
pub(super) const MIN_SE: u32 = 90;
/// The longest interval that is agreed to, in seconds: a Min-SE above it is not followed.
const INTERVAL_MAX: u32 = 86_400;
/// How long before the end of an interval a session that was not refreshed ends, at most (RFC 4028 §10).
const EARLY_END_MAX: Duration = Duration::from_secs(32);

/// The session of a leg.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// The interval to ask for, in seconds; 0: none is asked for.
    pub wanted: u32,
    /// The smallest interval that the way to the peer takes, in seconds, when that was said (422).
    min_se: Option<u32>,
    /// Whether the peer has said that it takes UPDATE.
    pub takes_update: bool,
    agreed: Option<Agreed>,
}

/// An interval that holds.
#[derive(Clone, Copy, Debug)]
struct Agreed {
    seconds: u32,
    /// When we refresh; none while a refresh is on its way, or when the peer does.
    refresh_at: Option<Time>,
    /// Whether it is for us to refresh.
    ours: bool,
    /// The end of the session unless it is refreshed.
    end_at: Time,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A refresh by us.
    Refresh,
    /// Nobody refreshed the session.
    End,
}

impl Agreed {
    fn new(now: Time, seconds: u32, ours: bool) -> Self {
        let seconds = seconds.clamp(MIN_SE, INTERVAL_MAX);
        let interval = Duration::from_secs(u64::from(seconds));
        let end_at = now + (interval - EARLY_END_MAX.min(interval / 3));
        Self { seconds, refresh_at: ours.then_some(now + interval / 2), ours, end_at }
    }
}

impl Session {
    /// Asks for the session timer in an INVITE or UPDATE of ours (RFC 4028 §7.1). In a session that has one, the roles
    /// stay as they are (§7.4).
    pub fn ask(&self, request: &mut Request) {
        let refresher = |agreed: Agreed| if agreed.ours { Refresher::Uac } else { Refresher::Uas };
        let seconds = self.agreed.map_or(self.wanted, |agreed| agreed.seconds).max(self.min_se.unwrap_or_default());
        if self.agreed.is_none() && self.wanted == 0 {
            return;
        }
        let expires = SessionExpires { interval: seconds, refresher: self.agreed.map(refresher) };
        request.headers.push(HeaderName::Supported, Value::from_static("timer"));
        request.headers.set(HeaderName::SessionExpires, expires.to_string());
        if let Some(min_se) = self.min_se {
            request.headers.set(HeaderName::MinSe, min_se.to_string());
        }
    }

    /// Asks again for what a 422 wants (RFC 4028 §7.4). Whether that is possible.
    pub fn ask_for_more(&mut self, request: &mut Request, refusal: &Headers) -> bool {
        let (Some(min_se), Some(asked)) = (min_se(refusal), session_expires(&request.headers)) else { return false };
        if min_se > INTERVAL_MAX || min_se <= asked.interval {
            return false;
        }
        self.min_se = Some(min_se);
        let expires = SessionExpires { interval: min_se, ..asked };
        request.headers.set(HeaderName::SessionExpires, expires.to_string());
        request.headers.set(HeaderName::MinSe, min_se.to_string());
        true
    }

    /// What a 2xx to an INVITE or UPDATE of ours makes of the session (RFC 4028 §7.2): without Session-Expires it has
    /// no end.
    pub fn follow(&mut self, now: Time, response: &Headers) {
        let expires = session_expires(response);
        self.agreed = expires.map(|se| Agreed::new(now, se.interval, se.refresher != Some(Refresher::Uas)));
    }

    /// Puts our word on the session into a 2xx to an INVITE or UPDATE of the peer (RFC 4028 §9).
    pub fn answer(&mut self, now: Time, request: &Headers, response: &mut Response) {
        let supports = request.lists_token(&HeaderName::Supported, "timer");
        let asked = session_expires(request);
        let before = self.agreed.take();
        let wanted = before.map_or(self.wanted, |agreed| agreed.seconds);
        let seconds = asked.map_or(wanted, |expires| expires.interval).max(min_se(request).unwrap_or_default());
        if asked.is_none() && (seconds == 0 || (before.is_none() && !supports)) {
            return;
        }
        let peer_refreshes = match asked.and_then(|expires| expires.refresher) {
            Some(refresher) => refresher == Refresher::Uac,
            None => supports && before.is_none_or(|agreed| !agreed.ours),
        };
        let agreed = Agreed::new(now, seconds, !peer_refreshes);
        let refresher = if peer_refreshes { Refresher::Uac } else { Refresher::Uas };
        let expires = SessionExpires { interval: agreed.seconds, refresher: Some(refresher) };
        response.headers.set(HeaderName::SessionExpires, expires.to_string());
        if peer_refreshes {
            response.headers.push(HeaderName::Require, "timer");
        }
        self.agreed = Some(agreed);
    }

    /// Takes note of what the peer says that it takes.
    pub fn note_allowed(&mut self, headers: &Headers) {
        if headers.contains(&HeaderName::Allow) {
            self.takes_update = headers.lists_token(&HeaderName::Allow, Method::Update.as_str());
        }
    }

    /// A refresh is on its way.
    pub fn refreshing(&mut self) {
        if let Some(agreed) = &mut self.agreed {
            agreed.refresh_at = None;
        }
    }

    /// The refresh that is due, or that failed, is tried at this time.
    pub fn refresh_at(&mut self, at: Time) {
        if let Some(agreed) = self.agreed.as_mut().filter(|agreed| agreed.ours) {
            agreed.refresh_at = Some(at);
        }
    }

    /// When something is due.
    pub fn next_due(&self) -> Option<Time> {
        self.agreed.map(|agreed| agreed.refresh_at.map_or(agreed.end_at, |at| at.min(agreed.end_at)))
    }

    /// What is due now.
    pub fn due(&self, now: Time) -> Option<Due> {
        let agreed = self.agreed?;
        if agreed.end_at <= now {
            return Some(Due::End);
        }
        agreed.refresh_at.is_some_and(|at| at <= now).then_some(Due::Refresh)
    }
}

/// The interval that is too small in an INVITE or UPDATE of a peer that knows what a 422 means (RFC 4028 §9).
pub(super) fn is_too_small(request: &Headers) -> bool {
    let supports = request.lists_token(&HeaderName::Supported, "timer");
    supports && session_expires(request).is_some_and(|expires| expires.interval < MIN_SE)
}

fn session_expires(headers: &Headers) -> Option<SessionExpires> {
    SessionExpires::parse(&headers.get(&HeaderName::SessionExpires)?.to_text()?).ok()
}

fn min_se(headers: &Headers) -> Option<u32> {
    MinSe::parse(&headers.get(&HeaderName::MinSe)?.to_text()?).ok().map(|MinSe(seconds)| seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugboard_sip::message::Status;

    fn headers(fields: &[(HeaderName, &str)]) -> Headers {
        let mut headers = Headers::new();
        fields.iter().for_each(|(name, value)| headers.push(name.clone(), *value));
        headers
    }

    fn answered(session: &mut Session, request: &[(HeaderName, &str)]) -> (String, bool) {
        let request = headers(request);
        let mut response = Response::to(&Request::new(Method::Update, "sip:a@b"), Status::OK, "OK", "");
        session.answer(Time::from_millis(0), &request, &mut response);
        let expires = response.headers.get_str(&HeaderName::SessionExpires).unwrap_or_default().to_owned();
        (expires, response.headers.lists_token(&HeaderName::Require, "timer"))
    }

    #[test]
    fn the_peer_refreshes_when_it_can_and_nobody_else_is_named() {
        use HeaderName::{MinSe, SessionExpires, Supported};
        let fresh = || Session { wanted: 1800, ..Session::default() };
        let said = |request: &[(HeaderName, &str)]| answered(&mut fresh(), request);
        assert_eq!(said(&[(Supported, "timer")]), ("1800;refresher=uac".into(), true));
        assert_eq!(said(&[(Supported, "timer"), (SessionExpires, "600")]), ("600;refresher=uac".into(), true));
        assert_eq!(
            said(&[(Supported, "timer"), (SessionExpires, "600;refresher=uas")]),
            ("600;refresher=uas".into(), false)
        );
        assert_eq!(said(&[(SessionExpires, "600")]), ("600;refresher=uas".into(), false), "a proxy asked for it");
        assert_eq!(said(&[(Supported, "timer"), (MinSe, "3600")]), ("3600;refresher=uac".into(), true));
        assert_eq!(said(&[]), (String::new(), false));
        assert_eq!(answered(&mut Session::default(), &[(Supported, "timer")]), (String::new(), false), "off");
    }

    #[test]
    fn the_roles_stay_when_a_session_is_refreshed() {
        let mut session = Session { wanted: 1800, ..Session::default() };
        session.follow(Time::from_millis(0), &headers(&[(HeaderName::SessionExpires, "600;refresher=uac")]));
        assert_eq!(answered(&mut session, &[(HeaderName::Supported, "timer")]), ("600;refresher=uas".into(), false));
        let mut request = Request::new(Method::Update, "sip:a@b");
        session.ask(&mut request);
        assert_eq!(request.headers.get_str(&HeaderName::SessionExpires), Some("600;refresher=uac"));
    }

    #[test]
    fn half_of_the_interval_is_the_time_to_refresh_and_the_end_comes_a_little_early() {
        let mut session = Session::default();
        let at = |seconds: u64| Time::from_millis(seconds * 1000);
        session.follow(at(0), &headers(&[(HeaderName::SessionExpires, "1800;refresher=uac")]));
        assert_eq!(session.next_due(), Some(at(900)));
        assert_eq!(session.due(at(900)), Some(Due::Refresh));
        session.refreshing();
        assert_eq!((session.next_due(), session.due(at(1_768))), (Some(at(1_768)), Some(Due::End)));
        session.follow(at(0), &headers(&[(HeaderName::SessionExpires, "90;refresher=uas")]));
        assert_eq!(session.next_due(), Some(at(60)), "a third of a short interval");
        session.follow(at(0), &headers(&[(HeaderName::SessionExpires, "1;refresher=uac")]));
        assert_eq!(session.next_due(), Some(at(45)), "no less than Min-SE may be");
        session.follow(at(0), &headers(&[]));
        assert_eq!(session.next_due(), None);
    }

    #[test]
    fn a_422_is_followed_when_it_asks_for_more_and_not_for_ever() {
        let mut session = Session { wanted: 1800, ..Session::default() };
        let mut invite = Request::new(Method::Invite, "sip:a@b");
        session.ask(&mut invite);
        let mut asks = |min_se: &str| session.ask_for_more(&mut invite, &headers(&[(HeaderName::MinSe, min_se)]));
        assert!(asks("3600") && !asks("3600") && !asks("90") && !asks("99999999") && !asks("x"));
        assert_eq!(invite.headers.get_str(&HeaderName::SessionExpires), Some("3600"));
        assert_eq!(invite.headers.get_str(&HeaderName::MinSe), Some("3600"));
    }
}
