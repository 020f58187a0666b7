//! Any text as a line of a recording, and as an archive: no panic, and what is read is written the
//! same way again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wstap::wire::{self, Recorded, har};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Recorded::Event(event)) = wire::read(text) {
        let mut once = Vec::new();
        wire::full(&event, &mut once);
        let line = String::from_utf8(once).expect("JSON is text");
        let Ok(Recorded::Event(again)) = wire::read(&line) else { panic!("{line}") };
        let mut twice = Vec::new();
        wire::full(&again, &mut twice);
        assert_eq!(line.as_bytes(), twice);
    }
    if har::is_har(text) {
        let _ = har::read(text);
    }
});
