//! Event streams of an upstream.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/fuzz/targets.rs"]
mod targets;

fuzz_target!(|data: &[u8]| targets::event_stream(data));
