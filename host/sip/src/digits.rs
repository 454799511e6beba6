//! The digits of a number, for text that is joined of parts: made without an allocation, and with less work than the
//! formatting machinery has.

/// The most digits that a number has.
const DIGITS_MAX: usize = 20;

/// The digits of one number.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    bytes: [u8; DIGITS_MAX],
    first: usize,
}

impl Digits {
    /// In decimal.
    pub fn decimal(number: impl Into<u64>) -> Digits {
        Digits::of(number.into(), 10, 1)
    }

    /// In hexadecimal, lower case, with zeros in front up to `width` digits, 20 at most.
    pub fn hexadecimal(number: impl Into<u64>, width: usize) -> Digits {
        Digits::of(number.into(), 16, width)
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        self.bytes.get(self.first..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default()
    }

    #[inline(always)] // the base is a constant then
    fn of(mut number: u64, base: u64, width: usize) -> Digits {
        let mut digits = Digits { bytes: [b'0'; DIGITS_MAX], first: DIGITS_MAX };
        for (at, place) in digits.bytes.iter_mut().enumerate().rev() {
            if number == 0 && DIGITS_MAX - digits.first >= width {
                break;
            }
            *place = match (number % base) as u8 {
                digit @ 0..=9 => b'0' + digit,
                digit => b'a' + (digit - 10),
            };
            digits.first = at;
            number /= base;
        }
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_formatting_machinery_writes_them() {
        for number in [0, 7, 10, 255, 5060, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            assert_eq!(Digits::decimal(number).as_str(), number.to_string());
            assert_eq!(Digits::hexadecimal(number, 1).as_str(), format!("{number:x}"));
            assert_eq!(Digits::hexadecimal(number, 2).as_str(), format!("{number:02x}"));
            assert_eq!(Digits::hexadecimal(number, 16).as_str(), format!("{number:016x}"));
        }
    }
}
