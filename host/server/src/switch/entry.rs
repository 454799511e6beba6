//! The way in of messages, the same for all transports: to their shard, unless their source floods us
//! ([`plugboard_sip::flood`] has the rule).

use super::drive::Ready;
use super::{SHARDS, Switch, lock};
use plugboard_calls::shard::replaced_tag;
use plugboard_sip::admit::Refusal;
use plugboard_sip::message::{HeaderName, Message, Method};
use plugboard_sip::transport::Destination;
use plugboard_sip::via::BRANCH_COOKIE;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Switch {
    /// Gives a message to its shard; the shard, and the calls that have something to do now.
    pub(super) fn take(self: &Arc<Self>, mut message: Message, path: Destination) -> (u8, Vec<Ready>) {
        let index = self.shard_for_message(&message);
        self.name_other_end(&mut message, path, index);
        let ((), ready) = self.visit(index, |shard, now, out| {
            if shard.expects(&message) || lock(&self.floods).admit(now, path.remote.ip()) {
                shard.receive(now, message, path, out);
            } else {
                self.counters.flood_messages.fetch_add(1, Ordering::Relaxed);
            }
        });
        (index, ready)
    }

    /// Takes note of what is no message that we serve. Whether it is to be answered.
    pub(super) fn refuse(&self, refusal: &Refusal, source: SocketAddr) -> bool {
        self.counters.datagrams_refused.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %source, reason = %refusal.reason, "a message was refused");
        lock(&self.floods).admit(self.clock.now(), source.ip())
    }

    /// Whether a source has sent too much that belongs to nothing.
    pub(super) fn is_flooding(&self, source: SocketAddr) -> bool {
        lock(&self.floods).is_flooding(self.clock.now(), source.ip())
    }

    /// The shard that a message is for: responses carry it in the branch that we gave, requests in our tag, or in that of
    /// the dialog which they are to replace. The CANCEL of such an INVITE names no tag of ours, so it is looked for.
    fn shard_for_message(&self, message: &Message) -> u8 {
        let call_id = message.headers().get(&HeaderName::CallId).map(|value| value.as_bytes()).unwrap_or_default();
        match message {
            Message::Response(response) => {
                let branch = response.headers.branch().ok().flatten().and_then(|b| b.strip_prefix(BRANCH_COOKIE));
                self.shard_of(branch, call_id)
            }
            Message::Request(request) => {
                let tag = request.headers.to_tag().or_else(|| replaced_tag(request));
                let knows = |index: &u8| lock(&self.shards[usize::from(*index)]).knows_invite_of(request);
                let lost = tag.is_none() && request.method == Method::Cancel;
                let found = lost.then(|| (0..SHARDS).find(knows)).flatten();
                found.unwrap_or_else(|| self.shard_of(tag.as_deref(), call_id))
            }
        }
    }
}
