//! The least that a server can do: a WebSocket's frames in, the same bytes that wstap would write
//! out to every listener, one write each for all that has come in.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const DOOR: Token = Token(0);

struct Guest {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    publishes: bool,
    asked: bool,
}

pub(crate) fn serve() -> ! {
    let mut poll = Poll::new().expect("epoll");
    let mut door = TcpListener::bind(([127, 0, 0, 1], 0).into()).expect("a port");
    poll.registry().register(&mut door, DOOR, Interest::READABLE).expect("registered");
    eprintln!("Events http://{}/events", door.local_addr().expect("bound"));
    let (mut events, mut guests) = (Events::with_capacity(1024), HashMap::new());
    let (mut next, mut batch) = (1, Vec::new());
    loop {
        poll.poll(&mut events, None).expect("epoll");
        for event in &events {
            if event.token() == DOOR {
                while let Ok((mut stream, _)) = door.accept() {
                    stream.set_nodelay(true).expect("TCP");
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(next), both).expect("registered");
                    let (input, output) = (Vec::new(), Vec::new());
                    guests.insert(
                        next,
                        Guest { stream, input, output, publishes: false, asked: false },
                    );
                    next += 1;
                }
                continue;
            }
            let Some(guest) = guests.get_mut(&event.token().0) else { continue };
            let open = guest.flush() && guest.read();
            if guest.publishes {
                guest.take_frames(&mut batch);
            }
            if !open {
                guests.remove(&event.token().0);
            }
        }
        if !batch.is_empty() {
            guests.retain(|_, guest| guest.publishes || !guest.asked || guest.write(&batch));
            batch.clear();
        }
    }
}

impl Guest {
    /// Reads all there is; the first of it is a request.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 16384];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(read) => self.input.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        if !self.asked {
            let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else {
                return true;
            };
            self.publishes = self.input[..end].windows(3).any(|three| three == b"/ws");
            self.input.drain(..end + 4);
            self.asked = true;
            let head: &[u8] = if self.publishes {
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            };
            return self.write(head);
        }
        true
    }

    /// Makes events of all frames that are complete: short, masked with zeros.
    fn take_frames(&mut self, batch: &mut Vec<u8>) {
        let mut at = 0;
        while let Some([_, second, rest @ ..]) = self.input.get(at..) {
            let (length, head) = match (second & 0x7f, rest) {
                (126, [high, low, ..]) => (usize::from(u16::from_be_bytes([*high, *low])), 8),
                (126 | 127, _) => break,
                (short, _) => (usize::from(short), 6),
            };
            let Some(payload) = self.input.get(at + head..at + head + length) else { break };
            let before = b"id: 1763670000123-0\ndata: ";
            write!(batch, "{:x}\r\n", before.len() + length + 2).expect("a Vec takes all");
            batch.extend_from_slice(before);
            batch.extend_from_slice(payload);
            batch.extend_from_slice(b"\n\n\r\n");
            at += head + length;
        }
        self.input.drain(..at);
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        if !self.output.is_empty() {
            self.output.extend_from_slice(bytes);
            return self.flush();
        }
        match self.stream.write(bytes) {
            Ok(written) => self.output.extend_from_slice(&bytes[written..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.output.extend_from_slice(bytes);
            }
            Err(_) => return false,
        }
        true
    }

    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}
