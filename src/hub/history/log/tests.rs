use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::database::checked::CheckedFolder;
use crate::hub::clock::now_ms;
use crate::hub::history::suite::{agrees_with_a_list, batches, event, until};

proptest! {
    // Each opens a database and waits for its threads.
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn log_agrees_with_a_list(
        max in prop_oneof![0_u64..20, Just(1000)],
        in_memory in 0_usize..30,
        batches in batches(),
    ) {
        let folder = CheckedFolder::new();
        let settings = LogSettings { events: Some(max), ..LogSettings::new(folder.path()) };
        // What is in memory is not more than what is kept.
        let events = in_memory.min(usize::try_from(max).expect("it is small"));
        let history = Retention { events, bytes: usize::MAX, age: None };
        let store = Log::open(&settings, history, None, Box::new(now_ms)).expect("it opens").log;
        agrees_with_a_list(&store, max, &batches)?;
        store.close();
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// A month of days that are written and deleted, as a log of 1,000 events a second has them, with the
/// clock as an argument. A day has 2,000 events here, each of which stands for 43,200;
/// `WSTAP_MONTH` is another number.
#[test]
#[expect(clippy::print_stdout, reason = "the long form is read by people")]
fn log_of_a_month_is_as_large_as_that_of_the_day_that_it_keeps() {
    let text = std::env::var("WSTAP_MONTH").ok();
    let per_day: u64 = text.and_then(|text| text.parse().ok()).unwrap_or(2000);
    let folder = CheckedFolder::new();
    let age = Some(Duration::from_millis(DAY_MS));
    let settings = LogSettings { age, bytes: None, ..LogSettings::new(folder.path()) };
    let history = Retention { events: 1000, bytes: 1 << 20, age: None };
    let now = Arc::new(AtomicU64::new(0));
    let open = || {
        let now = Arc::clone(&now);
        let began = Instant::now();
        let opened = Log::open(&settings, history, None, Box::new(move || now.load(Relaxed)));
        (opened.expect("it opens"), began.elapsed())
    };
    let (mut log, mut first) = (open().0.log, 1);
    let mut measured = Vec::new();
    for day in 1..=30 {
        for part in 0..20 {
            until("room", || !log.inner.progress.is_behind());
            let count = per_day / 20;
            let id = |n| EventId { ms: day * DAY_MS + part * (DAY_MS / 20) + n, seq: 0 };
            let segment = Arc::new(Segment::new(first, (0..count).map(|n| event(id(n))).collect()));
            now.store(segment.last_id().ms, Relaxed);
            let _ = log.append(&segment, segment.last_id().ms);
            first += count;
        }
        let kept = || {
            let (floor, head) = log.bounds();
            (head == first - 1).then_some(head - floor)
        };
        until("retention", || kept().is_some_and(|kept| kept * 100 <= per_day * 105));
        assert!(kept() >= Some(per_day * 95 / 100), "{:?} of {per_day}", kept());
        let pages = log.inner.pages().weight();
        assert!(pages <= 9 << 20 && log.size().1 <= 1 << 20, "memory is bounded");
        log.close();
        let bytes = fs::metadata(settings.directory.join(FILE)).expect("a file").len();
        let (opened, time) = open();
        assert_eq!(opened.position, first - 1);
        log = opened.log;
        measured.push((bytes, time));
    }
    log.close();
    let largest = measured.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
    // Of the first two days both are there at once.
    let (second, _) = measured[1];
    assert!(largest * 100 <= second * 110, "{measured:?}");
    println!("bytes of the database and time of a start after each day: {measured:?}");
}
