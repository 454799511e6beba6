//! What must hold for whatever bytes a SIP peer sends. Each oracle takes bytes, gives them to `plugboard-sip`, or to the
//! session descriptions of `plugboard-sdk`, and panics when that breaks a promise: it panics, loses something, misreads what it printed itself, or works without end.
//!
//! Two use them: the fuzz targets in `tests/fuzz`, and the test beside this crate, which holds the targets' corpora and
//! some thousand mutations of them against the same oracles with the stable toolchain.

mod digest;
mod layer;
mod message;
mod mutate;
mod sdp;
mod stream;
mod time;
mod typed;
mod values;

pub use digest::digest;
pub use layer::layer;
pub use message::message;
pub use mutate::Mutator;
pub use sdp::sdp;
pub use stream::stream;
pub use time::in_time;
pub use typed::{name_addr, uri, via};
pub use values::values;

/// Takes bytes and panics when a promise is broken.
pub type Oracle = fn(&[u8]);

/// All oracles by the names of their fuzz targets and corpora.
pub const ORACLES: [(&str, Oracle); 9] = [
    ("digest", digest),
    ("layer", layer),
    ("message", message),
    ("name_addr", name_addr),
    ("sdp", sdp),
    ("stream", stream),
    ("uri", uri),
    ("values", values),
    ("via", via),
];

/// The bytes as a header value would hold them, as text: UTF-8, nothing around it, no line breaks.
fn header_text(data: &[u8]) -> Option<plugboard_sip::Text> {
    plugboard_sip::Value::new(data.to_vec()).ok()?.to_text()
}
