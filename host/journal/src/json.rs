//! What a line says, as JSON: straight into the buffer of the line. `serde_json` reads it, and would write the same
//! bytes; it looks at each byte of a text and asks for room at each comma, which is dear for what is written of every
//! event of every call.

use serde::ser::{
    Error, Impossible, Serialize, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, Serializer,
};
use std::fmt;

/// Writes a value behind what the buffer holds.
///
/// # Errors
/// When it has a part of a type that no line has: a map, a fraction.
pub(crate) fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), Unwritable> {
    value.serialize(Json(out))
}

/// Why a value cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("no line of the journal can say this: {0}")]
pub(crate) struct Unwritable(String);

impl Error for Unwritable {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self(why.to_string())
    }
}

struct Json<'a>(&'a mut Vec<u8>);

/// The elements of an array or the members of an object.
struct Elements<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before the next one: a comma, and a bracket before the first.
    before: u8,
    end: &'static [u8],
}

impl<'a> Json<'a> {
    fn number(self, number: impl itoa::Integer) -> Result<(), Unwritable> {
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(())
    }

    fn begin(self, before: u8, end: &'static [u8]) -> Result<Elements<'a>, Unwritable> {
        Ok(Elements { out: self.0, before, end })
    }

    /// The beginning of the object that a variant with content is.
    fn variant(&mut self, name: &'static str) {
        self.0.extend_from_slice(b"{\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }
}

impl Elements<'_> {
    fn element(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Unwritable> {
        self.out.push(std::mem::replace(&mut self.before, b','));
        write(self.out, value)
    }

    /// The names are those of fields in our code: nothing in them is escaped. Inlined, so that their length is known.
    #[inline(always)]
    fn member(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), Unwritable> {
        self.out.extend_from_slice(&[std::mem::replace(&mut self.before, b','), b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out, value)
    }

    fn end(self) -> Result<(), Unwritable> {
        if self.before != b',' {
            self.out.push(self.before); // nothing came
        }
        self.out.extend_from_slice(self.end);
        Ok(())
    }
}

/// A text in quotes (RFC 8259 §7).
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Most need no escape; that is seen without a branch for each byte.
    if bytes.iter().fold(false, |found, byte| found | is_escaped(*byte)) {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
            let (plain, behind) = rest.split_at(at);
            out.extend_from_slice(plain);
            rest = behind.split_first().map_or(&[], |(byte, behind)| {
                escape(out, *byte);
                behind
            });
        }
        out.extend_from_slice(rest);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn is_escaped(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(hexadecimal(&[byte]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
    let mut text = Vec::with_capacity(2 * bytes.len());
    bytes.iter().for_each(|byte| text.extend_from_slice(&[digit(byte >> 4), digit(*byte)]));
    String::from_utf8(text).expect("digits are ASCII")
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Elements<'a>;
    type SerializeTuple = Elements<'a>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;
    type SerializeMap = Impossible<(), Unwritable>;
    type SerializeStruct = Elements<'a>;
    type SerializeStructVariant = Elements<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Unwritable> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_i16(self, value: i16) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_i32(self, value: i32) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_u16(self, value: u16) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unwritable> {
        self.number(value)
    }

    fn serialize_f32(self, _: f32) -> Result<(), Unwritable> {
        Err(Unwritable::custom("a fraction"))
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unwritable> {
        Err(Unwritable::custom("a fraction"))
    }

    fn serialize_char(self, value: char) -> Result<(), Unwritable> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritable> {
        text(self.0, value);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Unwritable> {
        Err(Unwritable::custom("bytes"))
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Unwritable> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        self.variant(variant);
        write(self.0, value)?;
        self.0.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements<'a>, Unwritable> {
        self.begin(b'[', b"]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements<'a>, Unwritable> {
        self.begin(b'[', b"]")
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unwritable> {
        Err(Unwritable::custom(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unwritable> {
        Err(Unwritable::custom(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unwritable> {
        Err(Unwritable::custom("a map"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements<'a>, Unwritable> {
        self.begin(b'{', b"}")
    }

    fn serialize_struct_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements<'a>, Unwritable> {
        self.variant(variant);
        self.begin(b'{', b"}}")
    }
}

impl SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.element(value)
    }

    fn end(self) -> Result<(), Unwritable> {
        Elements::end(self)
    }
}

impl SerializeTuple for Elements<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.element(value)
    }

    fn end(self) -> Result<(), Unwritable> {
        Elements::end(self)
    }
}

impl SerializeStruct for Elements<'_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unwritable> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Unwritable> {
        Elements::end(self)
    }
}

impl SerializeStructVariant for Elements<'_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline(always)]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Unwritable> {
        self.member(name, value)
    }

    fn end(self) -> Result<(), Unwritable> {
        Elements::end(self)
    }
}

#[cfg(test)]
mod tests;
