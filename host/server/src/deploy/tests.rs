use super::*;
use crate::state_dir::StateDir;
use plugboard_calls::contract::{Context, Description, Event, HttpRequest};
use plugboard_calls::logic::{Breakdown, Routed};
use plugboard_calls::stage::Stage;
use std::path::Path;

/// Call logic that does nothing, named by the bytes that it was "compiled" from.
struct Named(Description);

impl Logic for Named {
    fn description(&self) -> &Description {
        &self.0
    }

    fn route(&self, _: &str, _: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        (stage, Err(Breakdown::Busy("test")))
    }

    fn handle(
        &self,
        _: &Context,
        _: Option<&[u8]>,
        _: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        (stage, Err(Breakdown::Busy("test")))
    }

    fn migrate(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Breakdown> {
        Err(Breakdown::Busy("test"))
    }
}

/// Takes any component that does not say `bad`.
struct AnyButBad;

impl Loader for AnyButBad {
    fn load(&self, component: &[u8]) -> Result<Loaded, String> {
        let name = String::from_utf8_lossy(component).into_owned();
        if name == "bad" {
            return Err("it is bad".to_owned());
        }
        let description = Description {
            name: name.clone(),
            version: "1".into(),
            http_prefix: "/callcontroller".into(),
            state_schema: 1,
        };
        let logic = Arc::new(Named(description));
        Ok(Loaded { id: format!("id of {name}"), logic, stats: Box::new(Stats::default), rest: Box::new(|| {}) })
    }
}

impl Deployments {
    /// Versions of call logic that does nothing, kept nowhere for long.
    pub(crate) fn for_tests() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        start(folder.path(), "built-in", None)
    }
}

fn start(folder: &Path, built_in: &str, file: Option<&str>) -> Deployments {
    let state_dir = StateDir::open(folder).expect("made");
    let store = Store::open(&state_dir, "example.com").expect("made");
    Deployments::start(Arc::new(AnyButBad), store, built_in.as_bytes(), file.map(str::as_bytes)).expect("starts")
}

fn name(version: &Version) -> &str {
    &version.logic().description().name
}

/// Name, state and calls of each version in the list.
fn listed(deployments: &Deployments, calls_of: CallsOf<'_>) -> Vec<String> {
    let one = |listed: Listed| format!("{} {} {}", name(&listed.version), listed.state.as_str(), listed.calls);
    deployments.list(calls_of).into_iter().map(one).collect()
}

fn no_calls(_: &Arc<dyn Logic>) -> usize {
    0
}

fn deploy(deployments: &Deployments, component: &str) -> Result<Deployed, DeployError> {
    deployments.deploy(component.as_bytes(), &no_calls)
}

#[test]
fn the_new_one_is_live_and_the_old_one_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    assert!(!deploy(&deployments, "two").expect("passes").already_live);
    assert_eq!(name(&deployments.live()), "two");
    assert!(deploy(&deployments, "two").expect("passes").already_live);
    assert_eq!(listed(&deployments, &no_calls), ["two live 0", "one retired 0"]);
    assert_eq!(name(&deployments.roll_back(&no_calls).expect("one")), "one");
    assert_eq!(name(&deployments.live()), "one");
    assert_eq!(deployments.roll_back(&no_calls).err(), Some(DeployError::NothingBefore));
    assert_eq!(name(&deployments.live()), "one");
}

#[test]
fn after_a_rollback_the_bad_one_is_not_what_came_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    for component in ["two", "three"] {
        deploy(&deployments, component).expect("passes");
        if component == "two" {
            deployments.roll_back(&no_calls).expect("one");
        }
    }
    assert_eq!(name(&deployments.roll_back(&no_calls).expect("one")), "one");
}

#[test]
fn what_does_not_pass_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let refused = deploy(&deployments, "bad").err();
    assert_eq!(refused, Some(DeployError::Refused("it is bad".to_owned())));
    assert_eq!(listed(&deployments, &no_calls), ["one live 0"]);
    drop(deployments);
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
}

#[test]
fn a_version_drains_while_it_has_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let one = deployments.live().logic().clone();
    let calls_of_one = |logic: &Arc<dyn Logic>| if Arc::ptr_eq(logic, &one) { 2 } else { 0 };
    deployments.deploy(b"two", &calls_of_one).expect("passes");
    assert_eq!(listed(&deployments, &calls_of_one), ["two live 0", "one draining 2"]);
    deployments.roll_back(&calls_of_one).expect("one");
    assert_eq!(listed(&deployments, &calls_of_one), ["one live 2"], "two has no calls and is out of the line");
}

#[test]
fn the_line_is_bounded_and_so_is_what_drains() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "0", None);
    let always_one = |_: &Arc<dyn Logic>| 1;
    for n in 1..=BEFORE_MAX {
        deploy(&deployments, &n.to_string()).expect("passes");
    }
    assert_eq!(deployments.list(&no_calls).len(), BEFORE_MAX + 1);
    for n in 1..=DRAINING_MAX {
        deployments.deploy(format!("more {n}").as_bytes(), &always_one).expect("passes");
    }
    let refused = deployments.deploy(b"too many", &always_one).err();
    assert_eq!(refused, Some(DeployError::Draining));
    deploy(&deployments, "fits again").expect("passes once calls have ended");
    assert_eq!(deployments.list(&no_calls).len(), BEFORE_MAX + 1);
}

#[test]
fn a_restart_starts_what_was_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let again = start(folder.path(), "one", None);
    assert_eq!(listed(&again, &no_calls), ["two live 0", "one retired 0"]);
    again.roll_back(&no_calls).expect("one");
    drop(again);
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
}

#[test]
fn a_newer_program_brings_its_newer_controller_but_keeps_what_was_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(start(folder.path(), "one", None));
    let newer = start(folder.path(), "one, newer", None);
    assert_eq!(name(&newer.live()), "one, newer");
    deploy(&newer, "mine").expect("passes");
    drop(newer);
    assert_eq!(name(&start(folder.path(), "one, newest", None).live()), "mine");
}

#[test]
fn a_changed_configuration_takes_the_place_of_what_was_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let configured = start(folder.path(), "one", Some("three"));
    assert_eq!(listed(&configured, &no_calls), ["three live 0"]);
    deploy(&configured, "four").expect("passes");
    drop(configured);
    assert_eq!(name(&start(folder.path(), "one", Some("three")).live()), "four");
    assert_eq!(name(&start(folder.path(), "one", Some("three, edited")).live()), "three, edited");
}

#[test]
fn damaged_files_cost_their_version_only() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let tenant = folder.path().join("tenants/example.com");
    std::fs::write(tenant.join(format!("{}.wasm", hash(b"two"))), b"bad").expect("written");
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
    std::fs::write(tenant.join("deployed.json"), b"{").expect("written");
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
}
