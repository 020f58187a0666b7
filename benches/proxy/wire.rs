//! One end of a connection without waiting: what came in, what has yet to go out, and the frames
//! in it.

use std::io::{ErrorKind, Read as _, Write as _};

use mio::net::TcpStream;

pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) input: Vec<u8>,
    output: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), output: Vec::new() }
    }

    /// Reads all there is; returns whether the other side is still there.
    pub(crate) fn read(&mut self, scratch: &mut [u8]) -> bool {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return false,
                Ok(read) => {
                    self.input.extend_from_slice(&scratch[..read]);
                    // Less than there was room for: what comes later has an event of its own.
                    if read < scratch.len() {
                        return true;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        if self.output.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => self.output.extend_from_slice(&bytes[written..]),
                // One that is not connected yet says so in one of two ways.
                Err(error) if waits(error.kind()) => self.output.extend_from_slice(bytes),
                Err(_) => return false,
            }
            return true;
        }
        self.output.extend_from_slice(bytes);
        self.flush()
    }

    pub(crate) fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(written) => drop(self.output.drain(..written)),
                Err(error) if waits(error.kind()) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    /// Takes the head of a request or an answer off the input, if it is whole.
    pub(crate) fn take_head(&mut self) -> Option<String> {
        let end = self.input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = self.input.drain(..end).collect();
        Some(String::from_utf8(head).expect("heads are ASCII here"))
    }

    /// Takes the next frame off the input, if it is whole: its first byte and its payload.
    pub(crate) fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second, rest @ ..] = self.input.as_slice() else { return None };
        let (length, head) = match second & 0x7f {
            126 => (number(rest.get(..2)?), 4),
            127 => (number(rest.get(..8)?), 10),
            short => (usize::from(short), 2),
        };
        let first = *first;
        let masked = second & 0x80 != 0;
        let start = head + if masked { 4 } else { 0 };
        let end = start + length;
        let mut payload = self.input.get(start..end)?.to_vec();
        if masked {
            let mask = [0, 1, 2, 3].map(|n| self.input[head + n]);
            for four in payload.chunks_mut(4) {
                four.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
            }
        }
        self.input.drain(..end);
        Some((first, payload))
    }
}

/// Makes a whole frame of text.
pub(crate) fn text_frame(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = vec![0x81];
    match payload.len() {
        short @ 0..126 => frame.push(bit | u8::try_from(short).expect("it is short")),
        length => {
            let length = u16::try_from(length).expect("messages are shorter than 64 KiB here");
            frame.push(bit | 0x7e);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    let Some(mask) = mask else {
        frame.extend_from_slice(payload);
        return frame;
    };
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn waits(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
