//! When a target fails, the request goes to the next one before the guest hears of it (RFC 3263 §4.3): as a new
//! transaction with the same CSeq. The guest sees one transaction with one outcome, that of the last target.

use super::face::Way;
use super::leg::{LegState, Progress};
use super::{Output, Owner, Shard};
use plugboard_sip::locate::{AVOID_TIME, TARGETS_MAX, Target};
use plugboard_sip::message::{HeaderName, Method, Response, Status};
use plugboard_sip::time::Time;
use plugboard_sip::transport::Destination;
use std::collections::VecDeque;
use std::time::Duration;

/// Where a request of ours goes: where it is, and where it may go when that fails. The default is of an address that
/// was not looked up: there is nowhere else to go.
#[derive(Debug, Default)]
pub(super) struct Road {
    /// The target that has it, when it was looked up.
    at: Option<Target>,
    /// What is left, [`TARGETS_MAX`] in all.
    left: VecDeque<(Target, Destination)>,
    /// The path by UDP to the same target, when it went by TCP for its size and may still come back.
    pub by_udp: Option<Destination>,
    /// The highest status of a provisional response.
    heard: Option<u16>,
}

/// How a target failed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// It cannot be reached, or there was no response (timers B and F).
    Silence,
    /// It answered 503, and wants to be left alone for so long, if it said so.
    Unavailable(Option<Duration>),
}

impl Trouble {
    /// How long the target is avoided.
    fn time(self) -> Duration {
        match self {
            Trouble::Unavailable(Some(time)) => time,
            Trouble::Unavailable(None) | Trouble::Silence => AVOID_TIME,
        }
    }
}

impl Road {
    /// The first path, and the road of which it is the beginning; none when there are no targets. The target that has
    /// the dialog already comes first, the others in this order.
    pub fn new(reached: impl Iterator<Item = (Target, Destination)>, way: Option<&Way>) -> Option<(Destination, Self)> {
        let mut left: VecDeque<_> = reached.collect();
        let known = way.and_then(|way| left.iter().position(|(_, destination)| *destination == way.destination));
        if let Some(known) = known.and_then(|at| left.remove(at)) {
            left.push_front(known);
        }
        left.truncate(TARGETS_MAX);
        let mut road = Self { left, ..Self::default() };
        road.next().map(|first| (first, road))
    }

    /// The next path, which the request takes now.
    pub fn next(&mut self) -> Option<Destination> {
        let (target, destination) = self.left.pop_front()?;
        (self.at, self.heard) = (Some(target), None);
        Some(destination)
    }

    /// The request is given up: it goes nowhere else.
    pub fn end(&mut self) {
        self.left.clear();
    }

    /// Takes note of a response. What is wrong with the target, when it is a 503.
    pub fn heard(&mut self, response: &Response) -> Option<Trouble> {
        if response.status.is_provisional() {
            self.heard = self.heard.max(Some(response.status.code()));
        }
        let unavailable = response.status.code() == 503;
        unavailable.then(|| Trouble::Unavailable(retry_after(response)))
    }

    /// Whether the request may go elsewhere after this. Not when a response came before the silence (RFC 3263 §4.3),
    /// and, against it, not when a 503 comes after more than a 100: the guest knows that this target rings.
    fn may_leave(&self, trouble: Trouble) -> bool {
        match trouble {
            Trouble::Silence => self.heard.is_none(),
            Trouble::Unavailable(_) => self.heard.is_none_or(|status| status == Status::TRYING.code()),
        }
    }
}

impl Shard {
    /// Sends a request whose target failed to the next one, and has the failed one avoided. Whether there was one.
    pub(super) fn send_elsewhere(&mut self, now: Time, owner: Owner, trouble: Trouble, out: &mut Vec<Output>) -> bool {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return false };
        let Some(sent) = actor.sent.iter_mut().find(|sent| sent.id == owner.transaction) else { return false };
        let Progress::Pending(_) = sent.progress else { return false };
        let may_leave = sent.road.may_leave(trouble);
        if let Some(target) = sent.road.at.take().filter(|_| may_leave) {
            out.push(Output::Avoid { target, time: trouble.time() });
        }
        let Some(leg) = actor.legs.iter().find(|leg| leg.id == sent.leg) else { return false };
        let given_up = sent.request.method == Method::Invite && leg.state == LegState::Cancelled;
        let Some(next_hop) = sent.next_hop.clone().filter(|_| may_leave && !given_up) else { return false };
        let Some(destination) = sent.road.next() else { return false };
        self.counters.sent_elsewhere += 1;
        self.launch_request(now, owner, next_hop, destination, out);
        true
    }
}

/// For how long a 503 wants no requests (RFC 3261 §20.33).
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers.get_str(&HeaderName::RetryAfter)?;
    let digits = value.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}
