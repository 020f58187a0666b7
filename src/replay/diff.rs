//! What a server says now, held against what it said then. Pure.

use super::compare::{Canonical, Rules};
use super::script::Payload;

/// How an answer of then and an answer of now belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// They say the same.
    Same {
        /// Place among the answers of then.
        then: usize,
        /// Place among those of now.
        now: usize,
    },
    /// One has come in the place of the other.
    Differs {
        /// Place among the answers of then.
        then: usize,
        /// Place among those of now.
        now: usize,
        /// Where, in JSON.
        place: Option<String>,
    },
    /// It has not come.
    Missing(usize),
    /// It is new.
    Extra(usize),
}

/// The largest table for the longest common subsequence: 2,000 answers against as many others,
/// beyond those at both ends that are the same. Longer ones are compared one by one.
const TABLE: usize = 4_000_000;

/// Compares the answers of one connection, in their order.
#[must_use]
pub fn compare(then: &[&Payload], now: &[&Payload], rules: &Rules) -> Vec<Change> {
    let meanings =
        |all: &[&Payload]| all.iter().map(|said| Canonical::of(said, rules)).collect::<Vec<_>>();
    let (then, now) = (meanings(then), meanings(now));
    let changes = if rules.any_order { in_any_order(&then, &now) } else { in_order(&then, &now) };
    pair_up(changes, &then, &now)
}

fn in_order(then: &[Canonical], now: &[Canonical]) -> Vec<Change> {
    let same = |(one, two): &(&Canonical, &Canonical)| one == two;
    let start = then.iter().zip(now).take_while(same).count();
    let (then_rest, now_rest) = (&then[start..], &now[start..]);
    let end = then_rest.iter().rev().zip(now_rest.iter().rev()).take_while(same).count();
    let (then_middle, now_middle) =
        (&then_rest[..then_rest.len() - end], &now_rest[..now_rest.len() - end]);
    let mut changes: Vec<Change> = (0..start).map(|n| Change::Same { then: n, now: n }).collect();
    changes.extend(middle(then_middle, now_middle).into_iter().map(|change| change.shifted(start)));
    let (then_end, now_end) = (then.len() - end, now.len() - end);
    changes.extend((0..end).map(|n| Change::Same { then: then_end + n, now: now_end + n }));
    changes
}

/// Finds the longest common subsequence.
fn middle(then: &[Canonical], now: &[Canonical]) -> Vec<Change> {
    let (height, width) = (then.len(), now.len());
    if (height + 1).saturating_mul(width + 1) > TABLE {
        let both = height.min(width);
        let pairs = (0..both).map(|n| {
            if then[n] == now[n] {
                Change::Same { then: n, now: n }
            } else {
                Change::Differs { then: n, now: n, place: None }
            }
        });
        let missing = (both..height).map(Change::Missing);
        return pairs.chain(missing).chain((both..width).map(Change::Extra)).collect();
    }
    // The length of the longest common subsequence of what begins at each pair of places.
    let mut longest = vec![0_u32; (height + 1) * (width + 1)];
    let at = |y: usize, x: usize| y * (width + 1) + x;
    for y in (0..height).rev() {
        for x in (0..width).rev() {
            longest[at(y, x)] = if then[y] == now[x] {
                longest[at(y + 1, x + 1)] + 1
            } else {
                longest[at(y + 1, x)].max(longest[at(y, x + 1)])
            };
        }
    }
    let (mut y, mut x, mut changes) = (0, 0, Vec::new());
    while y < height || x < width {
        if y < height && x < width && then[y] == now[x] {
            changes.push(Change::Same { then: y, now: x });
            (y, x) = (y + 1, x + 1);
        } else if x == width || y < height && longest[at(y + 1, x)] >= longest[at(y, x + 1)] {
            changes.push(Change::Missing(y));
            y += 1;
        } else {
            changes.push(Change::Extra(x));
            x += 1;
        }
    }
    changes
}

fn in_any_order(then: &[Canonical], now: &[Canonical]) -> Vec<Change> {
    let mut free: Vec<bool> = vec![true; now.len()];
    let mut changes = Vec::new();
    for (n, meaning) in then.iter().enumerate() {
        let found = (0..now.len()).find(|at| free[*at] && now[*at] == *meaning);
        changes.push(match found {
            Some(at) => {
                free[at] = false;
                Change::Same { then: n, now: at }
            }
            None => Change::Missing(n),
        });
    }
    changes.extend((0..now.len()).filter(|at| free[*at]).map(Change::Extra));
    changes
}

/// Makes one change of what went and what came in its place.
fn pair_up(changes: Vec<Change>, then: &[Canonical], now: &[Canonical]) -> Vec<Change> {
    let mut out: Vec<Change> = Vec::new();
    let mut missing = std::collections::VecDeque::new();
    for change in changes {
        match change {
            Change::Missing(n) => missing.push_back(n),
            Change::Extra(n) => out.push(match missing.pop_front() {
                Some(gone) => Change::Differs { then: gone, now: n, place: None },
                None => Change::Extra(n),
            }),
            other => {
                out.extend(missing.drain(..).map(Change::Missing));
                out.push(other);
            }
        }
    }
    out.extend(missing.into_iter().map(Change::Missing));
    for change in &mut out {
        if let Change::Differs { then: one, now: two, place } = change {
            *place = then[*one].difference(&now[*two]);
        }
    }
    out
}

impl Change {
    /// Returns whether nothing has changed.
    #[must_use]
    pub fn is_same(&self) -> bool {
        matches!(self, Self::Same { .. })
    }

    fn shifted(self, by: usize) -> Self {
        match self {
            Self::Same { then, now } => Self::Same { then: then + by, now: now + by },
            Self::Differs { then, now, place } => {
                Self::Differs { then: then + by, now: now + by, place }
            }
            Self::Missing(n) => Self::Missing(n + by),
            Self::Extra(n) => Self::Extra(n + by),
        }
    }
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
        fn every_answer_is_told_once(then in "[a-c]{0,12}", now in "[a-c]{0,12}", any_order: bool) {
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
