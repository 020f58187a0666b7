use proptest::prelude::*;

use super::*;
use crate::hub::history::suite::{agrees_with_a_list, batches};

proptest! {
    // Each opens a database and waits for its threads.
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn log_agrees_with_a_list(
        max in prop_oneof![0_u64..20, Just(1000)],
        in_memory in 0_usize..30,
        batches in batches(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = LogSettings { events: Some(max), ..LogSettings::new(folder.path()) };
        // What is in memory is not more than what is kept.
        let events = in_memory.min(usize::try_from(max).expect("it is small"));
        let history = Retention { events, bytes: usize::MAX, age: None };
        let store = Log::open(&settings, history, false).expect("it opens").log;
        agrees_with_a_list(&store, max, &batches)?;
        store.close();
    }
}
