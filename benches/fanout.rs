//! Fan-out, measured: the release binary with 1, 10, 100 and 1,000 listeners, beside a bare epoll
//! server that writes the same bytes, in the same run. `cargo bench --bench fanout`, or
//! `just bench`.
//!
//! `bare` is the least a server can do on this machine: one thread, one write per listener for
//! everything that has come in, nothing parsed. Both are pinned to the first processor, where
//! `taskset` is there, and the clients to the second. Two loads: *one in flight*, where the next
//! message goes when every listener has the last, so that nothing can be gathered; and
//! *saturated*, with many in flight. Every listener checks that it gets every event once, in order.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is what it is for")]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded to three digits anyway")]

#[path = "fanout/bare.rs"]
mod bare;
#[path = "fanout/load.rs"]
mod load;
#[path = "fanout/process.rs"]
mod process;

use std::time::Duration;

use load::{Load, Measured};
use process::Server;

/// How long each load runs.
const RUN: Duration = Duration::from_millis(1500);

/// Each figure is the median of so many runs.
const ROUNDS: usize = 3;

/// Messages in flight when saturated, for each number of listeners.
const SCALES: [(usize, usize); 4] = [(1, 256), (10, 256), (100, 64), (1000, 16)];

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--bare") {
        bare::serve();
    }
    process::pin(std::process::id(), "1");
    println!(
        "| listeners | load | server | deliveries/s | µs of CPU each | of bare | p50 | p99 | memory each |"
    );
    println!("|---:|---|---|---:|---:|---:|---:|---:|---:|");
    for (listeners, window) in SCALES {
        for (name, window) in [("one in flight", 1), ("saturated", window)] {
            let (mut bare, mut wstap) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                bare.push(measure(&Server::bare(), listeners, window));
                wstap.push(measure(&Server::wstap(), listeners, window));
            }
            let (bare, wstap) = (Measured::median(&bare), Measured::median(&wstap));
            for (server, of) in [("bare", &bare), ("**wstap**", &wstap)] {
                println!(
                    "| {listeners} | {name} | {server} | {} | {:.2} | {:.2} | {} | {} | {} |",
                    thousands(of.per_second),
                    of.cpu_us,
                    of.cpu_us / bare.cpu_us,
                    time(of.p50_us),
                    time(of.p99_us),
                    if listeners >= 100 {
                        format!("{:.1} KiB", of.memory_kib)
                    } else {
                        "–".to_owned()
                    },
                );
            }
        }
    }
}

fn measure(server: &Server, listeners: usize, window: usize) -> Measured {
    let before = server.memory_kib();
    let mut load = Load::connect(server.address(), listeners);
    let memory_kib = (server.memory_kib() - before) / listeners as f64;
    load.run(window, RUN / 5);
    let (cpu, begun) = (server.cpu_us(), std::time::Instant::now());
    let mut measured = load.run(window, RUN);
    measured.cpu_us = (server.cpu_us() - cpu) / measured.deliveries;
    measured.per_second = measured.deliveries / begun.elapsed().as_secs_f64();
    measured.memory_kib = memory_kib;
    measured
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn time(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1000.0) }
}
