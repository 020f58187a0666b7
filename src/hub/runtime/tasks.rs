//! The tasks of a hub. They end with its shutdown, and hold no lock across an await.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::shared::Shared;
use crate::auth::Authority;
use crate::code::Code;
use crate::event::ClosedBy;
use crate::hub::channels::fanout::Lane;
use crate::hub::channels::outbox::PIECE;
use crate::hub::clock::{ClockWatch, now_ms};
use crate::hub::connections::handle::{CloseRequest, Ending};
use crate::hub::listeners::listener::Signal;

/// Starts the tasks of a hub.
pub(in crate::hub) fn start(shared: &Arc<Shared>) {
    shared.tasks.spawn(pump(Arc::clone(shared)));
    shared.tasks.spawn(heartbeat(Arc::clone(shared)));
    shared.tasks.spawn(deliver(Arc::clone(shared)));
    if let Some(authority) = shared.settings().authority.clone() {
        shared.tasks.spawn(withdraw(Arc::clone(shared), authority));
    }
    let (turns, stopped) = (Arc::clone(&shared.turns), shared.stopped.clone());
    shared.tasks.spawn(async move { turns.run(stopped).await });
}

/// Sends what was published, a segment at a time.
async fn pump(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.wake.notified() => {}
            () = shared.stopped.cancelled() => return,
        }
        // Whoever has published may have sent it itself.
        if !shared.is_pending() {
            continue;
        }
        // Publishers that are ready run first: under load that makes one segment of what they have.
        tokio::task::yield_now().await;
        shared.flush();
        // While the log is behind, it wakes the pump.
        if !shared.inbox.is_empty() && !shared.is_log_behind() {
            shared.wake.notify_one();
        }
    }
}

/// The clock of heartbeats, of history that gets too old, and of tokens that expire.
async fn heartbeat(shared: Arc<Shared>) {
    let period = shared.settings().heartbeat;
    let mut clock = interval_at(Instant::now() + period, period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = ClockWatch::default();
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = shared.stopped.cancelled() => return,
        }
        let (now, (_, newest)) = (now_ms(), shared.sequence().order.head());
        // A recording has events of any time.
        if !shared.settings().recording
            && let Some(change) = watch.look(newest, now)
        {
            change.log();
        }
        shared.store.evict(now);
        shared.renew_due().await;
        shared.signal(Signal::Pulse);
    }
}

/// Asks for tokens again whenever they may have been withdrawn.
async fn withdraw(shared: Arc<Shared>, authority: Arc<dyn Authority>) {
    let mut next = authority.change();
    while let Some(change) = next {
        if shared.stopped.run_until_cancelled(change).await.is_none() {
            return;
        }
        // What changes from here on is seen by the next round.
        next = authority.change();
        shared.renew_all().await;
    }
}

/// Delivers what publishers have left in outboxes, a piece of each in turn, and closes clients that
/// do not keep up. The members of a piece run, and write, before the next piece is delivered.
async fn deliver(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.lanes_wake.notified() => {}
            () = shared.stopped.cancelled() => return,
        }
        while let Some(lane) = shared.next_lane() {
            if let Lane::Channel(outbox) = &lane
                && outbox.is_due(now_ms())
            {
                shared.renew(outbox).await;
            }
            if lane.drain(&shared.courier(true), PIECE) {
                shared.schedule(lane);
            }
            close_slow(&shared);
            tokio::task::yield_now().await;
        }
        close_slow(&shared);
    }
}

/// Closes the clients that do not keep up. Their `close` is published now, since the session of a
/// client that reads nothing may hang in a write. The lock is taken for each anew.
fn close_slow(shared: &Shared) {
    for handle in shared.slow.take() {
        let code = Code::SlowDown.close();
        let reason = "it does not keep up with its channels".to_owned();
        handle.request_close(CloseRequest { code, reason: reason.clone() });
        let ending = Ending { code, reason, clean: false, by: ClosedBy::Tap, wire: None };
        shared.end(&handle, ending);
    }
}
