//! The contract as wasmtime sees it: what `bindgen!` makes of `wit/call-control.wit`. Data that goes to the guest is
//! borrowed, data that comes from it is owned. The rest of the crate uses the names re-exported here and nothing else
//! of the generated code.

/// The contract that this engine speaks, as it stands in the names of imports and exports.
pub(crate) const CONTRACT: &str = "plugboard:call-control@0.1.0";

#[allow(missing_docs, unsafe_code, unused, clippy::all)] // not ours to mend
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "call-controller",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) use generated::exports::plugboard::call_control::controller::{Description, Guest};
pub(crate) use generated::plugboard::call_control::{auth, cache, http, log, settings, sip, timers, types};
pub(crate) use generated::{CallController, CallControllerPre};
