//! The programs that tests run: ours, built when needed, and the peers from Debian.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The `plugboard` program of this source tree, built once per test run with the profile of the tests; or the one that
/// `PLUGBOARD_PROGRAM` names.
pub fn plugboard() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("PLUGBOARD_PROGRAM") {
            return PathBuf::from(program);
        }
        let profile = profile_folder();
        let program = profile.join("plugboard");
        let lock = File::create(target_folder().join("e2e.lock")).expect("the target folder can be written");
        lock.lock().expect("the lock can be had");
        let stamp = target_folder().join("e2e.built");
        let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_default();
        if run.is_empty() || fs::read_to_string(&stamp).ok().as_deref() != Some(&run) || !program.exists() {
            build(profile.ends_with("release"));
            let _ = fs::write(&stamp, &run);
        }
        assert!(program.exists(), "cargo built no {}", program.display());
        program
    })
}

/// A component that `./just guests` made.
///
/// # Panics
/// When it is not there, saying how to make it.
pub fn guest(name: &str) -> PathBuf {
    let path = target_folder().join("guests").join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is missing: run ./just guests", path.display());
    path
}

/// A peer program of Debian, to be run with its output in `log`.
///
/// # Panics
/// When it is not installed, naming the package.
pub fn peer(program: &str, package: &str) -> Command {
    let found = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default()
        .into_iter()
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    match found {
        Some(path) => Command::new(path),
        None => panic!("{program} is not installed; on Debian: apt-get install {package}"),
    }
}

/// Where cargo puts what it builds: three levels above a test's executable (`target/debug/deps/test`).
pub fn target_folder() -> PathBuf {
    profile_folder().parent().map(Path::to_owned).expect("a profile folder lies in the target folder")
}

fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its executable");
    let folder = test.ancestors().nth(2).expect("cargo puts tests in target/PROFILE/deps");
    folder.to_owned()
}

fn build(release: bool) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The whole workspace with its tests, as the test runner builds it: with other packages, features and so all
    // dependencies would differ, and be built again.
    command.args(["test", "--quiet", "--no-run", "--workspace", "--lib", "--bins", "--tests", "--target-dir"]);
    command.arg(target_folder()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if release {
        command.arg("--release");
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "plugboard does not build:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A child process that is ended when this is dropped: asked to, and killed when it does not listen.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts `command` with its output in `log`.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).expect("the folder can be written");
        let errors = file.try_clone().expect("a file handle can be cloned");
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child }
    }

    /// Its exit code when it has ended; -1 when a signal ended it.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("it is our child").map(|status| status.code().unwrap_or(-1))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends the signal of this name.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        self.terminate();
        let deadline = Instant::now() + Duration::from_millis(if std::thread::panicking() { 300 } else { 3000 });
        while Instant::now() < deadline && self.ended().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
