//! Journals of the simulation.

use plugboard_calls::logic::Logic;
use plugboard_calls::record::Record;
use plugboard_journal::read::{self, Recorded};
use plugboard_journal::{Bounds, Journal, Options, Replay, Report};
use plugboard_simulation::network::Weather;
use plugboard_simulation::world::World;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whether anything at all differs.
pub const BYTE_FOR_BYTE: Options = Options { all: true, state: true };

const STORM: Weather = Weather { loss: 30, repeat: 10, delay_ms: 400 };

/// The journal of these seeds, through its files.
pub fn recorded(folder: &Path, seeds: std::ops::Range<u64>) -> Vec<Recorded> {
    recorded_as(folder, seeds, |_| ())
}

/// The same of records that are changed before.
pub fn recorded_as(
    folder: &Path,
    seeds: std::ops::Range<u64>,
    change: impl FnMut(&mut Record<'static>) + Clone + 'static,
) -> Vec<Recorded> {
    let journal = Arc::new(Journal::start(folder, Bounds::default(), 1_000_000).expect("a thread"));
    for seed in seeds {
        let mut world = World::new(seed, STORM, 0);
        let (noted, mut change) = (journal.clone(), change.clone());
        world.watch(Box::new(move |mut record, settled| {
            change(&mut record);
            let draft = noted.draft(record).expect("it can be written");
            noted.note(draft, settled);
        }));
        world.run().expect("all ends as it should");
    }
    assert!(journal.flush(Duration::from_secs(60)));
    let files = read::files(folder).expect("a journal");
    files.iter().flat_map(|file| read::events(file).expect("readable")).collect()
}

pub fn replay(events: &[Recorded], candidate: &dyn Logic, options: Options) -> Report {
    let mut replay = Replay::new(candidate, options);
    for event in events {
        replay.event(event);
    }
    replay.finish()
}
