//! Machine code of components that were compiled before, on disk, so that a restart does not compile again.
//!
//! Loading machine code is trusting it. So a file is loaded only from a folder that belongs to this user and that
//! nobody else can enter, only under the name that the hash of the component and the engine's own compatibility hash
//! give it, and only if its contents have the checksum it was written with. A damaged file is removed; the component
//! is then compiled anew.

use crate::error::Error;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::component::Component;

/// What a file begins with; the checksum of the rest follows, 32 bytes.
const MAGIC: &[u8; 16] = b"plugboard cwasm1";
const CHECKSUM_BYTES: usize = 32;
const EXTENSION: &str = "cwasm";

pub(crate) struct CompiledFolder {
    path: PathBuf,
    files_max: usize,
}

impl CompiledFolder {
    /// Opens the folder, making it where there is none.
    pub(crate) fn open(path: &Path, files_max: usize) -> Result<Self, Error> {
        let unusable = |source| Error::CompiledFolder { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let folder = fs::symlink_metadata(path).map_err(unusable)?;
        let ours = folder.is_dir() && folder.uid() == rustix::process::geteuid().as_raw();
        if !ours || folder.mode() & 0o077 != 0 {
            return Err(Error::ExposedFolder { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), files_max })
    }

    /// The component with this hash, if it was compiled before by an engine like this one.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, hash: &str) -> Option<Component> {
        let file = self.file(engine, hash);
        let contents = fs::read(&file).ok()?;
        let component = verified(&contents).and_then(|code| deserialize(engine, code));
        if component.is_none() {
            tracing::warn!(file = %file.display(), "a compiled component is damaged; compiling it anew");
            remove(&file);
        }
        component
    }

    /// Keeps a compiled component. A failure costs time at the next start and nothing else, so it is only logged.
    pub(crate) fn store(&self, engine: &wasmtime::Engine, hash: &str, component: &Component) {
        let file = self.file(engine, hash);
        let written = component.serialize().map_err(io::Error::other).and_then(|code| write(&file, &code));
        match written {
            Ok(()) => self.forget_oldest(),
            Err(error) => tracing::warn!(file = %file.display(), %error, "a compiled component could not be kept"),
        }
    }

    fn file(&self, engine: &wasmtime::Engine, hash: &str) -> PathBuf {
        let mut compatibility = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut compatibility);
        self.path.join(format!("{hash}-{:016x}.{EXTENSION}", compatibility.finish()))
    }

    /// Removes the files written first, down to the number that is kept.
    fn forget_oldest(&self) {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.path)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some((entry.as_ref().ok()?.metadata().ok()?.modified().ok()?, entry.ok()?.path())))
            .filter(|(_, path)| path.extension().is_some_and(|e| e == EXTENSION))
            .collect();
        files.sort_unstable();
        for (_, file) in files.iter().take(files.len().saturating_sub(self.files_max)) {
            remove(file);
        }
    }
}

/// Writes beside and renames, so that a file is whole or not there.
fn write(file: &Path, code: &[u8]) -> io::Result<()> {
    let partial = file.with_extension(format!("{}.partial", std::process::id()));
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    let checksum = Sha256::digest(code);
    let written = [&MAGIC[..], &checksum, code].iter().try_for_each(|part| out.write_all(part));
    // A full disk wants back what could be written.
    written
        .and_then(|()| out.sync_all())
        .and_then(|()| fs::rename(&partial, file))
        .inspect_err(|_| drop(fs::remove_file(&partial)))
}

/// The code in a file, if it is what was written.
fn verified(contents: &[u8]) -> Option<&[u8]> {
    let (checksum, code) = contents.strip_prefix(MAGIC)?.split_at_checked(CHECKSUM_BYTES)?;
    (Sha256::digest(code).as_slice() == checksum).then_some(code)
}

#[allow(unsafe_code)]
fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> Option<Component> {
    // SAFETY: `deserialize` trusts its input to be unchanged output of `Component::serialize`. These bytes come from a
    // folder that was checked to be ours alone, and have the checksum that `write` put before such output; whoever can
    // forge both can replace this program as well. Output of another wasmtime or of other settings is refused by
    // wasmtime itself, and has another name.
    unsafe { Component::deserialize(engine, code) }.ok()
}

fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file) {
        tracing::warn!(file = %file.display(), %error, "a compiled component could not be removed");
    }
}
