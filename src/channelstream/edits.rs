//! Edited frames, shared by all connections in which the same message waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use super::shape;

/// Results that are remembered. The connections of a channel take an edit within moments of each
/// other, so that few edits are in progress at one time.
const REMEMBERED: usize = 64;

/// The results of edits. Without it, an edit of one waiting message would copy the message for every
/// connection.
#[derive(Debug, Default)]
pub(super) struct Edits(Mutex<VecDeque<Edited>>);

#[derive(Debug)]
struct Edited {
    frame: Weak<str>,
    edit: Weak<str>,
    result: Weak<str>,
}

impl Edits {
    /// Returns a frame with the changes of an edit. The same two texts give the same result as long
    /// as a connection holds it.
    pub(super) fn apply(&self, frame: &Arc<str>, edit: &Arc<str>) -> Arc<str> {
        let mut known = self.0.lock().expect("nothing panics while it holds this lock");
        let is =
            |weak: &Weak<str>, text: &Arc<str>| std::ptr::addr_eq(weak.as_ptr(), Arc::as_ptr(text));
        let found = known.iter().find(|it| is(&it.frame, frame) && is(&it.edit, edit));
        if let Some(result) = found.and_then(|it| it.result.upgrade()) {
            return result;
        }
        let result: Arc<str> = shape::edited(frame, edit).into();
        // A text stays allocated while a weak reference to it exists.
        known.retain(|it| it.result.strong_count() > 0);
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back(Edited {
            frame: Arc::downgrade(frame),
            edit: Arc::downgrade(edit),
            result: Arc::downgrade(&result),
        });
        result
    }

    /// Drops results that no connection holds any more.
    pub(super) fn forget(&self) {
        let mut known = self.0.lock().expect("nothing panics while it holds this lock");
        known.retain(|it| it.result.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_of_a_shared_frame_is_shared() {
        let edits = Edits::default();
        let frame: Arc<str> = r#"{"type":"message","uuid":"1","message":"long"}"#.into();
        let edit: Arc<str> = r#"{"type":"message:edit","uuid":"1","message":"x"}"#.into();
        let first = edits.apply(&frame, &edit);
        assert!(first.contains("\"x\"") && !first.contains("long"), "{first}");
        assert!((0..1000).all(|_| Arc::ptr_eq(&edits.apply(&frame, &edit), &first)));
        let other: Arc<str> = r#"{"type":"message:edit","uuid":"1","message":"y"}"#.into();
        let second = edits.apply(&first, &other);
        assert!(second.contains("\"y\""));
        drop((first, second));
        edits.forget();
        assert!(edits.0.lock().expect("no panic").is_empty());
    }
}
