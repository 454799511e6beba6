//! The state folder: readable by its owner only, files replaced whole.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Result, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The state folder of this server.
#[derive(Clone, Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Opens the folder; makes it if it is not there.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn open(folder: &Path) -> Result<Self> {
        make(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// A path inside it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A folder inside it, made if it is not there.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn folder(&self, names: &[&str]) -> Result<PathBuf> {
        let folder = names.iter().fold(self.0.clone(), |folder, name| folder.join(name));
        make(&folder)?;
        Ok(folder)
    }
}

/// Puts a file in place whole, readable by its owner only: after a crash there is the old one or the new one.
///
/// # Errors
/// When that cannot be done.
pub fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let mut aside = file.as_os_str().to_owned();
    aside.push(".new");
    let mut opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let written = opened.write_all(bytes).and_then(|()| opened.sync_all());
    // A full disk wants back what could be written.
    written.and_then(|()| std::fs::rename(&aside, file)).inspect_err(|_| drop(std::fs::remove_file(&aside)))?;
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn make(folder: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn nobody_else_can_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = StateDir::open(&folder.path().join("state")).expect("made");
        let file = state_dir.folder(&["tenants", "example.com"]).expect("made").join("secret");
        write(&file, b"one").expect("written");
        write(&file, b"two").expect("replaced");
        assert_eq!(std::fs::read(&file).expect("readable"), b"two");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&state_dir.path("")), mode(&file)), (0o700, 0o600));
    }
}
