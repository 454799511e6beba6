//! JSON, byte for byte as `serde_json` writes it, in fewer steps: a line consists mostly of names that are known and of
//! texts in which nothing is escaped. Names of fields and variants are written as they are, texts are looked through
//! eight bytes at a time, and all goes straight to the end of the line.

use serde::Serialize;
use serde::ser::{self, Error as _, Impossible};
use serde_json::Error;

type Result<T = ()> = std::result::Result<T, Error>;

/// Adds a value to a line.
///
/// # Errors
/// When the value refuses, or is of a kind that nothing in a line is: a map, a fraction, bytes.
pub(crate) fn write<T: Serialize + ?Sized>(line: &mut Vec<u8>, value: &T) -> Result {
    value.serialize(Json(line))
}

/// Writes one value.
struct Json<'a>(&'a mut Vec<u8>);

/// Writes the values of an object or array, and then what ends it.
struct Values<'a> {
    line: &'a mut Vec<u8>,
    /// What stands before the next value: a comma, but for the first.
    before: &'static [u8],
    end: &'static [u8],
}

impl<'a> Json<'a> {
    /// What begins the value of a variant.
    fn variant(self, name: &'static str) -> &'a mut Vec<u8> {
        self.0.extend_from_slice(b"{\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self.0
    }

    fn number(self, number: impl itoa::Integer) -> Result {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }
}

impl<'a> Values<'a> {
    fn begin(line: &'a mut Vec<u8>, begin: u8, end: &'static [u8]) -> Result<Self> {
        line.push(begin);
        Ok(Self { line, before: b"", end })
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
        self.line.extend_from_slice(self.before);
        self.before = b",";
        self.line.push(b'"');
        self.line.extend_from_slice(name.as_bytes());
        self.line.extend_from_slice(b"\":");
        write(self.line, value)
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.line.extend_from_slice(self.before);
        self.before = b",";
        write(self.line, value)
    }

    fn end(self) -> Result {
        self.line.extend_from_slice(self.end);
        Ok(())
    }
}

/// Adds a text with its quotes.
fn text(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((plain, behind)) = rest.split_at_checked(plain(rest)) {
        line.extend_from_slice(plain);
        let Some((special, behind)) = behind.split_first() else { break };
        escape(line, *special);
        rest = behind;
    }
    line.push(b'"');
}

/// Bytes at the beginning that stand for themselves, in number.
fn plain(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        if let Some(at) = first_special(*word) {
            return 8 * n + at;
        }
    }
    if rest.is_empty() {
        return text.len();
    }
    // What is left is looked at with what was before it, where nothing is special.
    match text.last_chunk() {
        Some(last) => first_special(*last).map_or(text.len(), |at| text.len() - 8 + at),
        None => text.iter().position(|byte| is_special(*byte)).unwrap_or(text.len()),
    }
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// Where the first of eight bytes is that is escaped. All are looked at in one number, the first in its lowest byte. A
/// difference borrows from the bytes above one that is smaller, so of those found the lowest is right.
fn first_special(bytes: [u8; 8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let smaller = |bytes: u64, than: u8| bytes.wrapping_sub(ONES * u64::from(than)) & !bytes;
    let equal = |bytes: u64, to: u8| smaller(bytes ^ (ONES * u64::from(to)), 1);
    let bytes = u64::from_le_bytes(bytes);
    let found = (smaller(bytes, b' ') | equal(bytes, b'"') | equal(bytes, b'\\')) & (ONES << 7);
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

fn escape(line: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'\r' => b'r',
        b'\n' => b'n',
        b'"' | b'\\' => byte,
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
            line.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    line.extend_from_slice(&[b'\\', letter]);
}

fn unknown<T>(kind: &str) -> Result<T> {
    Err(Error::custom(format_args!("{kind} in a line of the journal")))
}

macro_rules! numbers {
    ($($name:ident $kind:ty),*) => {
        $(fn $name(self, number: $kind) -> Result {
            self.number(number)
        })*
    };
}

impl<'a> ser::Serializer for Json<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Values<'a>;
    type SerializeTuple = Values<'a>;
    type SerializeTupleStruct = Values<'a>;
    type SerializeTupleVariant = Values<'a>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Values<'a>;
    type SerializeStructVariant = Values<'a>;

    numbers! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64
    }

    fn serialize_bool(self, value: bool) -> Result {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Result {
        unknown("a fraction")
    }

    fn serialize_f64(self, _: f64) -> Result {
        unknown("a fraction")
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result {
        text(self.0, value);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result {
        unknown("bytes")
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let line = self.variant(variant);
        write(line, value)?;
        line.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Values<'a>> {
        Values::begin(self.0, b'[', b"]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Values<'a>> {
        Values::begin(self.0, b'[', b"]")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Values<'a>> {
        Values::begin(self.0, b'[', b"]")
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Values<'a>> {
        Values::begin(self.variant(variant), b'[', b"]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap> {
        unknown("a map")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Values<'a>> {
        Values::begin(self.0, b'{', b"}")
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Values<'a>> {
        Values::begin(self.variant(variant), b'{', b"}}")
    }
}

macro_rules! elements {
    ($($kind:ident $name:ident),*) => {
        $(impl ser::$kind for Values<'_> {
            type Ok = ();
            type Error = Error;

            fn $name<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
                self.element(value)
            }

            fn end(self) -> Result {
                self.end()
            }
        })*
    };
}

macro_rules! fields {
    ($($kind:ident),*) => {
        $(impl ser::$kind for Values<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result {
                self.field(name, value)
            }

            fn end(self) -> Result {
                self.end()
            }
        })*
    };
}

elements!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);
fields!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kinds<'a> {
        Unit,
        New(Option<&'a Kinds<'a>>),
        Tuple(i8, u64, &'a [&'a str]),
        Struct {
            #[serde(skip_serializing_if = "str::is_empty")]
            first: &'a str,
            second: (bool, char),
            third: Empty,
        },
    }

    #[derive(Serialize)]
    struct Empty {}

    fn same<T: Serialize + ?Sized>(value: &T) {
        let mut line = b"before".to_vec();
        write(&mut line, value).expect("written");
        let expected = serde_json::to_string(value).expect("written");
        assert_eq!(String::from_utf8_lossy(&line), format!("before{expected}"));
    }

    #[test]
    fn a_value_is_written_as_serde_json_writes_it() {
        let few = Kinds::Tuple(-7, u64::MAX, &["", "ü"]);
        same(&[&Kinds::Unit, &Kinds::New(None), &Kinds::New(Some(&few)), &Kinds::Tuple(0, 10, &[])]);
        same(&Kinds::Struct { first: "", second: (true, '"'), third: Empty {} });
        same(&Kinds::Struct { first: "a", second: (false, 'ß'), third: Empty {} });
        write(&mut Vec::new(), &1.5).expect_err("no part of a line");
    }

    #[test]
    fn whatever_is_escaped_is_found_wherever_it_stands() {
        for special in (0..=0x100).filter_map(char::from_u32) {
            for before in 0..20 {
                for behind in [0, 1, 7, 8, 9] {
                    let start: String = "é~ !#[]x".chars().cycle().take(before).collect();
                    same(&format!("{start}{special}{}", "a".repeat(behind)));
                    same(&format!("{start}{special}\u{1}{special}{}", "\u{80}".repeat(behind)));
                }
            }
        }
    }
}
