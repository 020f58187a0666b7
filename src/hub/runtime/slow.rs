//! Clients that did not keep up and are to be closed.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::hub::connections::handle::ConnectionHandle;
use crate::hub::settings::SlowClient;

/// The list of them. Its lock is a leaf.
#[derive(Debug)]
pub(in crate::hub) struct SlowClients {
    closes: AtomicBool,
    any: AtomicBool,
    handles: Mutex<Vec<Arc<ConnectionHandle>>>,
}

impl SlowClients {
    pub(in crate::hub) fn new(policy: SlowClient) -> Self {
        let closes = AtomicBool::new(policy == SlowClient::Close);
        Self { closes, any: AtomicBool::new(false), handles: Mutex::default() }
    }

    pub(in crate::hub) fn set_policy(&self, policy: SlowClient) {
        self.closes.store(policy == SlowClient::Close, Release);
    }

    /// Notes that a client did not keep up, if such clients are to be closed.
    pub(in crate::hub) fn note(&self, handle: &Arc<ConnectionHandle>) {
        if self.closes.load(Acquire) {
            self.lock().push(Arc::clone(handle));
            self.any.store(true, Release);
        }
    }

    /// Returns whether there are some. Asked after every publication.
    pub(in crate::hub) fn is_noted(&self) -> bool {
        self.any.load(Acquire)
    }

    /// Takes all of them.
    pub(in crate::hub) fn take(&self) -> Vec<Arc<ConnectionHandle>> {
        if !self.any.swap(false, AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ConnectionHandle>>> {
        self.handles.lock().expect("nothing panics while it holds this lock")
    }
}
