//! Nonces of the server side of Digest (RFC 7616 §3.3, §5.4, §5.5). A nonce proves by its seal that this process made
//! it, when, and for whom; nothing is stored until someone logs in with it. From then on its counts are remembered,
//! so that no request is accepted twice.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use plugboard_sip::time::Time;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// How long a nonce serves, in milliseconds. A client with an older one is told that it is stale and asks again.
pub const NONCE_MS_MAX: u64 = 5 * 60 * 1_000;
/// Nonces whose counts are remembered, in number.
pub const NONCES_USED_MAX: usize = 65_536;
/// How far a count may lie behind the highest one seen, in requests.
const WINDOW: u32 = 64;

const STAMP_BYTES: usize = 16;
const SEAL_BYTES: usize = 16;

/// Makes nonces and judges them.
pub struct Nonces {
    key: [u8; 32],
    used_max: usize,
    used: Mutex<Used>,
}

/// A nonce of ours: when it was made (milliseconds), and a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    made: u64,
    number: u64,
}

#[derive(Default)]
struct Used {
    counts: BTreeMap<Stamp, Window>,
    /// What lies at or before this and is not among the counts may have been forgotten: it is stale.
    forgotten: Option<Stamp>,
}

/// The counts seen with one nonce: the highest, and a bit for each of the 64 up to it.
#[derive(Clone, Copy)]
struct Window {
    highest: u32,
    seen: u64,
}

impl Nonces {
    /// Nonces sealed with a key of this process.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, used_max: NONCES_USED_MAX, used: Mutex::default() }
    }

    /// A nonce for a client at `source` that asks for `realm`; `number` is from a source of chance.
    pub fn issue(&self, now: Time, number: u64, source: IpAddr, realm: &str) -> String {
        let stamp = Stamp { made: now.as_millis(), number };
        let mut bytes = stamp.to_bytes().to_vec();
        bytes.extend(self.seal(stamp, source, realm));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a request that proved to know the secret may count: the nonce is ours, for this client, young enough,
    /// and this count of it is new. Otherwise the client must ask again with a fresh one.
    pub fn accept(&self, nonce: &str, count: u32, now: Time, source: IpAddr, realm: &str) -> bool {
        let Some(stamp) = self.open(nonce, source, realm) else { return false };
        let young = now.as_millis().checked_sub(stamp.made).is_some_and(|age| age <= NONCE_MS_MAX);
        young && self.used.lock().unwrap_or_else(PoisonError::into_inner).count(stamp, count, now, self.used_max)
    }

    fn open(&self, nonce: &str, source: IpAddr, realm: &str) -> Option<Stamp> {
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok().filter(|bytes| bytes.len() == STAMP_BYTES + SEAL_BYTES)?;
        let (stamp, seal) = bytes.split_first_chunk::<STAMP_BYTES>()?;
        let stamp = Stamp::from_bytes(*stamp);
        bool::from(self.seal(stamp, source, realm).as_slice().ct_eq(seal)).then_some(stamp)
    }

    fn seal(&self, stamp: Stamp, source: IpAddr, realm: &str) -> [u8; SEAL_BYTES] {
        let source = match source.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(&stamp.to_bytes());
        mac.update(&source.octets());
        mac.update(realm.as_bytes());
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let (seal, _) = full.split_first_chunk::<SEAL_BYTES>().expect("32 bytes are more than 16");
        *seal
    }
}

impl Used {
    fn count(&mut self, stamp: Stamp, count: u32, now: Time, used_max: usize) -> bool {
        self.forget_while(|oldest, _| now.as_millis().saturating_sub(oldest.made) > NONCE_MS_MAX);
        if let Some(window) = self.counts.get_mut(&stamp) {
            return window.count(count);
        }
        let known_new = self.forgotten.is_none_or(|forgotten| stamp > forgotten);
        let Some(window) = Window::first(count).filter(|_| known_new) else { return false };
        self.counts.insert(stamp, window);
        self.forget_while(|_, remembered| remembered > used_max);
        true
    }

    /// Forgets the oldest while that is called for, given the oldest and how many there are.
    fn forget_while(&mut self, called_for: impl Fn(Stamp, usize) -> bool) {
        while let Some((oldest, _)) = self.counts.first_key_value() {
            if !called_for(*oldest, self.counts.len()) {
                break;
            }
            let forgotten = self.counts.pop_first().map(|(stamp, _)| stamp);
            self.forgotten = self.forgotten.max(forgotten);
        }
    }
}

impl Window {
    fn first(count: u32) -> Option<Self> {
        (count > 0).then_some(Self { highest: count, seen: 1 })
    }

    /// Whether this count is new. Counts may arrive in another order (requests on several connections).
    fn count(&mut self, count: u32) -> bool {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = if ahead < WINDOW { (self.seen << ahead) | 1 } else { 1 };
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let bit = 1u64.checked_shl(behind).unwrap_or(0);
        let new = count > 0 && bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

impl Stamp {
    fn to_bytes(self) -> [u8; STAMP_BYTES] {
        (u128::from(self.made) << 64 | u128::from(self.number)).to_be_bytes()
    }

    fn from_bytes(bytes: [u8; STAMP_BYTES]) -> Self {
        let both = u128::from_be_bytes(bytes);
        let low = both & u128::from(u64::MAX);
        let half = |value: u128| u64::try_from(value).expect("64 bits of 128");
        Self { made: half(both >> 64), number: half(low) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    fn nonces() -> Nonces {
        Nonces::new([7; 32])
    }

    fn at(ms: u64) -> Time {
        Time::from_millis(START + ms)
    }

    fn home() -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    #[test]
    fn a_nonce_serves_its_client_for_five_minutes() {
        let nonces = nonces();
        let nonce = nonces.issue(at(0), 1, home(), "example.com");
        assert!(nonces.accept(&nonce, 1, at(NONCE_MS_MAX), home(), "example.com"));
        assert!(!nonces.accept(&nonce, 2, at(NONCE_MS_MAX + 1), home(), "example.com"));
    }

    #[test]
    fn a_nonce_serves_nobody_else() {
        let nonces = nonces();
        let nonce = nonces.issue(at(0), 1, home(), "example.com");
        assert!(!nonces.accept(&nonce, 1, at(1), IpAddr::from([192, 0, 2, 2]), "example.com"));
        assert!(!nonces.accept(&nonce, 1, at(1), home(), "other.example"));
        assert!(!Nonces::new([8; 32]).accept(&nonce, 1, at(1), home(), "example.com"));
        assert!(!nonces.accept("", 1, at(1), home(), "example.com"));
        assert!(!nonces.accept(&nonce.replacen(&nonce[..1], "_", 1), 1, at(1), home(), "example.com"));
        assert!(nonces.accept(&nonce, 1, at(1), home(), "example.com"));
    }

    #[test]
    fn a_count_is_accepted_once() {
        let nonces = nonces();
        let nonce = nonces.issue(at(0), 1, home(), "r");
        let accept = |count| nonces.accept(&nonce, count, at(1), home(), "r");
        assert!(!accept(0));
        assert!(accept(1) && !accept(1));
        assert!(accept(70));
        assert!(accept(69) && !accept(69), "another order");
        assert!(accept(70 - WINDOW + 1) && !accept(70 - WINDOW), "the window's edge");
        assert!(!accept(70) && accept(71));
    }

    #[test]
    fn what_was_forgotten_for_want_of_room_is_stale_not_new() {
        let nonces = Nonces { used_max: 2, ..nonces() };
        let made: Vec<_> = (0..4).map(|n| nonces.issue(at(n), n, home(), "r")).collect();
        let accept = |n: usize, count| nonces.accept(&made[n], count, at(10), home(), "r");
        assert!(accept(1, 1) && accept(2, 1) && accept(3, 1));
        assert!(!accept(1, 1) && !accept(1, 2), "made room for the fourth");
        assert!(!accept(0, 1), "older than what was forgotten");
        assert!(accept(3, 2) && !accept(3, 2));
    }
}
