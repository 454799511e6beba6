//! Seeded mutations: the same seed makes the same inputs.

/// Fragments that parsers of SIP stumble over.
const FRAGMENTS: [&[u8]; 28] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b"\r\n\t",
    b" ",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"<",
    b">",
    b"@",
    b"?",
    b"=",
    b"%00",
    b"\0",
    b"\xff",
    b"[::1]",
    b";tag=1",
    b";branch=z9hG4bK",
    b"Content-Length: 5\r\n",
    b"l: 0\r\n",
    b"v: SIP/2.0/UDP a\r\n",
    b"SIP/2.0",
    b"4294967296",
    b"\xc2\x85",
];
/// How many changes one mutation makes at most.
const CHANGES: u64 = 6;

/// Makes inputs out of others.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// A mutator whose inputs follow from the seed.
    pub fn new(seed: u64) -> Mutator {
        Mutator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// `input` with some bytes changed, cut, repeated, or taken from `other`.
    pub fn mutate(&mut self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = input.to_vec();
        for _ in 0..=self.below(CHANGES as usize) {
            self.change(&mut out, other);
        }
        out
    }

    fn change(&mut self, out: &mut Vec<u8>, other: &[u8]) {
        let (at, end) = self.range(out.len());
        match self.below(6) {
            0 => drop(out.drain(at..end)),
            1 => {
                let fragment = FRAGMENTS[self.below(FRAGMENTS.len())];
                out.splice(at..at, fragment.iter().copied());
            }
            2 => {
                let part = out[at..end].to_vec();
                out.splice(at..at, part);
            }
            3 => {
                let (from, to) = self.range(other.len());
                out.splice(at..end, other[from..to].iter().copied());
            }
            4 => out.truncate(at),
            _ => {
                let bit = 1 << self.below(8);
                out.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bit);
            }
        }
    }

    /// A range within `length`, mostly short.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let at = self.below(length + 1);
        let longest = if self.below(4) == 0 { length - at } else { (length - at).min(16) };
        (at, at + self.below(longest + 1))
    }

    /// A number below `end`, which is not 0 (xorshift64*).
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end as u64) as usize
    }
}
