//! The alignment of the answers of a server with those that are recorded. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

use super::compare::{Canonical, Rules};
use super::script::Payload;

/// A recorded answer, an answer of now, or both if they belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The answers are equal.
    Same {
        /// Index of the recorded answer.
        then: usize,
        /// Index of the answer of now.
        now: usize,
    },
    /// One answer has replaced the other.
    Differs {
        /// Index of the recorded answer.
        then: usize,
        /// Index of the answer of now.
        now: usize,
        /// Description of the first difference, if both are JSON.
        place: Option<String>,
    },
    /// The recorded answer with this index did not come.
    Missing(usize),
    /// The answer of now with this index is not recorded.
    Extra(usize),
}

impl Change {
    /// Returns whether the answers are equal.
    #[must_use]
    pub fn is_same(&self) -> bool {
        matches!(self, Self::Same { .. })
    }
}

/// Time limit for the shortest alignment, which takes quadratic time if tens of thousands of answers
/// have little in common. After that, the alignment is one that is found in linear time.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Compares the answers of one connection.
#[must_use]
pub fn compare(then: &[&Payload], now: &[&Payload], rules: &Rules) -> Vec<Change> {
    let canonical = |all: &[&Payload]| {
        all.iter().map(|payload| Canonical::of(payload, rules)).collect::<Vec<_>>()
    };
    let (then, now) = (canonical(then), canonical(now));
    let mut numbers = HashMap::new();
    let mut number = |answer| {
        let next = numbers.len();
        *numbers.entry(answer).or_insert(next)
    };
    let then_numbers: Vec<usize> = then.iter().map(&mut number).collect();
    let now_numbers: Vec<usize> = now.iter().map(&mut number).collect();
    let mut changes = if rules.any_order {
        in_any_order(&then_numbers, &now_numbers)
    } else {
        in_order(&then_numbers, &now_numbers)
    };
    for change in &mut changes {
        if let Change::Differs { then: one, now: two, place } = change {
            *place = then[*one].difference(&now[*two]);
        }
    }
    changes
}

fn in_order(then: &[usize], now: &[usize]) -> Vec<Change> {
    let deadline = Some(Instant::now() + TIME_LIMIT);
    // Of two shortest alignments the crate takes the one that begins with an insertion. In this order
    // that is a missing answer.
    let operations = capture_diff_slices_deadline(Algorithm::Myers, now, then, deadline);
    let changes = operations.into_iter().flat_map(|operation| match operation {
        DiffOp::Equal { old_index, new_index, len } => {
            (0..len).map(|n| Change::Same { then: new_index + n, now: old_index + n }).collect()
        }
        other => replaced(other.new_range(), other.old_range()),
    });
    changes.collect()
}

fn in_any_order(then: &[usize], now: &[usize]) -> Vec<Change> {
    let mut places: HashMap<usize, VecDeque<usize>> = HashMap::new();
    for (n, answer) in now.iter().enumerate() {
        places.entry(*answer).or_default().push_back(n);
    }
    let mut take = |answer| places.get_mut(answer)?.pop_front();
    let mut changes = Vec::new();
    let mut missing = Vec::new();
    for (n, answer) in then.iter().enumerate() {
        match take(answer) {
            Some(place) => {
                changes.extend(missing.drain(..).map(Change::Missing));
                changes.push(Change::Same { then: n, now: place });
            }
            None => missing.push(n),
        }
    }
    let mut extra: Vec<usize> = places.into_values().flatten().collect();
    extra.sort_unstable();
    changes.extend(replaced(missing, extra));
    changes
}

/// Pairs missing answers with those in their place.
fn replaced(
    then: impl IntoIterator<Item = usize>,
    now: impl IntoIterator<Item = usize>,
) -> Vec<Change> {
    let (mut then, mut now) = (then.into_iter(), now.into_iter());
    std::iter::from_fn(|| match (then.next(), now.next()) {
        (Some(then), Some(now)) => Some(Change::Differs { then, now, place: None }),
        (Some(then), None) => Some(Change::Missing(then)),
        (None, Some(now)) => Some(Change::Extra(now)),
        (None, None) => None,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes the comparison of two texts, each of whose letters is an answer.
    fn told(then: &str, now: &str, any_order: bool) -> String {
        let said =
            |text: &str| text.chars().map(|c| Payload::Text(c.to_string())).collect::<Vec<_>>();
        let (then, now) = (said(then), said(now));
        let (then, now): (Vec<_>, Vec<_>) = (then.iter().collect(), now.iter().collect());
        let text = |said: &Payload| {
            if let Payload::Text(text) = said { text.clone() } else { String::new() }
        };
        let changes = compare(&then, &now, &Rules { any_order, ..Rules::default() });
        let word = |change: &Change| match change {
            Change::Same { now: n, .. } => text(now[*n]),
            Change::Differs { then: one, now: two, .. } => {
                format!("({}{})", text(then[*one]), text(now[*two]))
            }
            Change::Missing(n) => format!("-{}", text(then[*n])),
            Change::Extra(n) => format!("+{}", text(now[*n])),
        };
        changes.iter().map(word).collect()
    }

    #[test]
    fn answers_are_aligned() {
        for (then, now, changes) in [
            ("abc", "abc", "abc"),
            ("abc", "axc", "a(bx)c"),
            ("abc", "ac", "a-bc"),
            ("ac", "abc", "a+bc"),
            ("abcdef", "xbcdyf", "(ax)bcd(ey)f"),
            ("", "a", "+a"),
            ("ab", "", "-a-b"),
            ("abab", "baba", "-abab+a"),
        ] {
            assert_eq!(told(then, now, false), changes, "{then} {now}");
        }
        assert_eq!(told("abc", "cab", true), "abc");
        assert_eq!(told("abc", "cxb", true), "-abc+x");
    }

    proptest! {
        #[test]
        fn every_answer_is_in_one_change(then in "[a-c]{0,12}", now in "[a-c]{0,12}", any_order: bool) {
            let said = |text: &str| text.chars().map(|c| Payload::Text(c.to_string())).collect::<Vec<_>>();
            let (one, two) = (said(&then), said(&now));
            let changes = compare(
                &one.iter().collect::<Vec<_>>(),
                &two.iter().collect::<Vec<_>>(),
                &Rules { any_order, ..Rules::default() },
            );
            let (mut olds, mut news) = (Vec::new(), Vec::new());
            for change in &changes {
                match change {
                    Change::Same { then, now } => {
                        prop_assert_eq!(&one[*then], &two[*now]);
                        olds.push(*then);
                        news.push(*now);
                    }
                    Change::Differs { then, now, .. } => {
                        olds.push(*then);
                        news.push(*now);
                    }
                    Change::Missing(n) => olds.push(*n),
                    Change::Extra(n) => news.push(*n),
                }
            }
            olds.sort_unstable();
            news.sort_unstable();
            prop_assert_eq!(olds, (0..one.len()).collect::<Vec<_>>());
            prop_assert_eq!(news, (0..two.len()).collect::<Vec<_>>());
            if !any_order {
                prop_assert_eq!(then == now, changes.iter().all(Change::is_same));
            }
        }
    }
}
