//! From bytes to a version. Each step is a type that only the step before it can make, so nothing that was not checked,
//! compiled and tried can ever be given a call:
//!
//! [`Engine::check`] → [`Checked`] → [`Compiled`] → [`Tried`] → [`Version`]

use crate::allowance::Allowance;
use crate::background;
use crate::bindings::CallControllerPre;
use crate::check::check;
use crate::engine::Engine;
use crate::error::Error;
use crate::instances::Instances;
use crate::limits::Grant;
use crate::version::{Version, VersionId};
use crate::visit::Visit;
use plugboard_calls::contract::Description;
use plugboard_calls::guest_settings::GuestSettings;
use rayon::{ThreadPool, ThreadPoolBuilder};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use wasmtime::component::Component;

/// Longest name and version that a component may give itself, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest HTTP prefix, in bytes.
pub const HTTP_PREFIX_BYTES_MAX: usize = 256;

/// SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ComponentHash([u8; 32]);

impl ComponentHash {
    /// Of these bytes.
    pub fn of(component: &[u8]) -> Self {
        Self(Sha256::digest(component).into())
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A component of allowed size that imports the contract and nothing else.
pub struct Checked {
    engine: Engine,
    bytes: Vec<u8>,
    hash: ComponentHash,
    grant: Grant,
}

impl Checked {
    pub(crate) fn new(engine: Engine, bytes: Vec<u8>, grant: Grant) -> Result<Self, Error> {
        check(&bytes, engine.limits().component_bytes, grant)?;
        let hash = ComponentHash::of(&bytes);
        Ok(Self { engine, bytes, hash, grant })
    }

    /// The hash of the component.
    pub fn hash(&self) -> ComponentHash {
        self.hash
    }

    /// Compiles it, or loads what an earlier run compiled. Takes a second of processor time for each MiB or so.
    ///
    /// # Errors
    /// [`Error::DoesNotCompile`], [`Error::OtherContract`] and [`Error::MissingExport`], all the component's fault.
    pub fn compile(self) -> Result<Compiled, Error> {
        let Self { engine, bytes, hash, grant } = self;
        let shared = engine.shared();
        let name = hash.to_string();
        let kept = shared.compiled.as_ref().and_then(|folder| folder.load(&shared.wasm, &name));
        let from_disk = kept.is_some();
        let component = match kept {
            Some(component) => component,
            None => {
                let component =
                    compiled(&engine, bytes)?.map_err(|error| Error::DoesNotCompile(format!("{error:#}")))?;
                if let Some(folder) = &shared.compiled {
                    folder.store(&shared.wasm, &name, &component);
                }
                component
            }
        };
        let other_contract = |error| Error::OtherContract(format!("{error:#}"));
        let linked = shared.linker(grant).instantiate_pre(&component).map_err(other_contract)?;
        let component = CallControllerPre::new(linked).map_err(other_contract)?;
        Ok(Compiled { engine, component, hash, grant, from_disk })
    }
}

/// Compiles in the background once there are calls. Where the machine leaves that too little, the same is begun anew at
/// low priority: an operator who deploys while everything is busy does not wait for quieter times.
fn compiled(engine: &Engine, bytes: Vec<u8>) -> Result<wasmtime::Result<Component>, Error> {
    let (sender, receiver) = mpsc::channel();
    let patience = patience(bytes.len());
    let bytes = Arc::new(bytes);
    let start = |priority| -> Result<(), Error> {
        let (engine, bytes, sender) = (engine.clone(), bytes.clone(), sender.clone());
        let place = (priority == Priority::Background).then(|| BackgroundPlace(engine.clone()));
        compiler(priority)?.spawn(move || {
            let done = Component::from_binary(&engine.shared().wasm, &bytes);
            drop(place);
            let _ = sender.send(done); // nobody may wait for it any more
        });
        Ok(())
    };
    let shared = engine.shared();
    if !shared.compiles_in_background.load(Relaxed) {
        start(Priority::Usual)?;
    } else {
        // What was begun anew is still there: one at a time, so that they do not become more and more.
        if !shared.background_is_taken.swap(true, Relaxed) {
            start(Priority::Background)?;
            if let Ok(done) = receiver.recv_timeout(patience) {
                return Ok(done);
            }
        }
        start(Priority::Low)?;
    }
    drop(sender);
    receiver.recv().map_err(|_| Error::DoesNotCompile("the compiler panicked".to_owned()))
}

/// The place of the one component that is compiled in the background; free again when this is gone, after a panic, too.
struct BackgroundPlace(Engine);

impl Drop for BackgroundPlace {
    fn drop(&mut self) {
        self.0.shared().background_is_taken.store(false, Relaxed);
    }
}

/// How long the compiler may take in the background, by the clock: more than twice of what it needs.
fn patience(bytes: usize) -> Duration {
    Duration::from_secs(2 + 2 * (bytes as u64 >> 20))
}

/// Beside what else the process does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Priority {
    Usual,
    /// A tenth of a processor that others want, too (`nice(2)`).
    Low,
    Background,
}

/// Threads for one compilation. They end with it, and so does the memory that they worked in.
fn compiler(priority: Priority) -> Result<ThreadPool, Error> {
    let start = move |_| match priority {
        Priority::Usual => {}
        // Of this thread alone, on Linux. Where it is refused the work is done all the same.
        Priority::Low => drop(rustix::process::nice(10)),
        Priority::Background => background::step_back(),
    };
    // A panic is reported by the hook like any other, and then there is no answer.
    let builder = ThreadPoolBuilder::new().thread_name(|_| "compiler".to_owned()).panic_handler(|_| ());
    let pool = builder.start_handler(start).build();
    pool.map_err(|error| Error::Runtime(format!("no threads for the compiler: {error}")))
}

/// Machine code that fits the host, of which nothing has run yet.
pub struct Compiled {
    engine: Engine,
    component: CallControllerPre<Visit>,
    hash: ComponentHash,
    grant: Grant,
    from_disk: bool,
}

impl Compiled {
    /// Whether an earlier run had compiled it.
    pub fn is_from_disk(&self) -> bool {
        self.from_disk
    }

    /// Runs it for the first time: it must say what it is, twice the same, within the deadline and the limits.
    ///
    /// # Errors
    /// [`Error::DescribeFailed`], [`Error::DescribeUnstable`] and [`Error::DescribeInvalid`], all the component's fault.
    pub fn try_out(self) -> Result<Tried, Error> {
        let deadline = self.grant.event_deadline;
        let engine = self.engine.clone();
        let _running = engine.shared().ticker.enter();
        let instances = Instances::new(self.engine.clone(), self.component.clone(), self.grant);
        let mut lease = instances.take(Allowance::new(deadline)).map_err(Error::DescribeFailed)?;
        let mut describe = || -> Result<Description, Error> {
            let allowance = Allowance::new(deadline);
            let (_, description) =
                lease.instance().call(allowance, None, None, |guest, store| guest.call_describe(store));
            description.map(Into::into).map_err(Error::DescribeFailed)
        };
        let description = describe()?;
        if describe()? != description {
            return Err(Error::DescribeUnstable);
        }
        usable(&description)?;
        let Self { engine, component, hash, grant, .. } = self;
        Ok(Tried { engine, component, hash, grant, description })
    }
}

/// A component that runs. The versions made of it share its machine code.
#[derive(Clone)]
pub struct Tried {
    engine: Engine,
    component: CallControllerPre<Visit>,
    hash: ComponentHash,
    grant: Grant,
    description: Description,
}

impl Tried {
    /// What it says it is.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// A version for one tenant, known by the hash of the tenant's configuration, of which `settings` are what the guest
    /// is told. Each version has its own instances.
    pub fn version(&self, configuration_hash: &[u8; 32], settings: Arc<GuestSettings>) -> Arc<Version> {
        let instances = Arc::new(Instances::new(self.engine.clone(), self.component.clone(), self.grant));
        self.engine.enlist(&instances);
        let id = VersionId::new(self.hash, configuration_hash);
        Arc::new(Version::new(id, self.hash, self.description.clone(), settings, instances))
    }
}

fn usable(description: &Description) -> Result<(), Error> {
    let Description { name, version, http_prefix, state_schema: _ } = description;
    let invalid = |field, problem| Err(Error::DescribeInvalid { field, problem });
    let printable = |text: &str| {
        (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) && text.trim() == text
    };
    if !printable(name) {
        return invalid("name", "must be 1 to 64 bytes of printable text");
    }
    if !printable(version) {
        return invalid("version", "must be 1 to 64 bytes of printable text");
    }
    if !http_prefix.starts_with('/') {
        return invalid("http-prefix", "must begin with a slash");
    }
    if http_prefix.len() > HTTP_PREFIX_BYTES_MAX
        || !http_prefix.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte))
    {
        return invalid("http-prefix", "must be a path of at most 256 bytes, percent-encoded");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut Description)) -> Result<(), Error> {
        let mut description =
            Description { name: "n".to_owned(), version: "1".to_owned(), http_prefix: "/".to_owned(), state_schema: 1 };
        change(&mut description);
        usable(&description)
    }

    #[test]
    fn a_description_is_held_to_its_bounds() {
        assert!(with(|_| {}).is_ok());
        assert!(with(|d| d.name = "n".repeat(64)).is_ok());
        assert!(with(|d| d.name = "n".repeat(65)).is_err());
        assert!(with(|d| d.name.clear()).is_err());
        assert!(with(|d| d.version = "1\n".to_owned()).is_err());
        assert!(with(|d| d.http_prefix = "callcontroller".to_owned()).is_err());
        assert!(with(|d| d.http_prefix = "/a?b".to_owned()).is_err());
        assert!(with(|d| d.http_prefix = format!("/{}", "a".repeat(255))).is_ok());
        assert!(with(|d| d.http_prefix = format!("/{}", "a".repeat(256))).is_err());
    }
}
