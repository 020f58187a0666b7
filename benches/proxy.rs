//! Round trips through reverse proxies, measured: the release binary in proxy mode with one
//! listener on its tap, beside nginx, `HAProxy` and mitmproxy, in the same run. `cargo bench --bench
//! proxy`, or `just bench-proxy`.
//!
//! Every client keeps one message in flight: text, JSON, echoed by a server behind the proxy that
//! is part of this program. Each proxy has the first processor, where `taskset` is there, and the
//! load, the echo and the listener share one thread on the second, which never sleeps; `direct` is
//! that thread talking to itself. Every byte of every answer is compared. `quiet` is wstap with no
//! listener and no history: what it costs when nobody looks. A proxy that is not installed is said
//! to be missing and left out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table is what it is for")]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded to three digits anyway")]

#[path = "proxy/load.rs"]
mod load;
#[path = "proxy/process.rs"]
mod process;
#[path = "proxy/wire.rs"]
mod wire;

use std::time::Duration;

use load::{Load, Trips};
use process::{Kind, Proxy};

/// How long each load runs.
const RUN: Duration = Duration::from_millis(1500);

/// Each figure is the median of so many runs.
const ROUNDS: usize = 3;

/// Bytes of a message and connections of each load.
const LOADS: [(usize, usize); 4] = [(128, 1), (128, 50), (16 * 1024, 1), (16 * 1024, 50)];

/// Connections whose memory is looked at.
const IDLE: usize = 200;

/// What one run has shown.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    per_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    /// Events that the listener got, of those that there were to tell.
    told: f64,
}

fn main() {
    // Cargo hands over flags of its own, and only words that somebody wrote are names.
    let asked: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    process::pin_this("1");
    let mut load = Load::new();
    let mut kinds = vec![Kind::Direct];
    for kind in [Kind::Nginx, Kind::Haproxy, Kind::Mitmproxy, Kind::Wstap, Kind::Quiet] {
        match kind.missing() {
            _ if !asked.is_empty() && !asked.iter().any(|name| *name == kind.name()) => {}
            Some(why) => eprintln!("{} is missing: {why}", kind.name()),
            None => kinds.push(kind),
        }
    }
    let mut runs = vec![vec![Vec::new(); LOADS.len()]; kinds.len()];
    let mut memory = vec![Vec::new(); kinds.len()];
    for _ in 0..ROUNDS {
        for (n, kind) in kinds.iter().enumerate() {
            let proxy = Proxy::start(*kind, load.upstream());
            let before = proxy.memory_kib();
            load.connect(proxy.address(), IDLE, 128);
            load.run(Duration::from_millis(50));
            memory[n].push((proxy.memory_kib() - before) / IDLE as f64);
            load.hang_up();
            if let (Some(observers), Kind::Wstap) = (proxy.observers(), kind) {
                load.listen(observers);
            }
            for (row, (bytes, clients)) in LOADS.iter().enumerate() {
                runs[n][row].push(measure(&mut load, &proxy, *bytes, *clients));
            }
            load.hang_up();
            load.stop_listening();
        }
    }
    print(&kinds, &runs, &memory);
}

fn measure(load: &mut Load, proxy: &Proxy, bytes: usize, clients: usize) -> Figures {
    load.hang_up();
    load.connect(proxy.address(), clients, bytes);
    load.run(RUN / 5);
    let cpu = proxy.cpu_us();
    let Trips { mut latencies, seconds, told } = load.run(RUN);
    let trips = latencies.len() as f64;
    latencies.sort_unstable();
    let part = |part: usize| f64::from(latencies[(latencies.len() - 1) * part / 100]) / 1000.0;
    Figures {
        per_second: trips / seconds,
        cpu_us: (proxy.cpu_us() - cpu) / trips,
        p50_us: part(50),
        p99_us: part(99),
        told: told as f64 / (2.0 * trips),
    }
}

fn print(kinds: &[Kind], runs: &[Vec<Vec<Figures>>], memory: &[Vec<f64>]) {
    println!(
        "| message | connections | through | round trips/s | µs of CPU each | of the best | p50 | p99 | of the best | told |"
    );
    println!("|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|");
    for (row, (bytes, clients)) in LOADS.iter().enumerate() {
        let of = |n: usize, figure: fn(&Figures) -> f64| {
            median(runs[n][row].iter().map(figure).collect())
        };
        let best = |figure: fn(&Figures) -> f64| {
            let peers = (0..kinds.len()).filter(|n| kinds[*n].is_peer());
            peers.map(|n| of(n, figure)).fold(f64::NAN, f64::min)
        };
        let (best_cpu, best_p99) = (best(|run| run.cpu_us), best(|run| run.p99_us));
        for (n, kind) in kinds.iter().enumerate() {
            let (cpu, p99) = (of(n, |run| run.cpu_us), of(n, |run| run.p99_us));
            let direct = *kind == Kind::Direct;
            println!(
                "| {bytes} B | {clients} | {} | {:.0} | {} | {} | {:.1} µs | {p99:.1} µs | {} | {} |",
                kind.name(),
                of(n, |run| run.per_second),
                if direct { "–".to_owned() } else { format!("{cpu:.2}") },
                if direct { "–".to_owned() } else { ratio(cpu / best_cpu) },
                of(n, |run| run.p50_us),
                if direct { "–".to_owned() } else { ratio(p99 / best_p99) },
                if *kind == Kind::Wstap {
                    format!("{:.1} %", of(n, |run| run.told) * 100.0)
                } else {
                    "–".to_owned()
                },
            );
        }
    }
    println!("\n| through | memory of a connection |\n|---|---:|");
    for (kind, memory) in kinds.iter().zip(memory).filter(|(kind, _)| **kind != Kind::Direct) {
        println!("| {} | {:.1} KiB |", kind.name(), median(memory.clone()));
    }
}

fn ratio(of: f64) -> String {
    if of.is_nan() { "–".to_owned() } else { format!("{of:.2}") }
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
