//! What `wit-bindgen` makes of `wit/call-control.wit`. Generated once, here, for every guest; the crate root re-exports
//! the plain data under good names, so nothing else has to look in.
#![allow(missing_docs, unsafe_code, clippy::all)]

wit_bindgen::generate!({
    path: "../../wit",
    world: "call-controller",
    pub_export_macro: true,
    default_bindings_module: "plugboard_sdk::bindings",
    runtime_path: "plugboard_sdk::wit_bindgen::rt",
    additional_derives: [PartialEq],
});
