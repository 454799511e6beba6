//! From bytes to versions, and the folder of compiled components between two runs.

mod support;

use plugboard_engine::{Engine, EngineLimits, Error};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::*;

fn engine(folder: &Path) -> Engine {
    Engine::new(EngineLimits::default(), Some(folder)).expect("the engine runs here")
}

/// Compiles `echo` as a fresh process would, shows that it runs, and says whether it came from the folder.
fn compile_echo(folder: &Path) -> bool {
    let compiled = engine(folder).check(component("echo")).expect("the contract only").compile().expect("it compiles");
    let from_disk = compiled.is_from_disk();
    let version = compiled.try_out().expect("it describes itself").version(&[0; 32], Arc::default());
    assert!(get(&version, None, "/a").says("events 1"));
    from_disk
}

fn compiled_files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("a readable entry").path()).collect()
}

#[test]
fn a_component_is_compiled_once() {
    let state = tempfile::tempdir().expect("a temporary folder");
    let folder = state.path().join("compiled");
    assert!(!compile_echo(&folder));
    assert!(compile_echo(&folder));
    let files = compiled_files(&folder);
    let [file] = files.as_slice() else { panic!("one file, not {files:?}") };
    assert_eq!(fs::metadata(file).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_damaged_file_is_replaced() {
    let state = tempfile::tempdir().expect("a temporary folder");
    let folder = state.path().join("compiled");
    compile_echo(&folder);
    let file = compiled_files(&folder).remove(0);
    let whole = fs::read(&file).expect("it is there");

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [flipped.as_slice(), &whole[..whole.len() - 1], &whole[..20], b"", b"\x7fELF"] {
        fs::write(&file, damaged).expect("it can be written");
        assert!(!compile_echo(&folder), "{} damaged bytes were loaded", damaged.len());
        assert!(compile_echo(&folder), "it was not replaced");
    }
}

#[test]
fn the_oldest_compiled_files_go() {
    let state = tempfile::tempdir().expect("a temporary folder");
    let folder = state.path().join("compiled");
    let limits = EngineLimits { compiled_files: 2, ..EngineLimits::default() };
    let engine = Engine::new(limits, Some(&folder)).expect("the engine runs here");
    for fixture in ["echo", "traps", "version_two"] {
        engine.check(component(fixture)).expect("the contract only").compile().expect("it compiles");
    }
    assert_eq!(compiled_files(&folder).len(), 2);
}

#[test]
fn a_folder_that_others_can_enter_is_refused() {
    let state = tempfile::tempdir().expect("a temporary folder");
    for mode in [0o755, 0o710, 0o702] {
        fs::set_permissions(state.path(), Permissions::from_mode(mode)).expect("it is ours");
        let Err(error) = Engine::new(EngineLimits::default(), Some(state.path())) else { panic!("{mode:o} was taken") };
        assert!(matches!(error, Error::ExposedFolder { .. }), "{error}");
        assert!(!error.is_guest_fault());
    }
    let target = state.path().join("target");
    fs::create_dir(&target).expect("a folder");
    fs::set_permissions(&target, Permissions::from_mode(0o700)).expect("it is ours");
    let link = state.path().join("link");
    std::os::unix::fs::symlink(&target, &link).expect("a link");
    assert!(matches!(Engine::new(EngineLimits::default(), Some(&link)), Err(Error::ExposedFolder { .. })));
}

#[test]
fn a_version_is_known_by_component_and_configuration() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let echo = tried(&engine, "echo");
    let (first, second) = (echo.version(&[1; 32], Arc::default()), echo.version(&[2; 32], Arc::default()));
    assert_eq!(first.id(), echo.version(&[1; 32], Arc::default()).id());
    assert_ne!(first.id(), second.id());
    assert_eq!(first.component(), second.component());
    assert_ne!(first.id(), tried(&engine, "version_two").version(&[1; 32], Arc::default()).id());
    // They run the same code, each in instances of its own.
    assert!(get(&first, None, "/a").says("events 1"));
    assert!(get(&second, None, "/a").says("events 1"));
    assert!(get(&first, None, "/a").says("events 2"));
}

#[test]
fn three_versions_are_live_at_once() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let versions = ["echo", "version_two", "never_answers"]
        .map(|fixture| tried(&engine, fixture).version(&[0; 32], Arc::default()));
    for _ in 0..3 {
        assert!(get(&versions[0], None, "/a").says("key key"));
        assert!(get(&versions[1], None, "/a").says("version 2.0.0"));
        assert_eq!(get(&versions[2], None, "/a").effects("HttpRespond"), 0);
    }
}

#[test]
fn what_is_too_large_or_damaged_is_refused() {
    let bytes = component("echo");
    let limits = EngineLimits { component_bytes: bytes.len(), ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    assert!(engine.check(bytes.clone()).is_ok());
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(engine.check(longer), Err(Error::TooLarge { .. })));
    assert!(matches!(engine.check(bytes[..bytes.len() / 2].to_vec()), Err(Error::NotAComponent(_))));

    // A byte of the code changed: the outside is as it should be, the inside is not valid any more.
    let mut invalid = bytes;
    let at = invalid.len() / 2;
    invalid[at..at + 64].fill(0xff);
    let outcome = engine.check(invalid).and_then(|checked| checked.compile());
    assert!(matches!(outcome, Err(Error::NotAComponent(_) | Error::DoesNotCompile(_))));
}

#[test]
fn the_built_in_controller_fits() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    assert_eq!(tried(&engine, "controller").description().http_prefix, "/callcontroller");
}

#[test]
fn it_compiles_in_the_background_however_many_do_at_once() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    engine.compile_in_background();
    std::thread::scope(|scope| {
        for fixture in ["echo", "version-two", "version-two"] {
            let engine = &engine;
            scope.spawn(move || assert_eq!(tried(engine, &fixture.replace('-', "_")).description().name, fixture));
        }
    });
}
