//! One publisher and many listeners, on one thread, with exact books.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// Bytes of a message, of which `{"connectionId":"c","message":{"n":"0000000001","p":"…"}}` is one.
const MESSAGE: usize = 256;

/// What stands before the number of a message.
const BEFORE: &[u8] = b"{\"n\":\"";

/// Digits of the number.
const DIGITS: usize = 10;

#[derive(Debug, Default, Clone)]
pub(crate) struct Measured {
    pub(crate) deliveries: f64,
    pub(crate) per_second: f64,
    pub(crate) cpu_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) memory_kib: f64,
}

impl Measured {
    /// Takes the median of each figure.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Self {
            deliveries: of(|run| run.deliveries),
            per_second: of(|run| run.per_second),
            cpu_us: of(|run| run.cpu_us),
            p50_us: of(|run| run.p50_us),
            p99_us: of(|run| run.p99_us),
            memory_kib: of(|run| run.memory_kib),
        }
    }
}

struct Listener {
    stream: TcpStream,
    /// The end of what was read, where a number may have been cut.
    tail: Vec<u8>,
    /// Number of the message that comes next.
    next: usize,
}

pub(crate) struct Load {
    poll: Poll,
    publisher: std::net::TcpStream,
    listeners: Vec<Listener>,
    /// When each message was sent.
    sent: Vec<Instant>,
}

impl Load {
    pub(crate) fn connect(address: SocketAddr, listeners: usize) -> Self {
        let poll = Poll::new().expect("epoll");
        let open = |request: String| {
            let mut stream = std::net::TcpStream::connect(address).expect("the server is there");
            stream.set_nodelay(true).expect("TCP");
            stream.write_all(request.as_bytes()).expect("sent");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("an answer");
                head.push(byte[0]);
            }
            stream
        };
        let listeners = (0..listeners).map(|n| {
            let stream = open(format!("GET /events HTTP/1.1\r\nhost: {address}\r\n\r\n"));
            stream.set_nonblocking(true).expect("TCP");
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(n), Interest::READABLE)
                .expect("registered");
            Listener { stream, tail: Vec::new(), next: 0 }
        });
        let listeners = listeners.collect();
        let mut publisher = open(format!(
            "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ));
        publisher.write_all(&frame(br#"{"connectionId":"c"}"#)).expect("sent");
        Self { poll, publisher, listeners, sent: Vec::new() }
    }

    /// Keeps `window` messages in flight for a while.
    pub(crate) fn run(&mut self, window: usize, time: Duration) -> Measured {
        let (begun, first) = (Instant::now(), self.sent.len());
        let mut latencies = Vec::new();
        let mut events = Events::with_capacity(1024);
        let number = Finder::new(BEFORE);
        loop {
            let slowest =
                self.listeners.iter().map(|listener| listener.next).min().expect("a listener");
            if begun.elapsed() > time && slowest == self.sent.len() {
                break;
            }
            if begun.elapsed() <= time {
                self.publish(slowest + window);
            }
            // Without sleeping, so that the server pays for no wake-up of an idle processor.
            self.poll.poll(&mut events, Some(Duration::ZERO)).expect("epoll");
            for event in &events {
                self.listeners[event.token().0].read(&number, &self.sent, &mut latencies);
            }
        }
        latencies.sort_unstable();
        let part = |part: usize| f64::from(latencies[(latencies.len() - 1) * part / 100]);
        Measured {
            deliveries: ((self.sent.len() - first) * self.listeners.len()) as f64,
            p50_us: part(50),
            p99_us: part(99),
            ..Measured::default()
        }
    }

    /// Sends, in one write, as many messages as are missing.
    fn publish(&mut self, up_to: usize) {
        let mut bytes = Vec::new();
        while self.sent.len() < up_to {
            let n = self.sent.len();
            let head = format!(r#"{{"connectionId":"c","message":{{"n":"{n:010}","p":""#);
            let padding = "x".repeat(MESSAGE - head.len() - 3);
            bytes.extend(frame(format!("{head}{padding}\"}}}}").as_bytes()));
            self.sent.push(Instant::now());
        }
        if !bytes.is_empty() {
            self.publisher.write_all(&bytes).expect("sent");
        }
    }
}

impl Listener {
    fn read(&mut self, number: &Finder<'_>, sent: &[Instant], latencies: &mut Vec<u32>) {
        let mut bytes = [0; 16384];
        loop {
            let kept = self.tail.len();
            bytes[..kept].copy_from_slice(&self.tail);
            let read = match self.stream.read(&mut bytes[kept..]) {
                Ok(0) => panic!("the server has ended a stream"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            let (now, text) = (Instant::now(), &bytes[..kept + read]);
            let mut at = 0;
            while let Some(found) = number.find(&text[at..]) {
                let start = at + found + BEFORE.len();
                let Some(digits) = text.get(start..start + DIGITS) else { break };
                let n = digits.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
                assert_eq!(n, self.next, "every event comes once and in order");
                self.next += 1;
                latencies.push(u32::try_from((now - sent[n]).as_micros()).unwrap_or(u32::MAX));
                at = start + DIGITS;
            }
            let keep = (BEFORE.len() + DIGITS).min(text.len() - at);
            self.tail = text[text.len() - keep..].to_vec();
        }
    }
}

/// Makes a text frame, masked with zeros.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(payload.len()).expect("a short message") {
        short @ 0..126 => frame.push(0x80 | short.to_be_bytes()[1]),
        long => {
            frame.push(0x80 | 0x7e);
            frame.extend_from_slice(&long.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}
