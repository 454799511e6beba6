//! Our branches (RFC 3261 §8.1.1.7): they say which transaction they belong to, and cannot be guessed.

use sha2::{Digest, Sha256};

use crate::digits::Digits;
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

/// What a branch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The transaction that it claims to belong to.
    pub(super) transaction: u64,
    /// Whether it does: see [`Branches::proof`].
    pub(super) proof: u64,
}

impl Branches {
    pub(super) fn new(prefix: &str, seed: [u8; 16]) -> Branches {
        Branches { start: format!("{BRANCH_COOKIE}{prefix}"), seed }
    }

    /// The branch of this number, with the proof that goes with it.
    pub(super) fn make(&self, purpose: Purpose, number: u64, proof: u64) -> Text {
        let (number, proof) = (Digits::hexadecimal(number, 1), Digits::hexadecimal(proof, 16));
        Text::from([self.start.as_str(), purpose.letter(), number.as_str(), ".", proof.as_str()].concat())
    }

    /// The part of the branch of this number that nobody can tell who has not seen it on the wire.
    pub(super) fn proof(&self, purpose: Purpose, number: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(purpose.letter());
        hash.update(number.to_be_bytes());
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// What a branch says, when it is written as we write those of transactions.
    pub(super) fn read(&self, branch: &str) -> Option<Claim> {
        let (number, proof) = branch.strip_prefix(&self.start)?.strip_prefix('t')?.split_once('.')?;
        let as_written = (number == "0" || !number.starts_with('0')) && proof.len() == 16;
        as_written.then_some(Claim { transaction: hexadecimal(number)?, proof: hexadecimal(proof)? })
    }

    /// The transaction that a branch belongs to, over or not.
    pub(super) fn proven_transaction(&self, branch: &str) -> Option<u64> {
        let Claim { transaction, proof } = self.read(branch)?;
        (self.proof(Purpose::Transaction, transaction) == proof).then_some(transaction)
    }
}

impl Purpose {
    const fn letter(self) -> &'static str {
        match self {
            Purpose::Transaction => "t",
            Purpose::Ack => "a",
        }
    }
}

/// A number in lower case.
fn hexadecimal(text: &str) -> Option<u64> {
    if !(1..=16).contains(&text.len()) {
        return None;
    }
    text.bytes().try_fold(0, |number, byte| match byte {
        b'0'..=b'9' => Some(number << 4 | u64::from(byte - b'0')),
        b'a'..=b'f' => Some(number << 4 | u64::from(byte - b'a' + 10)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_lead_back_and_differ_by_seed_and_purpose() {
        let branches = Branches::new("pb", [7; 16]);
        let make =
            |branches: &Branches, purpose, number| branches.make(purpose, number, branches.proof(purpose, number));
        let branch = make(&branches, Purpose::Transaction, 0x1_0000_0002);
        assert!(branch.starts_with("z9hG4bKpbt100000002."));
        assert_eq!(branches.read(&branch).map(|claim| claim.transaction), Some(0x1_0000_0002));
        assert_eq!(branches.read(&make(&branches, Purpose::Ack, 1)), None);
        assert_eq!(branches.read("z9hG4bKother"), None);
        for other in [branch.replace("100000002", "0100000002"), branch.to_uppercase(), format!("{branch}0")] {
            assert_eq!(branches.read(&other), None, "{other}");
        }
        assert_eq!(branches.proven_transaction(&branch), Some(0x1_0000_0002));
        assert_eq!(Branches::new("pb", [8; 16]).proven_transaction(&branch), None);
        assert_eq!(branches.proven_transaction(&branch.replace("2.", "3.")), None);
        assert_ne!(branch, make(&Branches::new("pb", [8; 16]), Purpose::Transaction, 0x1_0000_0002));
    }
}
