//! The REFER of an attended transfer between two calls of ours, which may be in different shards
//! ([`plugboard_calls::shard::consultation`] has the rule).

use super::{SHARDS, Switch, lock};
use plugboard_calls::shard::{consultation, shard_of};
use plugboard_sip::message::Message;
use plugboard_sip::transport::Destination;

impl Switch {
    /// Rewrites the Refer-To of a REFER of a call that names another dialog of ours; `index` is the shard of the REFER
    /// itself. One lock at a time is taken.
    pub(super) fn name_other_end(&self, message: &mut Message, path: Destination, index: u8) {
        let Some(named) = consultation(message) else { return };
        let Some(of_named) = shard_of(&named.to_tag).filter(|index| *index < SHARDS) else { return };
        if !lock(&self.shards[usize::from(index)]).expects(message) {
            return;
        }
        let other = lock(&self.shards[usize::from(of_named)]).other_end(&named, path);
        if let Some(other) = other {
            lock(&self.shards[usize::from(index)]).name_other_end(message, &other);
        }
    }
}
