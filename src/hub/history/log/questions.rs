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
    /// Returns the position that the page begins with which was asked for.
    fn page(&self) -> Option<u64> {
        match self {
            Self::Page(cursor, _) => Some(cursor.position + 1),
            Self::Before(..) | Self::Find(..) | Self::Events(..) => None,
        }
    }

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
    /// Pages that are likely to be asked for, which are read when there is nothing else to do.
    ahead: VecDeque<Ahead>,
    /// First positions of the pages that are being read. Questions for them wait until they are at
    /// hand.
    reading: Vec<u64>,
    closed: bool,
}

/// A page that nothing waits for yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) position: u64,
    /// How many pages behind it are read as well.
    pub(super) more: usize,
}

/// Pages that are read ahead of a reader of the stream that goes forward: they are decoded while it
/// writes, and by the other thread while one waits for the disk.
pub(super) const AHEAD: usize = 4;

/// Pages that wait to be read ahead at most: those of some readers of the stream that resume at
/// different places. The others read without it.
const MAX_AHEAD: usize = 8;

/// What a thread does next. A page ends with [`Readers::done_with`].
pub(super) enum Task {
    Answer(Asked),
    Ahead(Ahead),
}

impl Questions {
    fn next(&mut self) -> Option<Task> {
        // Those behind the first one that can be answered are not looked at: listeners choose how many.
        let mut n = 0;
        while let Some(asked) = self.waiting.get(n) {
            if asked.is_over() {
                self.waiting.remove(n);
            } else if asked.page().is_some_and(|page| self.reading.contains(&page)) {
                n += 1;
            } else {
                let asked = self.waiting.remove(n)?;
                self.reading.extend(asked.page());
                return Some(Task::Answer(asked));
            }
        }
        let ahead = self.ahead.pop_front()?;
        self.reading.push(ahead.position);
        Some(Task::Ahead(ahead))
    }
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
    pub(super) fn read_ahead(&self, ahead: Ahead) {
        let mut questions = self.lock();
        let known = questions.reading.contains(&ahead.position)
            || questions.ahead.iter().any(|other| other.position == ahead.position);
        if known || questions.ahead.len() == MAX_AHEAD {
            return;
        }
        questions.ahead.push_back(ahead);
        drop(questions);
        self.more.notify_one();
    }

    /// Notes that a page is at hand, or cannot be read.
    pub(super) fn done_with(&self, page: u64) {
        let mut questions = self.lock();
        questions.reading.retain(|other| *other != page);
        // This thread takes one of the questions that wait for it.
        let more = questions.waiting.len() > 1;
        drop(questions);
        if more {
            self.more.notify_one();
        }
    }

    /// Waits for the next question that a reader waits for; `None` is the end.
    pub(super) fn next(&self) -> Option<Task> {
        let mut questions = self.lock();
        loop {
            if questions.closed {
                // Readers of the stream that still wait receive nothing: the hub has stopped.
                questions.waiting.clear();
                return None;
            }
            if let Some(task) = questions.next() {
                return Some(task);
            }
            let woken = self.more.wait(questions);
            questions = woken.expect("nothing panics while it holds this lock");
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(readers: &Readers, position: u64) -> oneshot::Receiver<Page> {
        match readers.ask(|to| Asked::Page(Cursor { position, id: None }, to)) {
            Answer::Coming(coming) => coming,
            Answer::Known(_) => panic!("nothing is known here"),
        }
    }

    fn page(task: Option<Task>) -> Option<u64> {
        match task? {
            Task::Answer(asked) => asked.page(),
            Task::Ahead(ahead) => Some(ahead.position),
        }
    }

    #[test]
    fn page_is_read_by_one_thread_at_a_time() {
        let readers = Readers::default();
        let _waiting = [ask(&readers, 0), ask(&readers, 0), ask(&readers, 9)];
        let next = || page(readers.lock().next());
        assert_eq!((next(), next(), next()), (Some(1), Some(10), None));
        readers.read_ahead(Ahead { position: 1, more: 0 });
        assert_eq!(next(), None, "it is being read");
        readers.done_with(1);
        assert_eq!(next(), Some(1), "it is at hand now");
    }

    #[test]
    fn question_for_a_page_that_is_read_ahead_waits_for_it() {
        let readers = Readers::default();
        let next = || page(readers.lock().next());
        for position in [5, 5, 7] {
            readers.read_ahead(Ahead { position, more: 0 });
        }
        assert_eq!(next(), Some(5));
        let waiting = ask(&readers, 4);
        assert_eq!(next(), Some(7), "the question waits, and 5 was said once");
        drop(waiting);
        readers.done_with(5);
        assert_eq!(next(), None, "its reader is gone");
    }

    #[test]
    fn pages_that_are_read_ahead_are_bounded() {
        let readers = Readers::default();
        (0..100).for_each(|position| readers.read_ahead(Ahead { position, more: 1 }));
        let next = || page(readers.lock().next());
        assert_eq!(std::iter::from_fn(next).count(), MAX_AHEAD);
    }
}
