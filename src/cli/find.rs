//! Finds the tap of a server on this machine, for commands without an address, and tells an
//! application from a tap.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::client::{Problem, Target, get};
use super::failure::Failure;
use super::reach::Reach;

/// Default addresses of a tap: of hub mode, and of proxy mode.
const USUAL: [&str; 2] = ["http://localhost:8080", "http://localhost:8082"];

/// Time limit for a server to describe itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Maximum bytes of a description; that of wstap has about a kilobyte.
const MAX_ANSWER: usize = 256 << 10;

/// The kind of server at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// The tap of wstap.
    Tap,
    /// Another server.
    Other,
    /// No server.
    Nothing,
}

/// Returns the given address, or else that of the first tap that answers.
pub(super) async fn server(given: Option<&str>) -> Result<String, Failure> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let found = probe_usual().await;
    if let Some(tap) = tap(found) {
        return Ok(tap.to_owned());
    }
    let others: Vec<&str> =
        USUAL.into_iter().zip(found).filter(|(_, it)| *it == Found::Other).map(|it| it.0).collect();
    let others = match others.as_slice() {
        [] => String::new(),
        some => format!(" (the server at {} is another one)", some.join(" and ")),
    };
    let [hub, proxy] = USUAL;
    Err(Failure::Failed(format!(
        "no tap answers at {hub} or {proxy}{others}; start wstap, or name its address, which it prints as Events"
    )))
}

/// Returns the failure of a command that read from `url`. If that is not the address of a tap, the
/// failure says so, and names one that answers.
pub(super) async fn explain(problem: Problem, url: &str) -> Failure {
    match problem {
        Problem::Foreign(words) => Failure::Failed(foreign(&words, url).await),
        Problem::Lost(words) => match tap(probe_usual().await) {
            Some(tap) if !same(tap, url) => {
                Failure::Failed(format!("{words}\na tap answers at {tap}"))
            }
            _ => Failure::Failed(words),
        },
        problem => problem.into(),
    }
}

/// Refuses a server that is not wstap, for requests whose answer does not show it.
pub(super) async fn refuse_other(url: &str, reach: &Reach) -> Result<(), Failure> {
    if probe(url, reach).await == Found::Other {
        let words = format!("{url}: is not wstap");
        return Err(Failure::Failed(foreign(&words, url).await));
    }
    Ok(())
}

async fn foreign(words: &str, url: &str) -> String {
    let right = match tap(probe_usual().await) {
        Some(tap) if !same(tap, url) => format!("a tap answers at {tap}"),
        _ => "the address of the tap is the one that wstap prints as Events".to_owned(),
    };
    format!("{words}\nthis is an application, or the address for its clients; {right}")
}

fn same(tap: &str, url: &str) -> bool {
    url.contains(tap.trim_start_matches("http://"))
}

fn tap(found: [Found; 2]) -> Option<&'static str> {
    USUAL.into_iter().zip(found).find(|(_, found)| *found == Found::Tap).map(|(url, _)| url)
}

async fn probe_usual() -> [Found; 2] {
    let [hub, proxy] = USUAL;
    let reach = Reach::default();
    let (hub, proxy) = tokio::join!(probe(hub, &reach), probe(proxy, &reach));
    [hub, proxy]
}

/// Asks a server for its description.
async fn probe(url: &str, reach: &Reach) -> Found {
    let Ok(target) = Target::of(url, "/api/info", "", reach) else { return Found::Nothing };
    let mut answer = Vec::new();
    let read = get(&target, |data| {
        answer.extend_from_slice(data);
        let fits = answer.len() <= MAX_ANSWER;
        if fits { Ok(()) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    });
    match timeout(PATIENCE, read).await {
        Ok(Err(Problem::Lost(_))) => Found::Nothing,
        // wstap does not describe itself to everyone.
        Ok(Err(Problem::Refused(_) | Problem::Unauthorized(_))) => Found::Tap,
        Ok(Ok(())) if is_tap(&answer) => Found::Tap,
        Ok(_) | Err(_) => Found::Other,
    }
}

fn is_tap(answer: &[u8]) -> bool {
    let info = serde_json::from_slice::<serde_json::Value>(answer).ok();
    info.is_some_and(|info| info["name"] == "wstap" && info["mode"].is_string())
}
