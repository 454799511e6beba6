//! Our branches (RFC 3261 §8.1.1.7): they say which transaction they belong to, and cannot be guessed.

use sha2::{Digest, Sha256};

use crate::text::Text;
use crate::via::BRANCH_COOKIE;

/// Makes branches and reads them back.
#[derive(Clone, Debug)]
pub(super) struct Branches {
    start: String,
    seed: [u8; 16],
}

/// What a branch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A client transaction; the number is its id.
    Transaction,
    /// The ACK of a 2xx, which is no transaction; the number counts them.
    Ack,
}

impl Branches {
    pub(super) fn new(prefix: &str, seed: [u8; 16]) -> Branches {
        Branches { start: format!("{BRANCH_COOKIE}{prefix}"), seed }
    }

    /// The branch of this number.
    pub(super) fn make(&self, purpose: Purpose, number: u64) -> Text {
        let letter = match purpose {
            Purpose::Transaction => 't',
            Purpose::Ack => 'a',
        };
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update([letter as u8]);
        hash.update(number.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        let unpredictable = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Text::from(format!("{}{letter}{number:x}.{unpredictable:016x}", self.start))
    }

    /// The transaction that a branch belongs to, over or not. Nobody who has not seen a branch on the wire can tell it.
    pub(super) fn proven_transaction(&self, branch: &str) -> Option<u64> {
        self.transaction(branch).filter(|number| *self.make(Purpose::Transaction, *number) == *branch)
    }

    /// The transaction that a branch claims to belong to. Whether it is its branch to the end is for the caller to see.
    pub(super) fn transaction(&self, branch: &str) -> Option<u64> {
        let (number, _) = branch.strip_prefix(&self.start)?.strip_prefix('t')?.split_once('.')?;
        u64::from_str_radix(number, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_lead_back_and_differ_by_seed_and_purpose() {
        let branches = Branches::new("pb", [7; 16]);
        let branch = branches.make(Purpose::Transaction, 0x1_0000_0002);
        assert!(branch.starts_with("z9hG4bKpbt100000002."));
        assert_eq!(branches.transaction(&branch), Some(0x1_0000_0002));
        assert_eq!(branches.transaction(&branches.make(Purpose::Ack, 1)), None);
        assert_eq!(branches.transaction("z9hG4bKother"), None);
        assert_eq!(branches.proven_transaction(&branch), Some(0x1_0000_0002));
        assert_eq!(Branches::new("pb", [8; 16]).proven_transaction(&branch), None);
        assert_eq!(branches.proven_transaction(&branch.replace("2.", "3.")), None);
        assert_ne!(branch, Branches::new("pb", [8; 16]).make(Purpose::Transaction, 0x1_0000_0002));
    }
}
