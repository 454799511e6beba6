//! What tells on the wire that something is of a shard: its tags and branches begin with a mark.

use super::Shard;
use plugboard_sip::digits::Digits;
use plugboard_sip::text::Text;

/// Length of the tags that we give, in bytes.
const OWN_TAG_BYTES: usize = 18;

/// What the ids of a shard begin with.
pub(super) fn mark(index: u8) -> String {
    Digits::hexadecimal(index, 2).as_str().to_owned()
}

/// The shard that made a tag or a branch (without its cookie), when its form is ours.
pub fn shard_of(id: &str) -> Option<u8> {
    u8::from_str_radix(id.get(..2)?, 16).ok()
}

/// Whether a message may be for a call, going by a quick look at it: a response, or something with a tag of our form.
pub fn may_belong(message: &[u8]) -> bool {
    const TAG: &[u8] = b"tag=";
    let ours = |at: usize| {
        let id = message.get(at + TAG.len()..).unwrap_or_default();
        id.get(..OWN_TAG_BYTES).is_some_and(|id| id.iter().all(u8::is_ascii_hexdigit))
    };
    message.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
        || memchr::memmem::find_iter(message, TAG).any(ours)
}

impl Shard {
    /// The tag that our side of a new dialog gets; carries the shard.
    pub(super) fn new_tag(&mut self) -> Text {
        let chance = Digits::hexadecimal(self.chance.next_u64(), 16);
        let tag = Text::from([mark(self.index).as_str(), chance.as_str()].concat());
        debug_assert_eq!(tag.len(), OWN_TAG_BYTES);
        tag
    }
}
