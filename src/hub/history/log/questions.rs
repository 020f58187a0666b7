//! Questions to the threads that read the database.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::event::{Event, EventId};
use crate::hub::history::store::{Answer, Before, Cursor, Found, Mark, Page};

/// A question, and where the answer goes. A reader of the stream has one at a time.
#[derive(Debug)]
pub(super) enum Asked {
    Page(Cursor, oneshot::Sender<Page>),
    Before(u64, oneshot::Sender<Before>),
    Find(Mark, oneshot::Sender<Found>),
    Events(Box<[EventId]>, oneshot::Sender<Vec<Arc<Event>>>),
}

impl Asked {
    /// Returns whether the reader of the stream that has asked is gone.
    fn is_over(&self) -> bool {
        match self {
            Self::Page(_, to) => to.is_closed(),
            Self::Before(_, to) => to.is_closed(),
            Self::Find(_, to) => to.is_closed(),
            Self::Events(_, to) => to.is_closed(),
        }
    }
}

/// Questions in their order.
#[derive(Debug, Default)]
pub(super) struct Readers {
    asked: Mutex<Questions>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Questions {
    waiting: VecDeque<Asked>,
    /// The next page of a reader that goes forward, which is read when there is nothing else to do.
    ahead: Option<u64>,
    closed: bool,
}

/// What a thread does next.
pub(super) enum Task {
    Answer(Asked),
    Ahead(u64),
}

impl Readers {
    pub(super) fn ask<T>(&self, asked: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Answer<T> {
        let (to, coming) = oneshot::channel();
        let asked = asked(to);
        let mut questions = self.lock();
        if !questions.closed {
            questions.waiting.push_back(asked);
        }
        drop(questions);
        self.more.notify_one();
        Answer::Coming(coming)
    }

    /// Says which page is likely to be asked for next.
    pub(super) fn read_ahead(&self, position: u64) {
        self.lock().ahead = Some(position);
        self.more.notify_one();
    }

    /// Waits for the next question that a reader waits for; `None` is the end.
    pub(super) fn next(&self) -> Option<Task> {
        let idle = |asked: &mut Questions| {
            while asked.waiting.pop_front_if(|asked| asked.is_over()).is_some() {}
            asked.waiting.is_empty() && asked.ahead.is_none() && !asked.closed
        };
        let mut asked = self
            .more
            .wait_while(self.lock(), idle)
            .expect("nothing panics while it holds this lock");
        if asked.closed {
            // Readers of the stream that still wait receive nothing: the hub has stopped.
            asked.waiting.clear();
            return None;
        }
        match asked.waiting.pop_front() {
            Some(question) => Some(Task::Answer(question)),
            None => asked.ahead.take().map(Task::Ahead),
        }
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Questions> {
        self.asked.lock().expect("nothing panics while it holds this lock")
    }
}
