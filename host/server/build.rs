//! Finds the built-in controller, which `./just guests` builds, so that the program can carry it.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=PLUGBOARD_CONTROLLER");
    let standard = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/guests/controller.wasm");
    let controller = std::env::var_os("PLUGBOARD_CONTROLLER").map_or_else(standard, PathBuf::from);
    println!("cargo::rerun-if-changed={}", controller.display());
    match controller.canonicalize() {
        Ok(controller) => println!("cargo::rustc-env=PLUGBOARD_CONTROLLER_WASM={}", controller.display()),
        Err(_) => println!(
            "cargo::error=the built-in controller is missing ({}): run `./just guests` first, or name another with PLUGBOARD_CONTROLLER",
            controller.display()
        ),
    }
}
