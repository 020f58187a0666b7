//! What goes through the broadcast channel: everything that was published since the last time, in
//! order, rendered on first demand and at most once in each form, for all listeners together.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::event::Event;
use crate::filter::Filter;
use crate::metrics::Metrics;
use crate::wire::Form;

/// One or more events with consecutive ordinals.
#[derive(Debug)]
pub(super) struct Batch {
    events: Box<[Arc<Event>]>,
    forms: [OnceLock<Rendered>; Form::COUNT],
}

/// A batch in one form: all events back to back, and where each ends.
#[derive(Debug)]
struct Rendered {
    bytes: Bytes,
    ends: Box<[usize]>,
}

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
        Self { events: events.into(), forms: Default::default() }
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
    pub(super) fn select(self: Arc<Self>, first: u64, filter: &Filter) -> Option<Selection> {
        let skip =
            usize::try_from(first.saturating_sub(self.first().ordinal)).unwrap_or(usize::MAX);
        if skip == 0 && filter.selects_all() {
            return Some(Selection { batch: self, runs: None });
        }
        let mut runs: Vec<Range<usize>> = Vec::new();
        for (n, event) in self.events.iter().enumerate().skip(skip) {
            if filter.selects(event) {
                match runs.last_mut() {
                    Some(run) if run.end == n => run.end = n + 1,
                    _ => runs.push(n..n + 1),
                }
            }
        }
        (!runs.is_empty()).then(|| Selection { batch: self, runs: Some(runs.into()) })
    }

    fn rendered(&self, form: Form, metrics: &Metrics) -> &Rendered {
        self.forms[form.index()].get_or_init(|| {
            let mut out = Vec::with_capacity(self.weight());
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
