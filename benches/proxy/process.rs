//! A proxy as a process of its own: configured, started on its processor, read from `/proc`, and
//! ended.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Nginx,
    Haproxy,
    Mitmproxy,
    Wstap,
    /// wstap without a listener and without history.
    Quiet,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Mitmproxy => "mitmproxy",
            Self::Wstap => "wstap",
            Self::Quiet => "wstap-quiet",
        }
    }

    /// Says whether wstap wants to be as good as the best of these.
    pub(crate) fn is_peer(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy)
    }

    /// Says how to get a program that is not there.
    pub(crate) fn missing(self) -> Option<&'static str> {
        let how = match self {
            Self::Direct | Self::Wstap | Self::Quiet => return None,
            Self::Nginx => "apt-get install nginx-light",
            Self::Haproxy => "apt-get install haproxy",
            Self::Mitmproxy => {
                "python3 -m venv target/mitmproxy && target/mitmproxy/bin/pip install mitmproxy"
            }
        };
        self.program().is_none().then_some(how)
    }

    fn program(self) -> Option<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let name = match self {
            Self::Direct => return None,
            Self::Wstap | Self::Quiet => {
                let own = std::env::var_os("WSTAP_BINARY");
                return Some(own.unwrap_or_else(|| env!("CARGO_BIN_EXE_wstap").into()).into());
            }
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Mitmproxy => "mitmdump",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        // Debian has servers where only root looks.
        folders.extend(["/usr/sbin".into(), root.join("target/mitmproxy/bin")]);
        folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }
}

pub(crate) struct Proxy {
    child: Option<Child>,
    address: Option<SocketAddr>,
    observers: Option<SocketAddr>,
    _files: TempDir,
}

impl Proxy {
    /// Starts a proxy in front of a server, and waits until it is there.
    pub(crate) fn start(kind: Kind, upstream: SocketAddr) -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let Some(program) = kind.program() else {
            return Self { child: None, address: None, observers: None, _files: files };
        };
        let mut command = on_processor("0", &program);
        if matches!(kind, Kind::Wstap | Kind::Quiet) {
            command.args(["--listen", "127.0.0.1:0", "--tap-listen", "127.0.0.1:0"]);
            command.args(["--upstream", &format!("ws://{upstream}")]);
            if kind == Kind::Quiet {
                command.args(["--history-events", "0"]);
            }
            return Self::tells_where_it_is(command, files);
        }
        let door = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = door.local_addr().expect("it is bound");
        drop(door);
        configure(kind, &mut command, files.path(), address, upstream);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let proxy = Self {
            child: Some(child.expect("the proxy starts")),
            address: Some(address),
            observers: None,
            _files: files,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} does not come", kind.name());
            std::thread::sleep(Duration::from_millis(20));
        }
        proxy
    }

    fn tells_where_it_is(mut command: Command, files: TempDir) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("wstap starts");
        let words = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut lines = words.lines().map_while(Result::ok);
        let mut told = lines.by_ref().filter_map(|line| {
            let (_, rest) = line.split_once("://")?;
            Some((rest.split('/').next()?.trim().parse().ok()?, line.contains("/events")))
        });
        let (address, _) = told.next().expect("wstap tells where it is");
        let (observers, _) =
            told.find(|(_, events)| *events).expect("wstap tells where its events are");
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child: Some(child),
            address: Some(address),
            observers: Some(observers),
            _files: files,
        }
    }

    /// Returns where clients go; without a proxy, to the server.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(crate) fn observers(&self) -> Option<SocketAddr> {
        self.observers
    }

    /// Returns the processor time that it has used, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        let Some(stat) = self.proc("stat") else { return 0.0 };
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
        // utime and stime, in hundredths of a second, after the name in parentheses.
        (ticks(11) + ticks(12)) * 10_000.0
    }

    /// Returns the memory that is its own, pages that it shares counted in part.
    pub(crate) fn memory_kib(&self) -> f64 {
        let Some(rollup) = self.proc("smaps_rollup") else { return 0.0 };
        let line =
            rollup.lines().find(|line| line.starts_with("Pss:")).expect("the kernel tells it");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    fn proc(&self, file: &str) -> Option<String> {
        let path = format!("/proc/{}/{file}", self.child.as_ref()?.id());
        Some(fs::read_to_string(path).expect("the proxy runs"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Gives a proxy one process and one thread, as each is set up to be fastest here: buffers that
/// hold the largest message, no log.
fn configure(
    kind: Kind,
    command: &mut Command,
    files: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
) {
    let port = address.port();
    let file = files.join("configuration");
    match kind {
        Kind::Nginx => {
            let text = format!(
                "daemon off; master_process off; pid pid; error_log stderr crit;
                 worker_rlimit_nofile 4096;
                 events {{ worker_connections 2048; }}
                 http {{
                     access_log off;
                     upstream echo {{ server {upstream}; }}
                     server {{
                         listen {address};
                         location / {{
                             proxy_pass http://echo;
                             proxy_http_version 1.1;
                             proxy_set_header Upgrade $http_upgrade;
                             proxy_set_header Connection upgrade;
                             proxy_buffer_size 32k;
                             proxy_buffers 8 32k;
                             proxy_busy_buffers_size 64k;
                         }}
                     }}
                 }}"
            );
            fs::write(&file, text).expect("written");
            command.arg("-p").arg(files).arg("-e").arg("stderr").arg("-c").arg(&file);
        }
        Kind::Haproxy => {
            let text = format!(
                "global\n nbthread 1\n maxconn 2000\n tune.bufsize 32768\n\
                 defaults\n mode http\n no log\n timeout connect 5s\n timeout client 1h\n \
                 timeout server 1h\n timeout tunnel 1h\n\
                 listen echo\n bind {address}\n server echo {upstream}\n"
            );
            fs::write(&file, text).expect("written");
            command.arg("-db").arg("-f").arg(&file);
        }
        Kind::Mitmproxy => {
            command.args(["-q", "--set", "flow_detail=0", "--listen-host", "127.0.0.1"]);
            command.args(["--listen-port", &port.to_string()]);
            command.arg("--set").arg(format!("confdir={}", files.display()));
            command.args(["--mode", &format!("reverse:http://{upstream}")]);
        }
        Kind::Direct | Kind::Wstap | Kind::Quiet => {}
    }
}

/// Makes a command that runs on one processor and knows it, where that can be done.
fn on_processor(processor: &str, program: &Path) -> Command {
    let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
    if taskset.is_err() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", processor]).arg(program);
    command
}

/// Keeps this program on a processor, where that can be done.
pub(crate) fn pin_this(processor: &str) {
    let _ = Command::new("taskset")
        .args(["-acp", processor, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
