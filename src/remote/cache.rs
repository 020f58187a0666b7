//! Decisions that count for some seconds, by what was asked. One question at a time for each key.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

/// A digest of what was asked, so that no credential is kept, and each entry has the same size.
pub(super) type Key = [u8; 32];

/// The decisions of the last seconds.
#[derive(Debug)]
pub(super) struct Cache<T> {
    time: Duration,
    most: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    entries: HashMap<Key, (Instant, Arc<OnceCell<T>>)>,
    /// The keys, the oldest first.
    order: VecDeque<(Instant, Key)>,
}

impl<T: Clone> Cache<T> {
    /// Makes a cache of at most `most` decisions, which count for `time`.
    pub(super) fn new(time: Duration, most: usize) -> Self {
        let state = State { entries: HashMap::new(), order: VecDeque::new() };
        Self { time, most, state: Mutex::new(state) }
    }

    /// Returns the decision for a key. Only the first of those who ask at one time asks; if it gives up,
    /// the next one does.
    ///
    /// # Errors
    ///
    /// That of `ask`, which is not kept.
    pub(super) async fn get<E, F: Future<Output = Result<T, E>>>(
        &self,
        key: Key,
        now: Instant,
        ask: impl FnOnce() -> F,
    ) -> Result<T, E> {
        self.cell(key, now).get_or_try_init(ask).await.cloned()
    }

    fn cell(&self, key: Key, now: Instant) -> Arc<OnceCell<T>> {
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        let State { entries, order } = &mut *state;
        while order.front().is_some_and(|(made, _)| now.duration_since(*made) >= self.time) {
            forget(entries, order);
        }
        if let Some((_, cell)) = entries.get(&key) {
            return Arc::clone(cell);
        }
        if entries.len() >= self.most {
            forget(entries, order);
        }
        let cell = Arc::default();
        entries.insert(key, (now, Arc::clone(&cell)));
        order.push_back((now, key));
        cell
    }
}

/// Forgets the oldest decision.
fn forget<T>(
    entries: &mut HashMap<Key, (Instant, Arc<OnceCell<T>>)>,
    order: &mut VecDeque<(Instant, Key)>,
) {
    if let Some((_, key)) = order.pop_front() {
        entries.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    async fn ask(cache: &Cache<usize>, key: u8, now: Instant, asked: &AtomicUsize) -> usize {
        let ask = || async { Ok::<_, ()>(asked.fetch_add(1, Relaxed)) };
        cache.get([key; 32], now, ask).await.expect("an answer")
    }

    #[tokio::test]
    async fn decision_counts_for_its_time() {
        let (cache, asked) = (Cache::new(Duration::from_secs(10), 4), AtomicUsize::new(0));
        let start = Instant::now();
        let at = async |key, seconds| {
            ask(&cache, key, start + Duration::from_secs(seconds), &asked).await
        };
        assert_eq!([at(1, 0).await, at(1, 0).await, at(2, 0).await], [0, 0, 1]);
        assert_eq!([at(1, 9).await, at(1, 10).await, at(1, 19).await], [0, 2, 2]);
    }

    #[tokio::test]
    async fn decisions_are_bounded_and_the_oldest_is_forgotten() {
        let (cache, asked) = (Cache::new(Duration::from_secs(10), 4), AtomicUsize::new(0));
        let now = Instant::now();
        for key in 0..100 {
            ask(&cache, key, now, &asked).await;
        }
        let kept = {
            let state = cache.state.lock().expect("no panic");
            (state.entries.len(), state.order.len())
        };
        assert_eq!(kept, (4, 4));
        assert_eq!(ask(&cache, 99, now, &asked).await, 99);
        assert_eq!(ask(&cache, 0, now, &asked).await, 100);
    }

    #[tokio::test]
    async fn one_of_those_who_ask_at_one_time_asks() {
        let (cache, asked) = (Cache::new(Duration::from_secs(10), 4), AtomicUsize::new(0));
        let slow = || {
            cache.get([1; 32], Instant::now(), || async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(asked.fetch_add(1, Relaxed))
            })
        };
        assert_eq!(tokio::join!(slow(), slow(), slow()), (Ok(0), Ok(0), Ok(0)));
    }

    #[tokio::test]
    async fn error_is_not_kept() {
        let (cache, now) = (Cache::new(Duration::from_secs(10), 4), Instant::now());
        assert_eq!(cache.get([1; 32], now, || async { Err::<u8, _>("down") }).await, Err("down"));
        assert_eq!(cache.get([1; 32], now, || async { Ok::<_, &str>(1) }).await, Ok(1));
    }
}
