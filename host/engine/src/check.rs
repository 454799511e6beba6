//! What may become a version at all, decided on the bytes alone, before the compiler spends time on them: a component
//! of bounded size that imports nothing but the contract, and WASI where that is granted, and exports the controller.

use crate::bindings::CONTRACT;
use crate::error::Error;
use crate::limits::Grant;
use crate::wasi;
use wasmtime::wasmparser::{Encoding, Parser, Payload};

/// Interfaces of the contract that a guest may import.
const IMPORTS: [&str; 8] = ["auth", "cache", "http", "log", "settings", "sip", "timers", "types"];
/// The interface that a guest must export.
const EXPORT: &str = "controller";

/// Refuses what cannot be a call controller.
pub(crate) fn check(component: &[u8], bytes_max: usize, grant: Grant) -> Result<(), Error> {
    if component.len() > bytes_max {
        return Err(Error::TooLarge { bytes: component.len(), max: bytes_max });
    }
    let outside = Outside::of(component)?;
    let allowed = allowed();
    let mut names: Vec<String> = outside.imports;
    names.retain(|name| !(allowed.contains(name) || grant.wasi && wasi::offers(name)));
    if !names.is_empty() {
        return Err(Error::ForeignImports { names });
    }
    let export = interface(EXPORT);
    if !outside.exports.contains(&export) {
        return Err(Error::MissingExport(export));
    }
    Ok(())
}

/// The full names of what a guest may import.
pub(crate) fn allowed() -> Vec<String> {
    IMPORTS.iter().map(|name| interface(name)).collect()
}

/// What to do about imports that are refused.
pub(crate) fn advice(names: &[String]) -> &'static str {
    if names.iter().all(|name| wasi::offers(name)) {
        "; to let it have them, write wasi = true in its tenant"
    } else {
        ""
    }
}

/// `sip` becomes `plugboard:call-control/sip@0.1.0`.
fn interface(name: &str) -> String {
    let (package, version) = CONTRACT.split_once('@').unwrap_or((CONTRACT, ""));
    format!("{package}/{name}@{version}")
}

/// The names on the outside of a component.
#[derive(Default)]
struct Outside {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outside {
    fn of(component: &[u8]) -> Result<Self, Error> {
        let refuse = |error: wasmtime::wasmparser::BinaryReaderError| Error::NotAComponent(error.to_string());
        let mut outside = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(refuse)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(Error::NotAComponent("it is a core module; encode it as a component".to_owned()));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        outside.imports.push(import.map_err(refuse)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        outside.exports.push(export.map_err(refuse)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(outside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The binary format's first eight bytes of a component and of a core module.
    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

    fn checked(component: &[u8], bytes_max: usize) -> Result<(), Error> {
        check(component, bytes_max, Grant { wasi: false, memory_bytes: 0, event_deadline: std::time::Duration::ZERO })
    }

    #[test]
    fn bytes_that_are_no_component_are_refused_with_a_reason() {
        assert!(matches!(checked(b"#!/bin/sh", 100), Err(Error::NotAComponent(_))));
        assert!(matches!(checked(b"", 100), Err(Error::NotAComponent(_))));
        let module = checked(EMPTY_MODULE, 100).expect_err("a core module is no component");
        assert!(module.to_string().contains("core module"), "{module}");
    }

    #[test]
    fn a_component_that_controls_nothing_is_refused() {
        let error = checked(EMPTY_COMPONENT, 100).expect_err("nothing is exported");
        assert_eq!(error.to_string(), "the component does not export plugboard:call-control/controller@0.1.0");
    }

    #[test]
    fn the_size_is_bounded() {
        assert!(matches!(checked(EMPTY_COMPONENT, 8), Err(Error::MissingExport(_))));
        assert!(matches!(checked(EMPTY_COMPONENT, 7), Err(Error::TooLarge { bytes: 8, max: 7 })));
    }

    #[test]
    fn the_contract_is_the_one_in_the_wit_file() {
        let wit = include_str!("../../../wit/call-control.wit");
        assert!(wit.contains(&format!("\npackage {CONTRACT};")));
        assert!(IMPORTS.iter().all(|name| wit.contains(&format!("\ninterface {name} {{"))));
    }
}
