//! Limits of rates: what is over them is refused with a code and a time to come back, and is counted.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use wstap::access::Access;
use wstap::auth::{Authority, Denied, Grant};
use wstap::hub::Settings;
use wstap::rate::{Rate, RateLimits, Rates};

use crate::beside::Target;
use crate::harness::{Answer, Tap, ask, request_at, within};
use crate::hostile::{close_code, frame, raw_ws};

const HANDSHAKE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

async fn with_rates(rates: Rates) -> Tap {
    Tap::with(Settings::default(), |web| web.rates = RateLimits::new(rates, web.hub.metrics()))
        .await
}

/// Asserts that an answer says that there was too much of something, and when to come back.
#[track_caller]
fn is_slow_down(answer: &Answer, what: &str) {
    answer.is_problem(429, "slow_down", what);
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=10).contains(&seconds), "{seconds}");
}

fn counted(tap: &Tap, limit: &str) -> u64 {
    let metrics = tap.hub.metrics().render(tap.hub.numbers());
    let name = format!("wstap_limited_total{{limit=\"{limit}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.expect("a counter").parse().expect("a number")
}

#[tokio::test]
async fn handshakes_over_the_rate_of_an_address_are_answered_with_429() {
    let rates = Rates { handshakes: Rate::everywhere(1), ..Rates::default() };
    let tap = with_rates(rates).await;
    let mut refused = 0;
    let mut open = Vec::new();
    for n in 0..30 {
        let answer = tap.request("GET", &format!("/ws?connectionId=c{n}"), &HANDSHAKE, "").await;
        match answer.status().as_u16() {
            101 => open.push(answer),
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused >= 10 && open.len() >= 11, "{refused} of 30 refused");
    is_slow_down(&tap.fetch("GET", "/any/path", &HANDSHAKE, "").await, "handshakes");
    assert_eq!(counted(&tap, "handshakes"), refused + 1);
    assert_eq!(tap.get("/healthz").await.status, 200, "other requests are not limited");
}

#[tokio::test]
async fn calls_over_the_rate_of_an_address_are_answered_with_429_and_an_event_source_comes_back() {
    let tap = with_rates(Rates { calls: Rate::everywhere(1), ..Rates::default() }).await;
    let mut ws = tap.registered("a").await;
    let mut events = tap.events("").await;
    let flood = async { while tap.get("/api/info").await.status != 429 {} };
    within("a refusal", flood).await;
    let answer = tap.fetch("GET", "/api/connections", &[("origin", "http://a.example")], "").await;
    is_slow_down(&answer, "requests");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let source = tap.fetch("GET", "/events", &[("accept", "text/event-stream")], "").await;
    assert_eq!((source.status, source.header("content-type")), (200, "text/event-stream"));
    let retry = source.body.trim().strip_prefix("retry: ").and_then(|it| it.parse::<u64>().ok());
    assert!(retry.is_some_and(|retry| (1000..=10_000).contains(&retry)), "{}", source.body);
    assert!(counted(&tap, "calls") >= 3);
    // What was open before goes on.
    ws.send("1").await;
    assert_eq!(events.data().await, r#"{"connectionId":"a","message":1}"#);
}

#[tokio::test]
async fn client_over_its_rate_is_closed_with_4429_and_no_other() {
    let frames = (Rate::everywhere(10), Rate::NONE, frame(0x81, true, b"1").repeat(3000));
    let fragments = [frame(0x01, true, b""), frame(0x00, true, b"").repeat(3000)].concat();
    let fragments = (Rate::everywhere(10), Rate::NONE, fragments);
    let pings = (Rate::everywhere(10), Rate::NONE, frame(0x89, true, b"").repeat(3000));
    let bytes = (Rate::NONE, Rate::everywhere(1000), frame(0x82, true, &vec![b'x'; 50_000]));
    for (name, (frames, bytes, flood)) in
        [("frames", frames), ("frames", fragments), ("frames", pings), ("bytes", bytes)]
    {
        let tap = Tap::with(Settings::default(), |web| {
            (web.limits.frames, web.limits.bytes) = (frames, bytes);
        })
        .await;
        let mut closes = tap.events("?kind=close").await;
        let mut good = tap.registered("good").await;
        let mut tcp = raw_ws(&tap, "?connectionId=fast").await;
        // The server may have closed before it has taken all.
        let _ = tcp.write_all(&flood).await;
        assert_eq!(close_code(&mut tcp).await, Some(4429), "{name}");
        let close = closes.json().await;
        assert_eq!(
            (&close["close"]["connectionId"], &close["close"]["code"]),
            (&"fast".into(), &4429.into())
        );
        let reason = close["close"]["reason"].as_str().expect("a reason");
        assert!(reason.contains(name) && reason.contains("come back in "), "{reason}");
        assert_eq!(counted(&tap, name), 1);
        let mut events = tap.events("?connection=good").await;
        good.send("1").await;
        assert_eq!(events.data().await, r#"{"connectionId":"good","message":1}"#);
    }
}

#[tokio::test]
async fn client_that_is_not_registered_has_a_rate_too() {
    let tap = Tap::with(Settings::default(), |web| web.limits.frames = Rate::everywhere(10)).await;
    let mut tcp = raw_ws(&tap, "").await;
    let _ = tcp.write_all(&frame(0x8a, true, b"").repeat(3000)).await;
    assert_eq!(close_code(&mut tcp).await, Some(4429));
}

#[derive(Debug)]
struct OneToken;

impl Authority for OneToken {
    fn grant(&self, token: &str, _now: u64) -> Result<Grant, Denied> {
        let good = token.starts_with("good");
        good.then(Grant::all).ok_or_else(|| Denied("unknown".to_owned()))
    }
}

#[tokio::test]
async fn wrong_credentials_over_the_rate_are_answered_with_429_wherever_they_stand() {
    let tap = Tap::with(Settings::default(), |web| {
        let rates = Rates { sign_ins: Rate::everywhere(1), ..Rates::default() };
        web.rates = RateLimits::new(rates, web.hub.metrics());
        web.access = Access::guarded(vec![Arc::new(OneToken)]).limited(web.rates.clone());
    })
    .await;
    let bearer = async |token: &str| {
        let value = format!("Bearer {token}");
        tap.fetch("GET", "/api/info", &[("authorization", &value)], "").await
    };
    assert_eq!(bearer("good one").await.status, 200);
    let flood = async { while bearer("wrong").await.status != 429 {} };
    within("a refusal", flood).await;
    is_slow_down(&bearer("wrong").await, "wrong credentials");
    for (path, name, value) in [
        ("/api/info?access_token=guess", "x", ""),
        ("/api/info?ticket=guess", "x", ""),
        ("/api/info", "sec-websocket-protocol", "wstap.bearer.guess"),
        ("/api/info", "cookie", "wstap=guess"),
    ] {
        is_slow_down(&tap.fetch("GET", path, &[(name, value)], "").await, "wrong credentials");
    }
    let sign_in = tap.fetch("POST", "/api/session", &[], "{\"token\":\"guess\"}").await;
    is_slow_down(&sign_in, "wrong credentials");
    let mut handshake = HANDSHAKE.to_vec();
    handshake.push(("authorization", "Bearer guess"));
    is_slow_down(&tap.fetch("GET", "/ws", &handshake, "").await, "wrong credentials");
    assert_eq!(bearer("good one").await.status, 200, "a token that was good before is verified");
    assert_eq!(tap.get("/healthz").await.status, 200, "without a credential nothing is counted");
    assert!(counted(&tap, "sign_ins") >= 8);
}

#[tokio::test]
async fn wrong_tokens_of_commands_count_like_others() {
    let tap = Tap::with(Settings::default(), |web| {
        let rates = Rates { sign_ins: Rate::everywhere(1), ..Rates::default() };
        web.rates = RateLimits::new(rates, web.hub.metrics());
        let small = Grant { connect: true, ..Grant::default() };
        let tokens: Arc<dyn Authority> = Arc::new(TwoTokens(small));
        web.access = Access::guarded(vec![tokens]).limited(web.rates.clone());
    })
    .await;
    let mut ws = tap.ws("/ws?connectionId=a&ack=1&access_token=small").await;
    let mut code = async |token: &str| {
        let params = format!("{{\"channels\":[\"a\"],\"token\":\"{token}\"}}");
        ws.send(&format!("{{\"type\":\"subscribe\",\"params\":{params}}}")).await;
        let answer = ws.json().await;
        answer["error"]["code"].as_str().unwrap_or("none").to_owned()
    };
    let flood = async { while code("guess").await != "slow_down" {} };
    within("a refusal", flood).await;
    assert_eq!(code("other guess").await, "slow_down");
    let bearer = [("authorization", "Bearer guess of a call")];
    is_slow_down(&tap.fetch("GET", "/api/info", &bearer, "").await, "wrong credentials");
}

/// Grants little to one token, and all to another.
#[derive(Debug)]
struct TwoTokens(Grant);

impl Authority for TwoTokens {
    fn grant(&self, token: &str, _now: u64) -> Result<Grant, Denied> {
        match token {
            "small" => Ok(self.0.clone()),
            "all" => Ok(Grant::all()),
            _ => Err(Denied("unknown".to_owned())),
        }
    }
}

#[tokio::test]
async fn good_credentials_are_not_limited() {
    let tap = Tap::with(Settings::default(), |web| {
        let rates = Rates { sign_ins: Rate::everywhere(1), ..Rates::default() };
        web.rates = RateLimits::new(rates, web.hub.metrics());
        web.access = Access::guarded(vec![Arc::new(OneToken)]).limited(web.rates.clone());
    })
    .await;
    for n in 0..50 {
        let value = format!("Bearer good {n}");
        let answer = tap.fetch("GET", "/api/info", &[("authorization", &value)], "").await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_has_no_rates_unless_they_are_set() {
    let free = Target::hub(&[]);
    let mut asking = JoinSet::new();
    for _ in 0..4 {
        let address = free.observers;
        asking.spawn(async move {
            for _ in 0..150 {
                let answer = request_at(address, "GET", "/healthz", &[], "").await;
                assert_eq!(answer.status(), 200);
            }
        });
    }
    within("answers", asking.join_all()).await;
    let limited = Target::hub(&["--rate-calls", "1"]);
    let refused = async {
        while request_at(limited.observers, "GET", "/healthz", &[], "").await.status() != 429 {}
    };
    within("a refusal", refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relayed_connections_have_no_rate_of_frames_and_bytes() {
    let flags = ["--rate-frames", "1", "--rate-bytes", "1kB", "--rate-calls", "1"];
    let target = Target::proxy(&flags).await;
    let mut ws = crate::beside::shake(target.traffic, "/echo", "").await;
    let message = frame(0x81, true, &[b'x'; 100]);
    for _ in 0..200 {
        ws.write_all(&message).await.expect("sent");
        let mut echo = [0; 102];
        within("an echo", ws.read_exact(&mut echo)).await.expect("the echo");
        assert_eq!((echo[0], echo[101]), (0x81, b'x'));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_heads_and_bodies_and_stalled_readers_end_after_the_times_of_the_settings() {
    let times = ["--head-timeout", "--body-timeout", "--stall-timeout"];
    let target = Target::hub(&times.map(|flag| [flag, "200ms"]).concat());
    let counted = async |limit: &str, least: u64| {
        let name = format!("wstap_limited_total{{limit=\"{limit}\"}} ");
        ask(limit, async || {
            let answer = request_at(target.observers, "GET", "/metrics", &[], "").await;
            let body = http_body_util::BodyExt::collect(answer.into_body()).await;
            let text = String::from_utf8(body.expect("a body").to_bytes().to_vec());
            let text = text.expect("text");
            let count = text.lines().find_map(|line| line.strip_prefix(&name))?;
            count.parse().ok().filter(|count: &u64| *count >= least)
        })
        .await;
    };
    let mut half = TcpStream::connect(target.observers).await.expect("there");
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.expect("sent");
    let mut end = Vec::new();
    let _ = within("the end of a late head", half.read_to_end(&mut end)).await;
    counted("heads", 1).await;

    let mut half = TcpStream::connect(target.observers).await.expect("there");
    let head =
        "POST /api/channels/a/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1";
    half.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let _ = within("the end of a late body", half.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"timeout\""), "{answer}");
    counted("bodies", 1).await;

    let mut stuck = TcpStream::connect(target.observers).await.expect("there");
    stuck.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    let mut ws = crate::beside::shake(target.traffic, "/ws?connectionId=a", "").await;
    let flood = async {
        let message = frame(0x81, true, &vec![b'x'; 500_000]);
        loop {
            ws.write_all(&message).await.expect("sent");
        }
    };
    tokio::select! {
        () = counted("stalls", 1) => {}
        () = flood => {}
    }
}
