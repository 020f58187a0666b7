//! A server as a process of its own: started, pinned, read from `/proc`, and ended.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn wstap() -> Self {
        Self::with(&[])
    }

    /// Starts wstap with more flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        let built = env!("CARGO_BIN_EXE_wstap").into();
        let program = std::env::var_os("WSTAP_BINARY").unwrap_or(built);
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]).args(flags);
        Self::start(command)
    }

    pub(crate) fn bare() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a file"));
        command.arg("--bare");
        Self::start(command)
    }

    /// Starts a server that tells its address on stderr.
    fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        pin(child.id(), "0");
        let words = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut lines = words.lines().map_while(Result::ok);
        let line =
            lines.find(|line| line.contains("Events")).expect("the server tells where it is");
        let address = line.split("//").nth(1).and_then(|rest| rest.split('/').next()?.parse().ok());
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.expect("an address") }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the processor time that it has used, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        // utime and stime, in hundredths of a second, after the name in parentheses.
        (ticks(11) + ticks(12)) * 10_000.0
    }

    /// Returns the memory that is its own, pages that it shares counted in part.
    pub(crate) fn memory_kib(&self) -> f64 {
        let rollup = self.proc("smaps_rollup");
        let line =
            rollup.lines().find(|line| line.starts_with("Pss:")).expect("the kernel tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(path).expect("the server runs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps a process on a processor, where that can be done.
pub(crate) fn pin(process: u32, processor: &str) {
    let process = process.to_string();
    let _ = Command::new("taskset")
        .args(["-acp", processor, &process])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
