//! Session descriptions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plugboard_oracles::in_time(plugboard_oracles::sdp, data));
