//! `count STEP TIMES` runs a step so often, for whoever counts its instructions from outside (`../count.py`).

fn main() {
    let mut arguments = std::env::args().skip(1);
    let step = arguments.next().unwrap_or_default();
    let times = arguments.next().and_then(|times| times.parse().ok());
    match times {
        Some(times) => plugboard_micro::repeat(&step, times),
        None => plugboard_micro::STEPS.iter().for_each(|step| println!("{step}")),
    }
}
