//! Max-Forwards, Min-SE, RAck, RSeq, Reason, Replaces and Session-Expires.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| plugboard_oracles::in_time(plugboard_oracles::values, data));
