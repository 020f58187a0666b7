//! A run of events with consecutive positions: the unit of history and of the broadcast channel.
//!
//! What listeners derive from a segment (rendered forms, read bodies, verdicts of shared filter
//! expressions) is computed on first demand, at most once, and shared by all of them. It is dropped
//! with [`Segment::forget`] when the segment is no longer in use; a later reader computes it again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use bytes::Bytes;

use crate::event::Event;
use crate::filter::{Expression, Filter, Reading};
use crate::metrics::Metrics;
use crate::wire::Form;

/// One or more events with consecutive positions.
#[derive(Debug)]
pub struct Segment {
    /// The position of the first event.
    first: u64,
    events: Box<[Arc<Event>]>,
    /// Sum of [`Event::weight`].
    weight: usize,
    derived: Mutex<Option<Arc<Derived>>>,
}

/// What is computed from a segment on demand.
#[derive(Debug)]
struct Derived {
    forms: [OnceLock<Rendered>; Form::COUNT],
    /// The bodies, read once for all expressions.
    readings: OnceLock<Box<[OnceLock<Option<Reading>>]>>,
    /// The verdicts of expressions that several listeners share, by address.
    verdicts: Mutex<HashMap<usize, Arc<Verdict>>>,
}

/// The result of an expression for each event of a segment, as far as it is known.
#[derive(Debug)]
pub(in crate::hub) struct Verdict {
    /// Keeps the address from being reused.
    _of: Weak<Expression>,
    /// For each event two bits: known, holds.
    bits: Box<[AtomicU64]>,
}

impl Verdict {
    fn new(of: &Arc<Expression>, events: usize) -> Self {
        let bits = std::iter::repeat_with(AtomicU64::default).take(events.div_ceil(32)).collect();
        Self { _of: Arc::downgrade(of), bits }
    }

    fn get(&self, n: usize) -> Option<bool> {
        match self.bits[n / 32].load(Relaxed) >> (n % 32 * 2) & 0b11 {
            0b01 => Some(false),
            0b11 => Some(true),
            _ => None,
        }
    }

    fn set(&self, n: usize, holds: bool) {
        let bits = if holds { 0b11 } else { 0b01 };
        self.bits[n / 32].fetch_or(bits << (n % 32 * 2), Relaxed);
    }
}

/// A segment in one form: all events back to back, and where each ends.
#[derive(Debug)]
struct Rendered {
    bytes: Bytes,
    ends: Box<[usize]>,
}

/// A body whose reading takes more than this many times the memory of its event is read again for
/// each expression, so that memory stays bounded: `[1,1,1]` takes 8 times, usual bodies 1 to 4.
const KEPT_READING: usize = 4;

impl Segment {
    /// Makes a segment of events with consecutive positions from `first` on.
    ///
    /// # Panics
    ///
    /// If there are no events.
    pub(in crate::hub) fn new(first: u64, events: Vec<Arc<Event>>) -> Self {
        assert!(!events.is_empty(), "a segment has an event");
        let weight = events.iter().map(|event| event.weight()).sum();
        Self { first, events: events.into(), weight, derived: Mutex::new(None) }
    }

    /// Joins segments that follow one another.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub(in crate::hub) fn joined<'a>(parts: impl Iterator<Item = &'a Arc<Self>> + Clone) -> Self {
        let first = parts.clone().next().expect("there is a part").first;
        let weight = parts.clone().map(|part| part.weight).sum();
        let events = parts.flat_map(|part| part.events.iter().cloned()).collect();
        Self { first, events, weight, derived: Mutex::new(None) }
    }

    /// Returns the position of the first event.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the position of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// Returns the id of the last event.
    pub(in crate::hub) fn last_id(&self) -> crate::event::EventId {
        self.events[self.events.len() - 1].id
    }

    /// Returns the events in order.
    #[must_use]
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// Returns the event at a position, if it is one of these.
    pub(in crate::hub) fn at(&self, position: u64) -> Option<&Arc<Event>> {
        let n = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.events.get(n)
    }

    /// Returns the sum of the weights of the events in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Returns whether something has been computed from it and is held.
    pub(in crate::hub) fn is_derived(&self) -> bool {
        self.lock().is_some()
    }

    /// Drops what has been computed from it. Readers that are using it keep their own reference.
    pub(in crate::hub) fn forget(&self) {
        let derived = self.lock().take();
        drop(derived);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Derived>>> {
        self.derived.lock().expect("nothing panics while it holds this lock")
    }

    fn derived(&self) -> Arc<Derived> {
        let derived = || {
            Arc::new(Derived {
                forms: Default::default(),
                readings: OnceLock::new(),
                verdicts: Mutex::default(),
            })
        };
        Arc::clone(self.lock().get_or_insert_with(derived))
    }

    /// Evaluates an expression at one event.
    fn holds(
        &self,
        derived: &Derived,
        expression: &Expression,
        n: usize,
        metrics: &Metrics,
    ) -> bool {
        let event = &self.events[n];
        if !expression.reads_body() {
            return metrics.evaluated(expression.evaluate(event));
        }
        let readings = derived.readings.get_or_init(|| {
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

    /// Renders the segment in a form, unless that has been done.
    fn rendered<'a>(&self, derived: &'a Derived, form: Form, metrics: &Metrics) -> &'a Rendered {
        derived.forms[form.index()].get_or_init(|| {
            // Growing would copy all of it again: the names of a full event take about this much.
            let names = 256 * self.events.len();
            let mut out = Vec::with_capacity(self.weight + names);
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

/// The selection of a listener under way: which events of a segment its filter selects. It stops
/// and goes on between two events, so that a costly expression is evaluated in pieces.
#[derive(Debug)]
pub(in crate::hub) struct Selecting {
    segment: Arc<Segment>,
    derived: Option<Arc<Derived>>,
    verdict: Option<Arc<Verdict>>,
    next: usize,
    runs: Vec<Range<usize>>,
}

impl Selecting {
    /// Begins with the events from the position `first` on.
    pub(in crate::hub) fn new(segment: Arc<Segment>, first: u64, filter: &Filter) -> Self {
        let next = usize::try_from(first.saturating_sub(segment.first)).unwrap_or(usize::MAX);
        let derived = filter.expression.is_some().then(|| segment.derived());
        let verdict = match (&filter.expression, &derived) {
            // The verdict of an expression that no other listener holds is not worth keeping.
            (Some(expression), Some(derived)) if Arc::strong_count(expression) > 1 => {
                let events = segment.events.len();
                let mut all =
                    derived.verdicts.lock().expect("nothing panics while it holds this lock");
                let verdict = all
                    .entry(Arc::as_ptr(expression).addr())
                    .or_insert_with(|| Arc::new(Verdict::new(expression, events)));
                Some(Arc::clone(verdict))
            }
            _ => None,
        };
        Self { segment, derived, verdict, next, runs: Vec::new() }
    }

    /// Returns the segment.
    pub(in crate::hub) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Looks at events until all are done, or `more` returns false, which is asked after each
    /// evaluation of an expression. Returns whether all are done.
    pub(in crate::hub) fn run(
        &mut self,
        filter: &Filter,
        metrics: &Metrics,
        mut more: impl FnMut() -> bool,
    ) -> bool {
        while self.next < self.segment.events.len() {
            let n = self.next;
            self.next += 1;
            let mut selected = filter.selects_fields(&self.segment.events[n]);
            let mut evaluated = false;
            if let (true, Some(expression), Some(derived)) =
                (selected, &filter.expression, &self.derived)
            {
                let known = self.verdict.as_ref().and_then(|verdict| verdict.get(n));
                selected = known.unwrap_or_else(|| {
                    evaluated = true;
                    let holds = self.segment.holds(derived, expression, n, metrics);
                    if let Some(verdict) = &self.verdict {
                        verdict.set(n, holds);
                    }
                    holds
                });
            }
            if selected {
                match self.runs.last_mut() {
                    Some(run) if run.end == n => run.end = n + 1,
                    _ => self.runs.push(n..n + 1),
                }
            }
            if evaluated && self.next < self.segment.events.len() && !more() {
                return false;
            }
        }
        true
    }

    /// Returns what was selected, or `None` if that is nothing.
    pub(in crate::hub) fn finish(self) -> Option<Selection> {
        let runs = Some(self.runs.into_boxed_slice()).filter(|runs| !runs.is_empty())?;
        Some(Selection { segment: self.segment, runs: Some(runs) })
    }
}

/// The part of a segment that a listener has selected.
#[derive(Debug, Clone)]
pub struct Selection {
    segment: Arc<Segment>,
    /// Runs of selected events; `None` is the whole segment.
    runs: Option<Box<[Range<usize>]>>,
}

impl Selection {
    /// Selects all events of a segment.
    pub(in crate::hub) fn whole(segment: Arc<Segment>) -> Self {
        Self { segment, runs: None }
    }

    /// Iterates over the selected events.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.positioned().map(|(_, event)| event)
    }

    /// Iterates over the selected events with their positions: the number of events published
    /// before them by this process, plus one.
    pub fn positioned(&self) -> impl Iterator<Item = (u64, &Arc<Event>)> {
        let whole = self.runs.is_none().then_some(0..self.segment.events.len());
        let runs = self.runs.iter().flatten().cloned().chain(whole);
        runs.flatten().map(|n| (self.segment.first + n as u64, &self.segment.events[n]))
    }

    /// Returns the number of selected events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs
            .as_ref()
            .map_or(self.segment.events.len(), |runs| runs.iter().map(ExactSizeIterator::len).sum())
    }

    /// Returns whether no event is selected, which is never the case.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands over the selected events in a form, as few shared pieces of memory.
    pub(crate) fn pieces(&self, form: Form, metrics: &Metrics, mut each: impl FnMut(Bytes)) {
        let derived = self.segment.derived();
        let Rendered { bytes, ends } = self.segment.rendered(&derived, form, metrics);
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
