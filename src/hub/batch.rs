//! What goes through the broadcast channel: everything that was published since the last time, in
//! order, rendered on first demand and at most once in each form, for all listeners together.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use bytes::Bytes;

use crate::event::Event;
use crate::filter::{Expression, Filter, Reading};
use crate::metrics::Metrics;
use crate::wire::Form;

/// One or more events with consecutive ordinals.
#[derive(Debug)]
pub(super) struct Batch {
    events: Box<[Arc<Event>]>,
    forms: [OnceLock<Rendered>; Form::COUNT],
    /// The bodies, for expressions: read once for all of them.
    readings: OnceLock<Box<[OnceLock<Option<Reading>>]>>,
    /// What the expressions say that several listeners share, by their addresses.
    verdicts: Mutex<HashMap<usize, Arc<Verdict>>>,
}

/// What an expression says of each event of a batch.
#[derive(Debug)]
struct Verdict {
    /// Keeps its address from being another's.
    _of: Weak<Expression>,
    /// A bit for each event.
    bits: OnceLock<Box<[u64]>>,
}

impl Verdict {
    fn holds(&self, n: usize) -> bool {
        self.bits.get().is_some_and(|bits| bits[n / 64] >> (n % 64) & 1 == 1)
    }
}

/// How a listener's expression is asked.
enum Asked<'a> {
    Nothing,
    Alone(&'a Expression),
    Once(Arc<Verdict>),
}

/// A batch in one form: all events back to back, and where each ends.
#[derive(Debug)]
struct Rendered {
    bytes: Bytes,
    ends: Box<[usize]>,
}

/// A body that takes so many times the memory of its event when it has been read is read again for
/// each expression, so that memory stays bounded: `[1,1,1]` takes 8 times. Usual ones take 1 to 4.
const KEPT_READING: usize = 4;

/// The part of a batch that a listener wants.
#[derive(Debug, Clone)]
pub struct Selection {
    batch: Arc<Batch>,
    /// Runs of selected events; `None` is the whole batch.
    runs: Option<Box<[Range<usize>]>>,
}

impl Batch {
    /// Takes events with consecutive ordinals.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(super) fn new(events: Vec<Arc<Event>>) -> Self {
        assert!(!events.is_empty(), "a batch has an event");
        Self {
            events: events.into(),
            forms: Default::default(),
            readings: OnceLock::new(),
            verdicts: Mutex::default(),
        }
    }

    pub(super) fn first(&self) -> &Event {
        &self.events[0]
    }

    pub(super) fn last(&self) -> &Event {
        &self.events[self.events.len() - 1]
    }

    pub(super) fn weight(&self) -> usize {
        self.events.iter().map(|event| event.weight()).sum()
    }

    /// Returns what `filter` selects of the events from the ordinal `first` on, or `None` if that
    /// is nothing.
    pub(super) fn select(
        self: Arc<Self>,
        first: u64,
        filter: &Filter,
        metrics: &Metrics,
    ) -> Option<Selection> {
        let skip =
            usize::try_from(first.saturating_sub(self.first().ordinal)).unwrap_or(usize::MAX);
        if skip == 0 && filter.selects_all() {
            return Some(Selection { batch: self, runs: None });
        }
        let expression = match &filter.expression {
            None => Asked::Nothing,
            // One that nobody else holds is not worth remembering.
            Some(own) if Arc::strong_count(own) == 1 => Asked::Alone(own),
            Some(shared) => Asked::Once(self.verdict(shared, metrics)),
        };
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (n, event) in self.events.iter().enumerate().skip(skip) {
            let selected = filter.selects_fields(event)
                && match &expression {
                    Asked::Nothing => true,
                    Asked::Alone(expression) => self.holds(expression, n, metrics),
                    Asked::Once(verdict) => verdict.holds(n),
                };
            if selected {
                match runs.last_mut() {
                    Some(run) if run.end == n => run.end = n + 1,
                    _ => runs.push(n..n + 1),
                }
            }
        }
        (!runs.is_empty()).then(|| Selection { batch: self, runs: Some(runs.into()) })
    }

    /// Returns what an expression says; who asks first evaluates it.
    fn verdict(&self, of: &Arc<Expression>, metrics: &Metrics) -> Arc<Verdict> {
        let verdict = {
            let mut all = self.verdicts.lock().expect("nothing panics while it holds this lock");
            let verdict = all.entry(Arc::as_ptr(of).addr()).or_insert_with(|| {
                Arc::new(Verdict { _of: Arc::downgrade(of), bits: OnceLock::new() })
            });
            Arc::clone(verdict)
        };
        verdict.bits.get_or_init(|| self.evaluate(of, metrics));
        verdict
    }

    fn evaluate(&self, expression: &Expression, metrics: &Metrics) -> Box<[u64]> {
        let mut holds = vec![0; self.events.len().div_ceil(64)];
        for n in 0..self.events.len() {
            holds[n / 64] |= u64::from(self.holds(expression, n, metrics)) << (n % 64);
        }
        holds.into()
    }

    fn holds(&self, expression: &Expression, n: usize, metrics: &Metrics) -> bool {
        let event = &self.events[n];
        if !expression.reads_body() {
            return metrics.evaluated(expression.evaluate(event));
        }
        let readings = self.readings.get_or_init(|| {
            std::iter::repeat_with(OnceLock::new).take(self.events.len()).collect()
        });
        let reading = readings[n].get_or_init(|| {
            let reading = Reading::of(event);
            (reading.weight() <= KEPT_READING * event.weight()).then_some(reading)
        });
        metrics.evaluated(match reading {
            Some(reading) => expression.evaluate_with(event, reading),
            None => expression.evaluate(event),
        })
    }

    fn rendered(&self, form: Form, metrics: &Metrics) -> &Rendered {
        self.forms[form.index()].get_or_init(|| {
            // Growing would copy all of it again: the names of a full event take about this much.
            let names = 256 * self.events.len();
            let mut out = Vec::with_capacity(self.weight() + names);
            let ends = self.events.iter().map(|event| {
                form.event(event, &mut out);
                out.len()
            });
            let ends = ends.collect();
            metrics.rendered_bytes.inc_by(out.len() as u64);
            Rendered { bytes: out.into(), ends }
        })
    }
}

impl Selection {
    /// Iterates over the selected events.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        let whole = self.runs.is_none().then_some(0..self.batch.events.len());
        let runs = self.runs.iter().flatten().cloned().chain(whole);
        runs.flat_map(|run| &self.batch.events[run])
    }

    /// Returns the number of selected events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs
            .as_ref()
            .map_or(self.batch.events.len(), |runs| runs.iter().map(ExactSizeIterator::len).sum())
    }

    /// Returns whether nothing is selected, which never is the case.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands over the selected events in a form, as few shared pieces of memory.
    pub(crate) fn pieces(&self, form: Form, metrics: &Metrics, mut each: impl FnMut(Bytes)) {
        let Rendered { bytes, ends } = self.batch.rendered(form, metrics);
        match &self.runs {
            None => each(bytes.clone()),
            Some(runs) => {
                for run in runs {
                    let start = run.start.checked_sub(1).map_or(0, |before| ends[before]);
                    each(bytes.slice(start..ends[run.end - 1]));
                }
            }
        }
    }
}
