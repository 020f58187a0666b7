//! Clients that each keep one message in flight, the echo behind the proxy, and the listener on
//! the tap, on one thread, with exact books.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tungstenite::handshake::derive_accept_key;

use crate::wire::{Wire, text_frame};

const DOOR: Token = Token(0);

/// The listener on the tap. Clients and what comes through the door follow.
const TAP: Token = Token(1);

/// What every event of a message has once, and a payload of ours never.
const TOLD: &[u8] = b"\"kind\":\"message\"";

/// How long a handshake or the last answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// What a run has shown.
pub(crate) struct Trips {
    /// Nanoseconds of each round trip.
    pub(crate) latencies: Vec<u32>,
    pub(crate) seconds: f64,
    /// Messages that the listener was told of.
    pub(crate) told: usize,
}

enum Role {
    Client(Client),
    /// The server behind the proxy.
    Echo {
        open: bool,
    },
}

struct Client {
    open: bool,
    message: Vec<u8>,
    frame: Vec<u8>,
    answer: Vec<u8>,
    sent: Option<Instant>,
}

pub(crate) struct Load {
    poll: Poll,
    /// Room for what the kernel tells, while nobody looks at it.
    events: Option<Events>,
    door: TcpListener,
    peers: HashMap<usize, (Wire, Role)>,
    next: usize,
    tap: Option<Tap>,
    scratch: Vec<u8>,
    latencies: Vec<u32>,
    /// Whether an answer is followed by the next message.
    going: bool,
}

struct Tap {
    stream: TcpStream,
    ready: bool,
    /// The end of what was read, where a mark may have been cut.
    tail: Vec<u8>,
    told: usize,
}

impl Load {
    pub(crate) fn new() -> Self {
        let poll = Poll::new().expect("epoll");
        let mut door = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
        poll.registry().register(&mut door, DOOR, Interest::READABLE).expect("registered");
        Self {
            poll,
            events: None,
            door,
            peers: HashMap::new(),
            next: TAP.0 + 1,
            tap: None,
            scratch: vec![0; 64 * 1024],
            latencies: Vec::new(),
            going: false,
        }
    }

    /// Returns where the echo is.
    pub(crate) fn upstream(&self) -> SocketAddr {
        self.door.local_addr().expect("it is bound")
    }

    /// Opens connections, and waits until all of them are open.
    pub(crate) fn connect(&mut self, address: Option<SocketAddr>, clients: usize, bytes: usize) {
        let address = address.unwrap_or_else(|| self.upstream());
        for n in 0..clients {
            let stream = TcpStream::connect(address).expect("the proxy is there");
            let head = format!(r#"{{"client":"{n:06}","p":""#);
            let padding = "x".repeat(bytes - head.len() - 2);
            let message = format!("{head}{padding}\"}}").into_bytes();
            let frame = text_frame(&message, Some([0x17, 0x2a, 0xb3, 0xc4]));
            let client = Client { open: false, message, frame, answer: Vec::new(), sent: None };
            let mut wire = Wire::new(stream);
            let request = format!(
                "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            assert!(wire.write(request.as_bytes()), "the proxy takes a handshake");
            self.add(wire, Role::Client(client));
        }
        let begun = Instant::now();
        while self.clients().any(|client| !client.open) {
            assert!(begun.elapsed() < LIMIT, "a handshake was not answered");
            self.step();
        }
    }

    /// Ends all connections, and waits until the proxy has ended its own.
    pub(crate) fn hang_up(&mut self) {
        self.peers.retain(|_, (_, role)| matches!(role, Role::Echo { .. }));
        let begun = Instant::now();
        while !self.peers.is_empty() && begun.elapsed() < LIMIT {
            self.step();
        }
        self.peers.clear();
    }

    /// Reads the event stream of a tap, from now on.
    pub(crate) fn listen(&mut self, observers: SocketAddr) {
        use std::io::Write as _;
        let mut stream = std::net::TcpStream::connect(observers).expect("the tap is there");
        write!(stream, "GET /events?format=full HTTP/1.1\r\nHost: {observers}\r\n\r\n")
            .expect("sent");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200", "the tap has a stream");
        stream.set_nonblocking(true).expect("TCP");
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, TAP, Interest::READABLE).expect("registered");
        self.tap = Some(Tap { stream, ready: true, tail: Vec::new(), told: 0 });
    }

    pub(crate) fn stop_listening(&mut self) {
        self.tap = None;
    }

    /// Keeps one message of each client in flight for a while.
    pub(crate) fn run(&mut self, time: Duration) -> Trips {
        let told = self.tap.as_ref().map_or(0, |tap| tap.told);
        self.latencies.clear();
        self.going = true;
        for (wire, role) in self.peers.values_mut() {
            if let Role::Client(client) = role {
                client.send(wire);
            }
        }
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.step();
        }
        self.going = false;
        let seconds = begun.elapsed().as_secs_f64();
        while self.clients().any(|client| client.sent.is_some()) {
            assert!(begun.elapsed() < time + LIMIT, "an answer did not come");
            self.step();
        }
        let latencies = std::mem::take(&mut self.latencies);
        self.hear_the_rest(told + latencies.len() * 2);
        let told = self.tap.as_ref().map_or(0, |tap| tap.told) - told;
        Trips { latencies, seconds, told }
    }

    /// Lets the listener catch up; what was left out will not come, so there is a limit.
    fn hear_the_rest(&mut self, told: usize) {
        let begun = Instant::now();
        while self.tap.as_ref().is_some_and(|tap| tap.told < told)
            && begun.elapsed() < Duration::from_secs(1)
        {
            self.step();
        }
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.peers.values().filter_map(|(_, role)| match role {
            Role::Client(client) => Some(client),
            Role::Echo { .. } => None,
        })
    }

    fn add(&mut self, mut wire: Wire, role: Role) {
        // Proxies do the same, all of them.
        let _ = wire.stream.set_nodelay(true);
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut wire.stream, Token(self.next), both)
            .expect("registered");
        self.peers.insert(self.next, (wire, role));
        self.next += 1;
    }

    /// Does what there is to do, without sleeping, so that the proxy pays for no wake-up of an
    /// idle processor.
    fn step(&mut self) {
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(1024));
        self.poll.poll(&mut events, Some(Duration::ZERO)).expect("epoll");
        for event in &events {
            match event.token() {
                DOOR => {
                    while let Ok((stream, _)) = self.door.accept() {
                        self.add(Wire::new(stream), Role::Echo { open: false });
                    }
                }
                TAP => {
                    if let Some(tap) = &mut self.tap {
                        tap.ready = true;
                    }
                }
                Token(n) => self.serve(n),
            }
        }
        self.events = Some(events);
        // One piece a round: round trips go first.
        if let Some(tap) = self.tap.as_mut().filter(|tap| tap.ready) {
            tap.read(&mut self.scratch);
        }
    }

    fn serve(&mut self, n: usize) {
        let Some((wire, role)) = self.peers.get_mut(&n) else { return };
        let mut there = wire.flush() && wire.read(&mut self.scratch);
        match role {
            Role::Echo { open } => there = echo(wire, open) && there,
            Role::Client(client) => {
                assert!(there, "the proxy has ended a connection");
                client.take(wire, &mut self.latencies, self.going);
            }
        }
        if !there {
            self.peers.remove(&n);
        }
    }
}

impl Client {
    fn send(&mut self, wire: &mut Wire) {
        self.sent = Some(Instant::now());
        assert!(wire.write(&self.frame), "the proxy has ended a connection");
    }

    /// Compares what came with what was sent, and sends again.
    fn take(&mut self, wire: &mut Wire, latencies: &mut Vec<u32>, going: bool) {
        if !self.open {
            let Some(head) = wire.take_head() else { return };
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            self.open = true;
        }
        while let Some((first, payload)) = wire.take_frame() {
            // A proxy may ping; what it says itself is no answer.
            if first & 0x0f > 2 {
                continue;
            }
            self.answer.extend_from_slice(&payload);
            if first & 0x80 == 0 {
                continue;
            }
            assert!(self.answer == self.message, "an answer is not what was sent");
            self.answer.clear();
            let sent = self.sent.take().expect("there is one answer to a message");
            latencies.push(u32::try_from(sent.elapsed().as_nanos()).unwrap_or(u32::MAX));
            if going {
                self.send(wire);
            }
        }
    }
}

/// Answers a handshake, and then sends back every message.
fn echo(wire: &mut Wire, open: &mut bool) -> bool {
    if !*open {
        let Some(head) = wire.take_head() else { return true };
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        });
        let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
        *open = true;
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        return wire.write(answer.as_bytes());
    }
    while let Some((first, payload)) = wire.take_frame() {
        if first == 0x81 && !wire.write(&text_frame(&payload, None)) {
            return false;
        }
    }
    true
}

impl Tap {
    fn read(&mut self, scratch: &mut [u8]) {
        let kept = self.tail.len();
        scratch[..kept].copy_from_slice(&self.tail);
        match self.stream.read(&mut scratch[kept..]) {
            Ok(0) => panic!("the tap has ended its stream"),
            Ok(read) => {
                let text = &scratch[..kept + read];
                let mark = Finder::new(TOLD);
                let mut after = 0;
                for at in mark.find_iter(text) {
                    self.told += 1;
                    after = at + TOLD.len();
                }
                let tail = after.max(text.len().saturating_sub(TOLD.len() - 1));
                self.tail = text[tail..].to_vec();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.ready = false,
            Err(error) => panic!("{error}"),
        }
    }
}
