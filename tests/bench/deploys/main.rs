//! A thousand deployments in a row while calls are placed at a steady pace in both modes. Each component differs from
//! all others, so each is compiled. `./just bench-deploys [--deploys N]`
//!
//! Before that, as many calls are placed as the server remembers. It demands that no call failed and no HTTPS connection was closed, that the memory after the last deployment is
//! within 5 % of that after the hundredth (with 200 deployments or more), and that swaps add at most 5 ms to the 99th
//! percentile of an event, from the first byte of an HTTPS request to the last of its answer.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use plugboard_tests::deploys::{Mode, Tally, controller, deploy, place_calls, probe};
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

const DOMAIN: &str = "example.test";
/// Callers, one call after the other each.
const CALLERS: [Mode; 4] = [Mode::Refer, Mode::Invite, Mode::Refer, Mode::Invite];
/// From the beginning of a caller's call to that of its next.
const CALL_PACE: Duration = Duration::from_millis(1_000);
const PROBE_PACE: Duration = Duration::from_millis(5);
/// Calls before anything is measured: the server remembers the last 2,048 that are over (256 of each of 8 shards) for
/// `plugboard ladder`, and its memory grows until it does.
const WARM_UP: u64 = 2_500;
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Fewer deployments say nothing about memory.
const MEMORY_FROM: u32 = 200;
/// Deployments in a row, in number; then comes a pause to compare with, so that both see the same machine.
const BLOCK: u32 = 50;
/// How long calls are placed without deployments, before each block and after the last.
const QUIET: Duration = Duration::from_secs(10);
/// Deployments over which memory is averaged.
const SAMPLES: usize = 10;
const MEMORY_GROWTH_MAX: f64 = 0.05;
const SWAP_COST_MAX: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let asked = arguments.iter().position(|argument| argument == "--deploys").and_then(|at| arguments.get(at + 1));
    let deploys = asked.and_then(|number| number.parse().ok()).unwrap_or(1_000);
    let place = Place::new("bench-deploys");
    let mut server = Server::start(&place, &[Domain::example()]);
    let id = server.process().id();
    let (tally, server) = (&Tally::default(), &server);
    if deploys >= MEMORY_FROM {
        warm_up(server);
    }
    let measured = thread::scope(|scope| {
        let load = tally.load();
        for mode in CALLERS {
            scope.spawn(move || place_calls(server, mode, CALL_PACE, tally));
        }
        let probes = scope.spawn(|| probe(server, PROBE_PACE, tally));
        let measured = replace_again_and_again(server, id, deploys);
        drop(load);
        let probes = probes.join().expect("a probe does not panic");
        measured.map(|measured| (measured, probes))
    });
    let (measured, probes) = match measured {
        Ok(measured) => measured,
        Err(problem) => {
            println!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    report(&measured, &probes, tally)
}

/// Places calls without a pause until the server remembers as many as it ever does.
fn warm_up(server: &Server) {
    let tally = &Tally::default();
    thread::scope(|scope| {
        let _load = tally.load();
        for mode in CALLERS.repeat(2) {
            scope.spawn(move || place_calls(server, mode, Duration::ZERO, tally));
        }
        while tally.completed.load(Relaxed) < WARM_UP && tally.problems().is_empty() {
            thread::sleep(LOOK_EVERY);
        }
    });
    let problems = tally.problems();
    println!("warm: {} calls, {} problems", tally.completed.load(Relaxed), problems.len());
    problems.iter().take(20).for_each(|problem| println!("     {problem}"));
}

/// What was measured.
struct Measured {
    /// From when to when components were deployed.
    blocks: Vec<Range<Instant>>,
    took: Vec<Duration>,
    /// Resident memory after each, in bytes.
    memory: Vec<u64>,
}

fn replace_again_and_again(server: &Server, process: u32, deploys: u32) -> Result<Measured, String> {
    let mut measured = Measured { blocks: Vec::new(), took: Vec::new(), memory: Vec::new() };
    let mut number = 0;
    while number < deploys {
        thread::sleep(QUIET);
        let begun = Instant::now();
        for _ in 0..BLOCK.min(deploys - number) {
            number += 1;
            measured.took.push(deploy(server, DOMAIN, &controller(number))?);
            measured.memory.push(resident_bytes(process));
        }
        measured.blocks.push(begun..Instant::now());
        println!("{number} deployments, {} MiB", resident_bytes(process) >> 20);
    }
    thread::sleep(QUIET);
    Ok(measured)
}

fn report(measured: &Measured, probes: &[(Instant, Duration)], tally: &Tally) -> ExitCode {
    let mut passed = true;
    let mut check = |good: bool, line: String| {
        passed &= good;
        println!("{} {line}", if good { "ok  " } else { "MISS" });
    };
    let problems = tally.problems();
    problems.iter().take(20).for_each(|problem| println!("     {problem}"));
    let completed = tally.completed.load(Relaxed);
    check(problems.is_empty() && completed > 0, format!("{completed} calls completed, {} problems", problems.len()));

    let seconds = measured.blocks.iter().map(|block| block.end - block.start).sum::<Duration>().as_secs_f64();
    let [took_p50, took_p99] = [50, 99].map(|percent| percentile(measured.took.iter().copied(), percent));
    println!(
        "     {} deployments in {seconds:.0} s: p50 {took_p50:.0?}, p99 {took_p99:.0?} from upload to live",
        measured.took.len()
    );
    if measured.memory.len() >= MEMORY_FROM as usize {
        let average = |samples: &[u64]| samples.iter().sum::<u64>() as f64 / samples.len() as f64;
        let early = average(&measured.memory[100 - SAMPLES..100]);
        let late = average(&measured.memory[measured.memory.len() - SAMPLES..]);
        let growth = late / early - 1.0;
        let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
        let line = format!(
            "resident memory {:.1} MiB after the 100th, {:.1} MiB after the last: {:+.1} %",
            mebibytes(early),
            mebibytes(late),
            growth * 100.0
        );
        check(growth <= MEMORY_GROWTH_MAX, line);
    }

    let during = |begun: &Instant| measured.blocks.iter().any(|block| block.contains(begun));
    let of = |swaps: bool| probes.iter().filter(move |(begun, _)| during(begun) == swaps).map(|(_, took)| *took);
    let [quiet, swaps] = [of(false).collect::<Vec<_>>(), of(true).collect::<Vec<_>>()];
    for (name, events) in [("without swaps", &quiet), ("with swaps", &swaps)] {
        let [p50, p99] = [50, 99].map(|percent| percentile(events.iter().copied(), percent));
        println!("     {} events {name}: p50 {p50:.2?}, p99 {p99:.2?}", events.len());
    }
    let [quiet, swaps] = [quiet, swaps].map(|events| percentile(events.into_iter(), 99));
    let cost = swaps.saturating_sub(quiet);
    check(cost <= SWAP_COST_MAX, format!("swaps add {cost:.2?} to the p99 of an event"));
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn percentile(times: impl Iterator<Item = Duration>, percent: usize) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied().unwrap_or_default()
}

/// What a process has in memory.
fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1_024
}
