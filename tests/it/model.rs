//! The hub against a list: whatever connections and listeners do, every listener reads what its
//! start and its filter say, in order, once, or is told what it lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use proptest::prelude::*;
use wstap::event::{Body, Connect, Direction, EventId, Gap, Kind, Message, Opcode};
use wstap::filter::Filter;
use wstap::hub::{
    About, Connection, Delivery, Ending, Hub, Order, Range, Retention, Scanned, Settings, Start,
    Subscription,
};

#[derive(Debug, Clone)]
enum Act {
    Connect(u8),
    Publish(u8),
    End(u8),
    Listen(From, Option<Kind>),
    Read(u8),
    Leave(u8),
    /// Lets the pump have its turn.
    Yield,
}

#[derive(Debug, Clone)]
enum From {
    Now,
    Oldest,
    Last(usize),
    /// After the event at this part of all that have been.
    After(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop::option::of(prop::sample::select(Kind::ALL.to_vec()));
    let from = prop_oneof![
        Just(From::Now),
        Just(From::Oldest),
        (0usize..8).prop_map(From::Last),
        any::<u8>().prop_map(From::After)
    ];
    prop_oneof![
        2 => (0u8..3).prop_map(Act::Connect),
        8 => (0u8..3).prop_map(Act::Publish),
        1 => (0u8..3).prop_map(Act::End),
        2 => (from, kind).prop_map(|(from, kind)| Act::Listen(from, kind)),
        6 => (0u8..4).prop_map(Act::Read),
        1 => (0u8..4).prop_map(Act::Leave),
        4 => Just(Act::Yield),
    ]
}

/// What the model knows of a listener: which events it has yet to read.
struct Reader {
    subscription: Subscription,
    kind: Option<Kind>,
    /// Ordinal of the last event that it has read or been told the loss of.
    seen: u64,
}

/// Whether a task was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

impl Reader {
    /// Reads all there is, and holds it against the list. It reads out of the runtime, where a reader
    /// that yields is woken at once, and tokio's budget of a task ends no poll.
    fn read(&mut self, list: &[(u64, Kind)]) {
        std::thread::scope(|scope| scope.spawn(|| self.read_all(list)).join().expect("no panic"));
    }

    fn read_all(&mut self, list: &[(u64, Kind)]) {
        loop {
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let ready = self.subscription.poll_next(&mut Context::from_waker(&waker));
            let expected = |from: u64, to: u64| -> Vec<u64> {
                let wanted = list.iter().filter(|(ordinal, kind)| {
                    *ordinal > from && *ordinal <= to && self.wants(*kind)
                });
                wanted.map(|(ordinal, _)| *ordinal).collect()
            };
            match ready {
                Poll::Ready(Some(Delivery::Events(selection))) => {
                    let read: Vec<u64> =
                        selection.positioned().map(|(position, _)| position).collect();
                    let newest = *read.last().expect("a selection has an event");
                    assert_eq!(read, expected(self.seen, newest), "after {}", self.seen);
                    self.seen = newest;
                }
                Poll::Ready(Some(Delivery::Gap(Gap { missed, .. }))) => {
                    assert!(self.kind.is_none() || missed.is_none());
                    self.seen += missed.unwrap_or(0);
                    if missed.is_none() && self.kind.is_some() {
                        // A filtered listener is not told how many; what follows is in order.
                        self.seen = self.seen.max(before_oldest(list));
                    }
                }
                Poll::Ready(Some(Delivery::Pulse(_))) => {}
                Poll::Ready(None) => panic!("nobody has ended it"),
                // It has stopped for others to have their turn.
                Poll::Pending if woken.0.load(Relaxed) => {}
                Poll::Pending => return,
            }
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|own| own == kind)
    }
}

/// Returns the ordinal before the oldest event that is kept.
fn before_oldest(list: &[(u64, Kind)]) -> u64 {
    (list.len() as u64).saturating_sub(HISTORY as u64)
}

const HISTORY: usize = 12;

fn about() -> About {
    About { remote: ([127, 0, 0, 1], 1).into(), form: "plain", query: String::new() }
}

fn connect() -> Connect {
    Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
        user: None,
    }
}

fn message() -> Message {
    Message::new(Direction::In, Opcode::Binary, 0, Body::Binary(Box::default()))
}

/// A hub, and the list that says what it should do.
struct Play {
    hub: Hub,
    list: Vec<(u64, Kind)>,
    /// Ids of the events, as far as they are known; the first is that of ordinal 1.
    ids: Vec<EventId>,
    connections: HashMap<u8, Connection>,
    readers: Vec<Reader>,
}

impl Play {
    fn note(&mut self, kind: Kind) {
        self.list.push((self.list.len() as u64 + 1, kind));
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Connect(n) => self.connect(n),
            Act::Publish(n) => {
                if let Some(connection) = self.connections.get(&n) {
                    connection.publish(message()).expect("it is registered");
                    self.note(Kind::Message);
                }
            }
            Act::End(n) => {
                if let Some(connection) = self.connections.remove(&n) {
                    connection.end(Ending::lost("test"));
                    self.note(Kind::Close);
                }
            }
            Act::Listen(from, kind) => self.listen(&from, kind),
            Act::Read(n) => {
                let count = self.readers.len();
                if let Some(reader) = self.readers.get_mut(usize::from(n) % count.max(1)) {
                    reader.read(&self.list);
                }
            }
            Act::Leave(n) if !self.readers.is_empty() => {
                let count = self.readers.len();
                self.readers.swap_remove(usize::from(n) % count);
            }
            Act::Leave(_) => {}
            Act::Yield => a_turn_of_the_pump().await,
        }
        self.learn_ids();
    }

    fn connect(&mut self, n: u8) {
        let id = n.to_string().parse().expect("an id");
        let (connection, _orders) = self.hub.connect(id, connect()).expect("there is room");
        // The end of one that is replaced is told before its successor; dropping it tells nothing.
        if self.connections.insert(n, connection).is_some() {
            self.note(Kind::Close);
        }
        self.note(Kind::Connect);
    }

    fn listen(&mut self, from: &From, kind: Option<Kind>) {
        let (head, oldest) = (self.list.len() as u64, before_oldest(&self.list));
        let (start, seen) = match from {
            From::Now => (Start::Now, head),
            From::Oldest => (Start::Oldest, oldest),
            From::Last(count) => {
                let kept = self.list.iter().rev().take(HISTORY);
                let wanted = kept.filter(|(_, k)| kind.is_none_or(|kind| kind == *k));
                let first = wanted.take(*count).last().map_or(head, |(ordinal, _)| ordinal - 1);
                (Start::Last(*count), first)
            }
            From::After(part) => {
                let at = usize::from(*part) * self.ids.len() / 256;
                match self.ids.get(at) {
                    Some(id) => (Start::After(*id), (at as u64 + 1).max(oldest)),
                    None => (Start::Now, head),
                }
            }
        };
        // Both ways to say the same, in turn.
        let filter = match kind {
            Some(kind) if self.readers.len() % 2 == 1 => {
                let expression = self.hub.expression(&format!("kind == \"{}\"", kind.as_str()));
                Filter { expression: Some(expression.expect("right")), ..Filter::default() }
            }
            kind => Filter { kinds: kind.into_iter().collect(), ..Filter::default() },
        };
        let subscription = self.hub.subscribe(start, filter, about());
        let subscription = subscription.expect("there is room");
        self.readers.push(Reader { subscription, kind, seen });
    }

    /// Notes the ids of what was published since the last time: one event, or two.
    fn learn_ids(&mut self) {
        let start = Start::Last(2);
        let range = Range { start, until: None, limit: usize::MAX, order: Order::Ascending };
        for page in self.hub.scan(range, Filter::default()) {
            let Scanned::Events(events) = page else { panic!("nothing goes while it is read") };
            for event in events {
                if self.ids.last().is_none_or(|last| event.id > *last) {
                    self.ids.push(event.id);
                }
            }
        }
    }
}

async fn a_turn_of_the_pump() {
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}

async fn play(acts: Vec<Act>) {
    let history = Retention { events: HISTORY, ..Settings::default().history };
    let hub = Hub::new(Settings { history, ..Settings::default() });
    let (connections, readers) = (HashMap::new(), Vec::new());
    let mut play = Play { hub, list: Vec::new(), ids: Vec::new(), connections, readers };
    for act in acts {
        play.act(act).await;
    }
    a_turn_of_the_pump().await;
    for reader in &mut play.readers {
        reader.read(&play.list);
        let unread = |(ordinal, kind): &&(u64, Kind)| *ordinal > reader.seen && reader.wants(*kind);
        let unread = play.list.iter().filter(unread).count();
        assert_eq!(unread, 0, "everything is read or told as lost");
    }
    assert_eq!(play.hub.head().1, play.list.len() as u64);
    assert_eq!(play.ids.len(), play.list.len());
    assert!(play.ids.windows(2).all(|pair| pair[0] < pair[1]), "ids strictly increase");
    drop((play.connections, play.readers));
    play.hub.shutdown(std::time::Duration::from_secs(1)).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_listener_reads_what_the_list_says(acts in prop::collection::vec(act(), 1..120)) {
        run(play(acts));
    }
}

#[test]
fn many_listeners_read_many_segments() {
    let listen = (0..12).map(|_| Act::Listen(From::Now, None));
    run(play(listen.chain((0..24).map(|_| Act::Connect(0))).collect()));
}

fn run(play: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(play);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_publishers_and_listeners_agree_on_one_order() {
    let hub = Hub::new(Settings::default());
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut subscription =
            hub.subscribe(Start::Now, Filter::default(), about()).expect("there is room");
        readers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            while ids.len() < 8 * 501 {
                match subscription.next().await {
                    Some(Delivery::Events(selection)) => {
                        ids.extend(selection.events().map(|event| event.id));
                    }
                    Some(Delivery::Gap(gap)) => panic!("{gap:?}"),
                    Some(Delivery::Pulse(_)) | None => {}
                }
            }
            ids
        }));
    }
    let mut publishers = Vec::new();
    for n in 0..8 {
        let (connection, orders) =
            hub.connect(n.to_string().parse().expect("an id"), connect()).expect("there is room");
        publishers.push(tokio::spawn(async move {
            for n in 0..500 {
                connection.publish(message()).expect("it is registered");
                if n % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            // Ends after all have read, so that no close comes between.
            (connection, orders)
        }));
    }
    let mut orders = Vec::new();
    for reader in readers {
        orders.push(reader.await.expect("no panic"));
    }
    assert!(orders[0].windows(2).all(|pair| pair[0] < pair[1]), "ids strictly increase");
    assert!(orders.iter().all(|order| *order == orders[0]));
}
