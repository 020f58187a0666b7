//! The parts in the path of a message, each alone: `cargo bench --bench hot`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tower::ServiceExt as _;
use wstap::access::Access;
use wstap::auth::{Authority, JwtKey};
use wstap::dialect;
use wstap::event::{Body, Connect, Direction, Draft, Event, EventBody, EventId, Message, Opcode};
use wstap::filter::{Expression, Filter, Reading};
use wstap::frame::{self, Boundaries, Deflate, Extensions, Reader, Seen, Side};
use wstap::hub::{About, Delivery, Hub, Settings, Start};
use wstap::redact::{Redaction, Rules};
use wstap::web::Web;
use wstap::wire::Form;

/// What a frame of a registered client says to those who listen.
fn said(text: &str, own: &wstap::event::ConnectionId) -> Body {
    match dialect::message(text, own).expect("accepted") {
        dialect::Parsed::Message(body) => body,
        _ => unreachable!("it is an event"),
    }
}

/// A frame of 256 bytes, as the fan-out benchmark sends them.
fn frame() -> String {
    let padding = "x".repeat(256 - r#"{"connectionId":"a","message":""}"#.len());
    format!(r#"{{"connectionId":"a","message":"{padding}"}}"#)
}

fn message() -> Message {
    let own = "a".parse().expect("an id");
    let body = said(&frame(), &own);
    Message::new(Direction::In, Opcode::Text, 256, body)
}

fn event() -> Event {
    let connection = "a".parse().expect("an id");
    let draft = Draft::new(connection, EventBody::Message(message()));
    draft.stamp(EventId { ms: 1_763_670_000_123, seq: 0 })
}

fn frame_to_event(c: &mut Criterion) {
    let (own, object) = ("a".parse().expect("an id"), frame());
    let (json, text) = (format!("[{object}]"), format!("no JSON: {object}"));
    let mut group = c.benchmark_group("frame to event");
    group.throughput(Throughput::Bytes(256));
    for (name, frame) in [("own object", &object), ("other JSON", &json), ("text", &text)] {
        group.bench_function(name, |b| b.iter(|| dialect::message(black_box(frame), &own)));
    }
    group.finish();
}

fn render(c: &mut Criterion) {
    let event = event();
    let mut out = Vec::with_capacity(1024);
    let mut group = c.benchmark_group("render");
    for (name, form) in [
        ("plain", Form::Plain { names: false }),
        ("full", Form::Full { names: false }),
        ("ndjson", Form::Ndjson),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                form.event(black_box(&event), &mut out);
            });
        });
    }
    let binary = Body::Binary(vec![7; 192].into());
    let message = Message::new(Direction::In, Opcode::Binary, 192, binary);
    let draft = Draft::new("a".parse().expect("an id"), EventBody::Message(message));
    let event = draft.stamp(EventId::default());
    group.bench_function("plain, binary", |b| {
        b.iter(|| {
            out.clear();
            Form::Plain { names: false }.event(black_box(&event), &mut out);
        });
    });
    group.finish();
}

fn publish(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let connect = || Connect {
        remote: ([127, 0, 0, 1], 1).into(),
        path: "/".to_owned(),
        headers: Vec::new(),
        answer: None,
        user: None,
    };
    let about =
        || About { remote: ([127, 0, 0, 1], 1).into(), form: "plain", query: String::new() };
    let mut group = c.benchmark_group("publish");
    let hub = Hub::new(Settings::default());
    let (connection, _orders) = hub.connect("a".parse().expect("an id"), connect()).expect("room");
    group.bench_function("nobody listens", |b| {
        b.iter_with_setup(message, |message| connection.publish(message));
    });
    for count in [1, 100] {
        let listen = || hub.subscribe(Start::Now, Filter::default(), about()).expect("room");
        let mut listeners: Vec<_> = (0..count).map(|_| listen()).collect();
        group.bench_function(format!("and read by {count}"), |b| {
            b.iter_with_setup(message, |message| {
                let id = connection.publish(message).expect("registered");
                runtime.block_on(async {
                    for listener in &mut listeners {
                        while !matches!(listener.next().await, Some(Delivery::Events(read)) if read.events().any(|e| e.id == id)) {}
                    }
                });
            });
        });
    }
    group.finish();
}

/// What a draft costs where something may be hidden: for messages that have nothing of it, and for
/// one that has.
fn redact(c: &mut Criterion) {
    let path = |path: &str| path.parse().expect("a path");
    let paths = || vec![path("message.password"), path("users[*].token"), path("**.secret")];
    let patterns = || vec!["secret-[0-9a-f]{8}".parse().expect("a pattern")];
    let rules = [
        ("off", Rules::default()),
        ("three paths", Rules { paths: paths(), ..Rules::default() }),
        ("a pattern", Rules { patterns: patterns(), ..Rules::default() }),
        ("defaults", Rules { defaults: true, ..Rules::default() }),
        ("all", Rules { paths: paths(), patterns: patterns(), defaults: true, ..Rules::default() }),
    ];
    let padded = |start: &str, end: &str| {
        let padding = "lorem ipsum ".repeat(22);
        format!("{start}{}{end}", &padding[..256 - start.len() - end.len()])
    };
    let members =
        r#"{"symbol":"ABC","price":100.5,"size":[1,2,3],"at":{"exchange":"X","sequence":123456},"#;
    let messages = [
        ("one string", padded(r#"{"message":""#, "\"}")),
        ("members", padded(&format!("{members}\"text\":\""), "\"}")),
        ("with escapes", padded(&format!("{members}\"text\":\"\\n"), "\"}")),
        ("a hit", padded(&format!("{members}\"secret\":\"secret-0123abcd\",\"text\":\""), "\"}")),
    ];
    let own = "a".parse().expect("an id");
    let mut group = c.benchmark_group("redact");
    group.throughput(Throughput::Bytes(256));
    for (name, rules) in rules {
        let redaction = Redaction::new(rules);
        for (what, text) in &messages {
            let json = wstap::json::Json::parse(text).expect("JSON");
            let message =
                || Message::new(Direction::In, Opcode::Text, 256, Body::Value(json.clone()));
            group.bench_function(format!("{name}, {what}"), |b| {
                b.iter_with_setup(message, |message| {
                    redaction.draft(black_box(&own), EventBody::Message(message))
                });
            });
        }
    }
    group.finish();
    let rules = Rules { paths: paths(), patterns: patterns(), defaults: true, ..Rules::default() };
    let redaction = Redaction::new(rules);
    let mut group = c.benchmark_group("redact, a hostile MiB");
    group.sample_size(10).throughput(Throughput::Bytes(1 << 20));
    for (name, part) in [
        ("quotes", "\""),
        ("keys", "\"secret\":"),
        ("open strings", "password=\""),
        ("tokens", "eyJaaaaaa.bbbbbb."),
        ("digits", "4 "),
        ("cards", "4111 1111 1111 1111 "),
    ] {
        let json = wstap::json::Json::string(&part.repeat((1 << 19) / part.len()));
        let message = || Message::new(Direction::In, Opcode::Text, 256, Body::Value(json.clone()));
        group.bench_function(name, |b| {
            b.iter_with_setup(message, |message| {
                redaction.draft(black_box(&own), EventBody::Message(message))
            });
        });
    }
    group.finish();
}

fn filter(c: &mut Criterion) {
    let event = event();
    let filter = Filter {
        connections: ["b", "a"].map(|id| id.parse().expect("an id")).into(),
        kinds: [wstap::event::Kind::Message].into_iter().collect(),
        directions: [Direction::In].into_iter().collect(),
        channels: std::collections::HashSet::new(),
        ..Filter::default()
    };
    let mut group = c.benchmark_group("filter");
    group.bench_function("by fields", |b| {
        b.iter(|| black_box(&filter).selects(black_box(&event)));
    });
    let event = order();
    let body = Reading::of(&event);
    group.bench_function("read a body", |b| b.iter(|| Reading::of(black_box(&event))));
    for (name, source) in [
        ("no body", "kind == \"message\" && size > 100"),
        ("simple", "message.price > 100.0"),
        (
            "three conditions",
            "kind == \"message\" && message.price > 100.0 && message.side in [\"buy\", \"sell\"]",
        ),
        ("exists", "message.items.exists(i, i.amount > 2 && i.name == \"z\")"),
        ("contains", "text(message).contains(\"needle\")"),
        ("matches", "message.note.matches(\"^[a-z]+ [0-9]{4}$\")"),
    ] {
        let expression = Expression::parse(source).expect("right");
        group.bench_function(format!("{name}, parsed"), |b| {
            b.iter(|| expression.holds_with(black_box(&event), &body));
        });
        group.bench_function(format!("{name}, with the parse"), |b| {
            b.iter(|| expression.holds(black_box(&event)));
        });
        group.bench_function(format!("{name}, compiled"), |b| {
            b.iter(|| Expression::parse(black_box(source)));
        });
    }
    for (name, source) in [
        ("brackets", "(".repeat(1024)),
        ("a chain", format!("1{}==1", "+1".repeat(500))),
        ("a costly macro", format!("message.exists(x,{})", vec!["x==1"; 100].join("||"))),
        ("a huge pattern", "kind.matches('((a{50}){50}){50}')".to_owned()),
        ("classes", format!("kind.matches('{}')", "[^\u{1f600}]{99}".repeat(50))),
        ("five patterns", ["kind.matches('[^ä]{50}.{9}')"; 5].join("||")),
        ("a long text", "x".repeat(1 << 20)),
    ] {
        assert!(Expression::parse(&source).is_err(), "{name}");
        group.bench_function(format!("hostile: {name}"), |b| {
            b.iter(|| Expression::parse(black_box(&source)));
        });
    }
    group.finish();
}

/// An expression and the message that it takes longest at: name, JSON, expression.
type Dear = (&'static str, String, String);

/// Members of an object: `"k0":0,"k1":1` and so on.
fn entries(name: &str, count: usize) -> String {
    (0..count).map(|n| format!("\"{name}{n}\":{n}")).collect::<Vec<_>>().join(",")
}

fn numbers(count: usize) -> String {
    (0..count).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
}

/// Random letters, of which a pattern such as `a[ab]{60}c` makes a new state at each.
fn letters(count: usize) -> String {
    let mut random = 12_345_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if random >> 63 == 0 { 'a' } else { 'b' }
    };
    (0..count).map(|_| next()).collect()
}

fn strings() -> String {
    let all = letters(975_000);
    let strings: Vec<_> =
        (0..1000).map(|n| format!("\"{}\"", &all[975 * n..975 * (n + 1)])).collect();
    format!("[{}]", strings.join(","))
}

fn dear_texts() -> Vec<Dear> {
    let with = |text: &str| format!("{{\"l\":[{}],\"t\":\"{text}\"}}", numbers(2000));
    let (long, pairs) = ("x".repeat(60_000), "ab".repeat(300_000));
    let needle = format!("message.l.exists(i, message.t.contains('{}b'))", "ab".repeat(60));
    let each = |condition: &str| format!("message.l.exists(i, {condition})");
    let two = format!("{},\"u\":\"{pairs}\"}}", with(&pairs).trim_end_matches('}'));
    let many_states = "message.matches('a[ab]{60}c')".to_owned();
    let many_words = "message.matches('(?i)(a|b|error|panic)[a-z ]{0,40}x')".to_owned();
    vec![
        ("strings, many states", strings(), "message.exists(i, i.matches('a[ab]{60}c'))".into()),
        ("many states", format!("\"{}\"", letters(9000)), many_states),
        ("many words", format!("\"{}\"", letters(3000)), many_words),
        ("strings, a small pattern", strings(), "message.exists(i, i.matches('^(a|b)+c'))".into()),
        ("a small pattern", with(&long), each("message.t.matches('(x+x+)+y')")),
        ("contains", with(&pairs), needle),
        ("strings, contains", strings(), "message.exists(i, i.contains('c'))".into()),
        ("joined", with(&long[..30_000]), each("(message.t + message.t).endsWith('y')")),
        ("upper case", with(&long), each("message.t.upperAscii() == 'y'")),
        ("size of a text", with(&long), each("message.t.size() == 1")),
        ("order of texts", two, each("message.t < message.u")),
        ("strings as text", strings(), "message.exists(i, text(message) == 'y')".into()),
        (
            "escapes as text",
            format!("\"{}\"", "\\u0001".repeat(100_000)),
            "text([message]) == 'y'".into(),
        ),
    ]
}

fn dear_collections() -> Vec<Dear> {
    let with = |entries: String| format!("{{\"l\":[{}],\"m\":{{{entries}}}}}", numbers(2000));
    let long = "k".repeat(200);
    let maps = format!("[{}]", vec![format!("{{{}}}", entries("k", 20)); 3000].join(","));
    let list = format!("[{}]", numbers(100_000));
    let each = |condition: &str| format!("message.l.exists(i, {condition})");
    let many = (0..11).map(|n| format!("i.t=={n}")).collect::<Vec<_>>().join("||");
    vec![
        ("a key", with(entries("k", 40_000)), each("message.m.k39999 == -1")),
        ("a long key", with(entries(&long, 2000)), each(&format!("message.m.{long}1999 == -1"))),
        ("size of a map", with(entries("k", 20_000)), each("size(message.m) == 1")),
        ("long keys sorted", with(entries(&long, 2000)), each("size(message.m) == 1")),
        ("equal maps", maps.clone(), "message.exists(i, i == message[2999] && false)".into()),
        ("an item", list.clone(), "message.exists(i, message[99999] == i)".into()),
        ("in a list", list.clone(), "message.exists(i, -1 in message)".into()),
        ("equal lists", list.clone(), "message.exists(i, message == message && false)".into()),
        ("numbers as text", list, "message.exists(i, text(message) == 'y')".into()),
        ("many nodes", maps, format!("message.exists(i, {many})")),
    ]
}

/// The dearest expressions at the dearest messages of about 1 MiB. The throughput is in steps: the
/// budget of ten million steps is 10 ms if there are a billion a second.
fn dearest(c: &mut Criterion) {
    let mut group = c.benchmark_group("filter, dearest");
    group.sample_size(10);
    for (name, body, source) in dear_texts().into_iter().chain(dear_collections()) {
        let json = wstap::json::Json::parse(&body).expect("JSON");
        let message = Message::new(Direction::In, Opcode::Text, body.len(), Body::Value(json));
        let own = "a".parse().expect("an id");
        let draft = Draft::new(own, EventBody::Message(message));
        let event = draft.stamp(EventId::default());
        let expression =
            Expression::parse(&source).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let read = Reading::of(&event);
        let evaluation = expression.evaluate_with(&event, &read);
        assert!(!evaluation.holds, "{name}");
        group.throughput(Throughput::Elements(evaluation.steps));
        group.bench_function(name, |b| {
            b.iter(|| expression.evaluate_with(black_box(&event), &read));
        });
        let reading = expression.evaluate(&event).steps - evaluation.steps;
        group.throughput(Throughput::Elements(reading));
        group
            .bench_function(format!("{name}, read"), |b| b.iter(|| Reading::of(black_box(&event))));
    }
    group.finish();
}

/// A message of 256 bytes as there are many: a few fields of several types.
fn order() -> Event {
    let text = r#"{"connectionId":"a","message":{"id":"9c1f7a52-1d0e-4c55-a2a1-0f3f7c2d9b11","price":101.25,"side":"buy","symbol":"ACME","ok":true,"items":[{"name":"x","amount":3},{"name":"y","amount":1},{"name":"z","amount":2}],"note":"limit 2026","more":null,"tag":"abc"}}"#;
    assert_eq!(text.len(), 256);
    let own = "a".parse().expect("an id");
    let body = said(text, &own);
    let message = Message::new(Direction::In, Opcode::Text, 256, body);
    let draft = Draft::new(own, EventBody::Message(message));
    draft.stamp(EventId { ms: 1_763_670_000_123, seq: 0 })
}

/// Texts of 200 bytes as a price feed sends them: they compress to some 70.
fn texts() -> Vec<String> {
    let mut random = 12_345_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 40
    };
    (0..1000)
        .map(|seq| {
            let mut text = format!(r#"{{"type":"book","symbol":"BTC-{}","seq":{seq}"#, next() % 17);
            while text.len() < 200 {
                write!(
                    text,
                    r#","bid":{}.{:02},"size":{}"#,
                    next() % 9999,
                    next() % 99,
                    next() % 977
                )
                .expect("a string takes it");
            }
            text.truncate(200);
            text
        })
        .collect()
}

/// A compressed message in a frame.
fn deflated(deflate: &mut flate2::Compress, text: &str, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(1024);
    deflate
        .compress_vec(text.as_bytes(), &mut payload, flate2::FlushCompress::Sync)
        .expect("can be compressed");
    let start = out.len();
    frame::data_frame(Opcode::Text, &payload[..payload.len() - 4], None, out);
    out[start] |= 0x40;
}

/// Each message alone, and as many as a relay reads at once.
fn read(c: &mut Criterion) {
    let texts = texts();
    let (mut masked, mut unmasked, mut carried, mut alone) = (vec![], vec![], vec![], vec![]);
    let mut context = flate2::Compress::new(flate2::Compression::default(), false);
    for text in &texts {
        frame::data_frame(Opcode::Text, text.as_bytes(), Some([1, 2, 3, 4]), &mut masked);
        frame::data_frame(Opcode::Text, text.as_bytes(), None, &mut unmasked);
        deflated(&mut context, text, &mut carried);
        let mut fresh = flate2::Compress::new(flate2::Compression::default(), false);
        deflated(&mut fresh, text, &mut alone);
    }
    let takeover = Extensions::Deflate(Deflate::default());
    let no_takeover =
        Extensions::Deflate(Deflate { server_no_context_takeover: true, ..Deflate::default() });
    let mut group = c.benchmark_group("read 1000 texts of 200 bytes");
    group.throughput(Throughput::Elements(texts.len() as u64));
    for (name, side, extensions, bytes) in [
        ("masked", Side::Client, Extensions::None, &masked),
        ("unmasked", Side::Server, Extensions::None, &unmasked),
        ("deflated", Side::Server, takeover, &carried),
        ("deflated each alone", Side::Server, no_takeover, &alone),
    ] {
        for (how, piece) in [("pieces of 16 KiB", 16 << 10), ("pieces of 200 B", 200)] {
            group.bench_function(format!("{name}, {how}"), |b| {
                b.iter(|| {
                    let mut reader = Reader::new(side, extensions, 1 << 20, false);
                    let mut size = 0;
                    for piece in bytes.chunks(piece) {
                        reader.feed(black_box(piece), |seen| {
                            if let Seen::Message { size: read, note: None, .. } = seen {
                                size += read;
                            }
                        });
                    }
                    assert_eq!(size, 200_000);
                });
            });
        }
    }
    group.bench_function("masked, a message a piece", |b| {
        b.iter(|| {
            let mut reader = Reader::new(Side::Client, Extensions::None, 1 << 20, false);
            for piece in masked.chunks(208) {
                reader.feed(black_box(piece), |seen| {
                    black_box(seen);
                });
            }
        });
    });
    group.bench_function("masked, skimmed", |b| {
        b.iter(|| {
            let mut reader = Reader::new(Side::Client, Extensions::None, 1 << 20, false);
            for piece in masked.chunks(16 << 10) {
                reader.skim(black_box(piece), |_| {});
            }
            reader.counts()
        });
    });
    group.bench_function("masked, boundaries", |b| {
        b.iter(|| {
            let mut boundaries = Boundaries::new();
            for piece in masked.chunks(16 << 10) {
                black_box(boundaries.scan(black_box(piece)));
            }
        });
    });
    group.finish();
}

/// What a credential adds to a request or a handshake.
fn credential(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let secret = "a secret of more than thirty-two bytes";
    let claims = serde_json::json!({
        "sub": "ann",
        "exp": 4_000_000_000_u64,
        "wstap": {"observe": true, "connect": true, "publish": ["news/*"], "subscribe": ["*"]},
    });
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    let jwt = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key);
    let bearer = format!("Bearer {}", jwt.expect("claims are JSON"));
    let authority: Arc<dyn Authority> = Arc::new(JwtKey::read(secret.as_bytes()).expect("a key"));
    let mut group = c.benchmark_group("request");
    for (name, access) in
        [("open", Access::open()), ("JWT HS256", Access::guarded(vec![authority]))]
    {
        let mut web = Web::new(Hub::new(Settings::default()));
        web.access = access;
        let router = web.together();
        group.bench_function(name, |b| {
            b.iter(|| {
                let request = http::Request::get("/healthz")
                    .header("host", "localhost")
                    .header("authorization", &bearer)
                    .body(axum::body::Body::empty());
                let answer = router.clone().oneshot(request.expect("a request"));
                runtime.block_on(answer).expect("an answer")
            });
        });
    }
    group.finish();
}

criterion_group!(
    benches,
    credential,
    frame_to_event,
    render,
    publish,
    redact,
    filter,
    dearest,
    read
);
criterion_main!(benches);
