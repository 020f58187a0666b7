//! The hub by its library API, under commands that used to hold up everybody.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use wstap::auth::{Authority, Denied, Grant, Pattern};
use wstap::event::{
    Body, Connect, ConnectionId, Direction, Event, EventBody, EventId, Kind, Message, Opcode,
};
use wstap::filter::Filter;
use wstap::hub::{
    About, ChannelRules, Connection, Credential, Declared, Delivery, Ending, Hub, Mailbox,
    NotAllowed, Outgoing, Publication, Settings, SlowClient, Start, Subscription,
};
use wstap::json::Json;

use crate::harness::{until, within};

fn connect() -> Connect {
    Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
        user: None,
    }
}

fn open(hub: &Hub, id: &str) -> (Connection, Mailbox) {
    hub.connect(id.parse().expect("an id"), connect()).expect("there is room")
}

fn listen(hub: &Hub, start: Start, filter: Filter) -> Subscription {
    let about = About { remote: ([127, 0, 0, 1], 1).into(), form: "plain", query: String::new() };
    hub.subscribe(start, filter, about).expect("there is room")
}

fn message(size: usize) -> Message {
    let body = Body::Binary(vec![0; size].into());
    Message::new(Direction::In, Opcode::Binary, size, body)
}

fn publication(channel: &str) -> Publication {
    let body = Body::Value(Json::string("x"));
    Publication::new(channel.parse().expect("a channel"), Opcode::Text, 1, body)
}

/// Returns how many messages wait in a mailbox.
fn waiting(mailbox: &mut Mailbox) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Poll::Ready(Some((_, outgoing))) = mailbox.queue.poll_next(&mut cx) {
        count += usize::from(matches!(outgoing, Outgoing::Delivered(_)));
    }
    count
}

/// Reads events until one is of a kind.
async fn read_until(subscription: &mut Subscription, last: Kind) -> Vec<Kind> {
    let mut kinds = Vec::new();
    within("the events", async {
        while kinds.last() != Some(&last) {
            match subscription.next().await {
                Some(Delivery::Events(selection)) => {
                    kinds.extend(selection.events().map(|event| event.kind()));
                }
                Some(Delivery::Gap(gap)) => panic!("{gap:?}"),
                Some(Delivery::Pulse(_)) => {}
                None => panic!("the stream has ended"),
            }
        }
    })
    .await;
    kinds
}

#[tokio::test]
async fn a_burst_into_an_empty_inbox_is_published_without_another_event() {
    let hub = Hub::new(Settings { heartbeat: Duration::from_hours(1), ..Settings::default() });
    let mut subscription = listen(&hub, Start::Now, Filter::default());
    let (connection, _mailbox) = hub.connect_with_generated_id(None, connect()).expect("room");
    assert_eq!(read_until(&mut subscription, Kind::Connect).await, [Kind::Connect]);
    // Others hold the locks of the hub all the time, so that the offer cannot publish by itself.
    let over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let (hub, over) = (hub.clone(), Arc::clone(&over));
            std::thread::spawn(move || {
                while !over.load(Relaxed) {
                    let _ = hub.event(EventId::default());
                }
            })
        })
        .collect();
    for _ in 0..50 {
        let mut drafts: Vec<_> = (0..9000).map(|_| connection.draft(message(1))).collect();
        connection.offer(&mut drafts);
        let mut read = 0;
        within("the burst", async {
            while read < 9000 {
                if let Some(Delivery::Events(selection)) = subscription.next().await {
                    read += selection.len();
                }
            }
        })
        .await;
        assert_eq!(read, 9000);
    }
    over.store(true, Relaxed);
    for thread in busy {
        thread.join().expect("it ends");
    }
}

#[tokio::test]
async fn a_publisher_delivers_to_a_few_members_and_leaves_the_rest_to_the_hub() {
    const MEMBERS: usize = 2000;
    let hub = Hub::new(Settings::default());
    let mut members: Vec<_> = (0..MEMBERS).map(|n| open(&hub, &format!("member-{n}"))).collect();
    for (member, _) in &members {
        member.join(&["x".parse().expect("a channel")], Credential::None, 0).expect("public");
    }
    // Without an await the tasks of the hub have no turn: what is delivered, `publish` has done.
    let id = hub.publish(publication("x")).expect("published");
    assert_eq!(hub.head().0, Some(id));
    let at_once: usize = members.iter_mut().map(|(_, mailbox)| waiting(mailbox)).sum();
    assert!(at_once < MEMBERS / 10, "{at_once} deliveries by the publisher");
    let mut all = at_once;
    while all < MEMBERS {
        tokio::task::yield_now().await;
        all += members.iter_mut().map(|(_, mailbox)| waiting(mailbox)).sum::<usize>();
    }
    assert_eq!(all, MEMBERS);
}

#[tokio::test]
async fn members_get_messages_in_the_order_of_the_stream_from_many_publishers() {
    const PUBLISHERS: usize = 8;
    const EACH: usize = 15;
    let hub = Hub::new(Settings::default());
    let channel = "x".parse().expect("a channel");
    let mut members: Vec<_> = (0..200).map(|n| open(&hub, &format!("m{n}"))).collect();
    for (member, _) in &members {
        member.join(std::slice::from_ref(&channel), Credential::None, 0).expect("public");
    }
    let threads: Vec<_> = (0..PUBLISHERS)
        .map(|_| {
            let hub = hub.clone();
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    hub.publish(publication("x")).expect("published");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it ends");
    }
    for (_, mailbox) in &mut members {
        let mut ids: Vec<EventId> = Vec::new();
        within("all messages", async {
            while ids.len() < PUBLISHERS * EACH {
                match mailbox.queue.next().await {
                    Some((_, Outgoing::Delivered(delivered))) => ids.push(delivered.event.id),
                    other => panic!("{other:?}"),
                }
            }
        })
        .await;
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    }
}

/// Takes the name of a user for a token, and counts how often it is asked.
#[derive(Debug, Default)]
struct Named {
    asked: AtomicUsize,
    /// Tokens are valid until this, in seconds since 1970.
    until: Mutex<Option<u64>>,
}

impl Authority for Named {
    fn grant(&self, token: &str, _now: u64) -> Result<Grant, Denied> {
        self.asked.fetch_add(1, Relaxed);
        let user = token.parse().map_err(|_| Denied("no user".to_owned()))?;
        let expires = *self.until.lock().expect("it is not poisoned");
        let publish = vec![Pattern::all()];
        Ok(Grant { expires, publish, ..Grant::of(user) })
    }
}

fn private(authority: &Arc<Named>) -> Settings {
    let rules = ChannelRules { private: true, ..ChannelRules::default() };
    let name = "private/*".parse().expect("a pattern");
    let authority: Arc<dyn Authority> = Arc::clone(authority) as _;
    let channels = vec![Declared { name, rules }];
    Settings { channels, authority: Some(authority), ..Settings::default() }
}

fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

#[tokio::test]
async fn a_user_named_by_a_token_gets_direct_messages_while_the_token_is_valid() {
    let authority = Arc::new(Named::default());
    let hub = Hub::new(private(&authority));
    let (a, mut mailbox) = open(&hub, "a");
    let to_ann = || Publication {
        channel: None,
        to: vec!["ann".parse().expect("a user")],
        ..publication("x")
    };
    let channel = ["private/x".parse().expect("a channel")];
    a.join(&channel, Credential::Token("ann"), 0).expect("granted");
    hub.publish(to_ann()).expect("published");
    assert_eq!(waiting(&mut mailbox), 1);
    // A second token names another user from then on.
    a.join(&channel, Credential::Token("bob"), 0).expect("granted");
    hub.publish(to_ann()).expect("published");
    assert_eq!(waiting(&mut mailbox), 0);
    *authority.until.lock().expect("it is not poisoned") = Some(now() + 1);
    a.join(&channel, Credential::Token("ann"), 0).expect("granted");
    hub.publish(to_ann()).expect("published");
    assert_eq!(waiting(&mut mailbox), 1);
    until("the token has expired", || hub.connections()[0].user().is_none()).await;
    hub.publish(to_ann()).expect("published");
    assert_eq!(waiting(&mut mailbox), 0);
}

#[tokio::test]
async fn a_publisher_does_not_verify_the_expired_tokens_of_others() {
    const MEMBERS: usize = 300;
    let authority = Arc::new(Named::default());
    let hub = Hub::new(private(&authority));
    let channel = ["private/x".parse().expect("a channel")];
    *authority.until.lock().expect("it is not poisoned") = Some(now() + 1);
    let mut members: Vec<_> = (0..MEMBERS).map(|n| open(&hub, &format!("m{n}"))).collect();
    for (n, (member, _)) in members.iter().enumerate() {
        let token = format!("user-{n}");
        member.join(&channel, Credential::Token(&token), 0).expect("granted");
    }
    until("the tokens have expired", || {
        hub.connections().iter().all(|handle| handle.user().is_none())
    })
    .await;
    *authority.until.lock().expect("it is not poisoned") = Some(now() + 600);
    let asked = authority.asked.load(Relaxed);
    for _ in 0..20 {
        members[0].0.publish_to(publication("private/x")).expect("it may publish");
    }
    let by_publisher = authority.asked.load(Relaxed) - asked;
    assert!(by_publisher <= 1, "the publisher has verified {by_publisher} tokens");
    let mut delivered = 0;
    within("every member gets every message", async {
        while delivered < 20 * MEMBERS {
            tokio::task::yield_now().await;
            delivered += members.iter_mut().map(|(_, mailbox)| waiting(mailbox)).sum::<usize>();
        }
    })
    .await;
    assert_eq!(delivered, 20 * MEMBERS);
    assert!(authority.asked.load(Relaxed) - asked <= MEMBERS + 1, "each is asked for once");
}

#[tokio::test]
async fn a_token_expires_in_its_time_whoever_has_left_before() {
    let authority = Arc::new(Named::default());
    let heartbeat = Duration::from_millis(20);
    let hub = Hub::new(Settings { heartbeat, ..private(&authority) });
    let channel = ["private/x".parse().expect("a channel")];
    let expires = |seconds| {
        *authority.until.lock().expect("it is not poisoned") = Some(now() + seconds);
    };
    let ((a, _a), (b, _b)) = (open(&hub, "a"), open(&hub, "b"));
    expires(1);
    a.join(&channel, Credential::Token("ann"), 0).expect("granted");
    expires(2);
    b.join(&channel, Credential::Token("bob"), 0).expect("granted");
    a.leave(&channel).expect("it may leave");
    assert_eq!(hub.members(&channel[0]), 1);
    until("the second token has expired", || hub.members(&channel[0]) == 0).await;
}

#[tokio::test]
async fn generated_ids_cannot_be_predicted_and_avoid_those_that_are_taken() {
    let hub = Hub::new(Settings::default());
    let ids: Vec<_> = (0..1000)
        .map(|_| hub.connect_with_generated_id(None, connect()).expect("room").0.id().clone())
        .collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    let low = |id: &ConnectionId| id.as_str().as_bytes()[4..].to_vec();
    let ascending = ids.windows(2).filter(|pair| low(&pair[0]) < low(&pair[1])).count();
    assert!((300..700).contains(&ascending), "{ascending} of 1000 follow the one before");
    let (_first, _mailbox) = open(&hub, "a");
    let wish = || Some("a".parse().expect("an id"));
    let (second, _mailbox) = hub.connect_with_generated_id(wish(), connect()).expect("room");
    let (third, _mailbox) = hub.connect_with_generated_id(wish(), connect()).expect("room");
    assert!(second.id().as_str().starts_with("a~") && second.id() != third.id());
}

#[tokio::test]
async fn nothing_follows_the_close_of_a_connection() {
    let hub = Hub::new(Settings::default());
    let (connection, _mailbox) = hub.connect_with_generated_id(None, connect()).expect("room");
    let mut subscription = listen(&hub, Start::Now, Filter::default());
    let connection = Arc::new(connection);
    let offering: Vec<_> = (0..2)
        .map(|_| {
            let connection = Arc::clone(&connection);
            std::thread::spawn(move || {
                for _ in 0..2000 {
                    connection.offer(&mut vec![connection.draft(message(1))]);
                }
            })
        })
        .collect();
    until("some were offered", || hub.head().1 > 10).await;
    connection.end(Ending::lost("it is over"));
    for thread in offering {
        thread.join().expect("it ends");
    }
    let (_other, _mailbox) = open(&hub, "after");
    let kinds = read_until(&mut subscription, Kind::Connect).await;
    let close = kinds.iter().position(|kind| *kind == Kind::Close).expect("a close");
    assert_eq!(kinds[close + 1..], [Kind::Connect], "nothing of it comes after its close");
}

#[tokio::test]
async fn reading_has_everything_that_relays_have_seen_before_it() {
    const MESSAGES: usize = 20_000;
    let hub = Hub::new(Settings { heartbeat: Duration::from_hours(1), ..Settings::default() });
    let (connection, _mailbox) = hub.connect_with_generated_id(None, connect()).expect("room");
    // The pump has no turn in between.
    connection.offer(&mut (0..MESSAGES).map(|_| connection.draft(message(1))).collect());
    let range = wstap::hub::Range {
        start: Start::Oldest,
        until: None,
        limit: usize::MAX,
        order: wstap::hub::Order::Ascending,
    };
    let read = hub.scan(range, Filter::default()).map(|scanned| match scanned {
        wstap::hub::Scanned::Events(events) => events.len(),
        wstap::hub::Scanned::Gap(gap) => panic!("{gap:?}"),
    });
    assert_eq!(read.sum::<usize>(), 1 + MESSAGES);
    hub.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_largest_sequence_number_is_followed_by_the_next_millisecond() {
    let hub = Hub::new(Settings { recording: true, ..Settings::default() });
    for (ms, seq) in [(10, u64::MAX), (10, u64::MAX), (u64::MAX, u64::MAX)] {
        let connection = "a".parse().expect("an id");
        let body = EventBody::Message(message(1));
        hub.restore(Event { id: EventId { ms, seq }, connection, handshake: None, body });
    }
    let range = wstap::hub::Range {
        start: Start::Oldest,
        until: None,
        limit: usize::MAX,
        order: wstap::hub::Order::Ascending,
    };
    let mut ids = Vec::new();
    for scanned in hub.scan(range, Filter::default()) {
        if let wstap::hub::Scanned::Events(events) = scanned {
            ids.extend(events.iter().map(|event| event.id));
        }
    }
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], EventId { ms: 10, seq: u64::MAX });
    assert_eq!(ids[1], EventId { ms: 11, seq: 0 });
    assert!(ids[1] < ids[2]);
}

#[tokio::test]
async fn a_connection_has_a_budget_of_moves_into_and_out_of_channels() {
    let hub = Hub::new(Settings::default());
    let (a, _mailbox) = open(&hub, "a");
    let channels: Vec<_> = (0..1000).map(|n| format!("c{n}").parse().expect("a channel")).collect();
    let mut events = 0;
    let refused = (0..50).find_map(|_| {
        let moved = a.join(&channels, Credential::None, 0).and_then(|_| {
            events += 1000;
            a.leave(&channels)
        });
        events += 1000;
        moved.err()
    });
    assert_eq!(refused, Some(NotAllowed::TooFast));
    assert!(events <= 20_000, "{events} events of one client");
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn a_costly_filter_over_a_long_history_lets_others_have_their_turn() {
    let hub = Hub::new(Settings::default());
    let (a, _mailbox) = open(&hub, "a");
    let text = "ab".repeat(2000);
    for _ in 0..2000 {
        let body = Body::Value(Json::string(&text));
        a.publish(Message::new(Direction::In, Opcode::Text, text.len(), body)).expect("live");
    }
    let expression = hub.expression("message.matches(\"a[ab]{40}c\")").expect("right");
    let filter = Filter { expression: Some(expression), ..Filter::default() };
    let mut subscription = listen(&hub, Start::Last(1), filter);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    // It selects nothing, so it is live when it waits without having been woken. Out of the runtime a
    // task that yields is woken at once.
    let search = || {
        let mut cx = Context::from_waker(&waker);
        let mut polls = 0;
        while subscription.poll_next(&mut cx).is_pending() && woken.0.swap(0, Relaxed) > 0 {
            polls += 1;
        }
        polls
    };
    let polls = std::thread::scope(|scope| scope.spawn(search).join().expect("no panic"));
    assert!(polls > 3, "the history was searched in {polls} polls");
}

#[tokio::test]
async fn slow_clients_of_a_channel_are_closed_one_after_another() {
    const MEMBERS: usize = 400;
    let hub = Hub::new(Settings { slow_client: SlowClient::Close, ..Settings::default() });
    let rules = ChannelRules { presence: true, ..ChannelRules::default() };
    let channel = "x".parse().expect("a channel");
    hub.configure(&channel, rules).expect("there is room");
    let members: Vec<_> = (0..MEMBERS).map(|n| open(&hub, &format!("m{n}"))).collect();
    for (member, _) in &members {
        member.join(std::slice::from_ref(&channel), Credential::None, 0).expect("public");
    }
    // No member reads, so the presence of the others and a few messages fill every queue.
    for _ in 0..300 {
        match hub.publish(publication("x")) {
            Ok(_) => {}
            Err(NotAllowed::Busy) => hub.room_in(&channel).await,
            Err(other) => panic!("{other}"),
        }
    }
    until("all are closed", || hub.connections().is_empty()).await;
}
