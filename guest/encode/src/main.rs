//! `plugboard-encode OUT-DIR CORE.wasm...`: makes a component of each core module that rustc built for
//! wasm32-unknown-unknown.
//!
//! The module carries its world in a custom section that wit-bindgen wrote. No adapter is used, so nothing but that
//! world can be imported. The name of the component is the name of the module without the `plugboard_` of its crate
//! and with hyphens. What is newer than its module is left alone.

use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(out_dir) = arguments.next() else {
        bail!("usage: plugboard-encode OUT-DIR CORE.wasm...");
    };
    fs::create_dir_all(&out_dir).with_context(|| format!("cannot create {}", out_dir.display()))?;
    for module in arguments {
        let component = out_dir.join(component_name(&module)?);
        if !is_newer(&component, &module) {
            encode(&module, &component).with_context(|| format!("cannot encode {}", module.display()))?;
        }
    }
    Ok(())
}

fn encode(module: &Path, component: &Path) -> Result<()> {
    let core = fs::read(module)?;
    let bytes = ComponentEncoder::default().module(&core)?.validate(true).encode()?;
    // Renamed into place, so that a reader never sees half a component.
    let partial = component.with_extension("partial");
    fs::write(&partial, &bytes)?;
    fs::rename(&partial, component)?;
    println!("{} ({} KiB)", component.display(), bytes.len().div_ceil(1024));
    Ok(())
}

fn component_name(module: &Path) -> Result<String> {
    let stem = module.file_stem().and_then(|s| s.to_str()).context("a module without a name")?;
    Ok(format!("{}.wasm", stem.trim_start_matches("plugboard_").replace('_', "-")))
}

fn is_newer(component: &Path, module: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified());
    matches!((modified(component), modified(module)), (Ok(c), Ok(m)) if c > m)
}
