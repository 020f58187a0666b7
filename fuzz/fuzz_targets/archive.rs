//! A HAR.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/it/fuzz/targets.rs"]
mod targets;

fuzz_target!(|data: &[u8]| targets::archive(data));
