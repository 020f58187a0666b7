//! The differences between a recording and what a server answered now, as text.

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::cli::escape::escape;
use crate::code::Code;
use crate::event::ClosedBy;
use crate::replay::{Change, Ended, Payload, Played, Rules, Script, compare};

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Maximum characters of a message in a report.
pub(super) const PREVIEW: usize = 300;

/// Counts of a replay.
#[derive(Debug, Default)]
pub(super) struct Summary {
    connections: usize,
    sent: usize,
    answers: usize,
    different_answers: usize,
    different_ends: usize,
}

impl Summary {
    /// Returns whether all answers and ends are as recorded.
    pub(super) fn is_same(&self) -> bool {
        self.different_answers + self.different_ends == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, sent, answers, different_answers, different_ends } = self;
        write!(f, "{connections} connections sent {sent} messages; ")?;
        if self.is_same() {
            write!(f, "all {answers} answers are as recorded")
        } else {
            write!(
                f,
                "{different_answers} of {answers} answers and {different_ends} ends are not as recorded"
            )
        }
    }
}

/// Returns the differences of all connections, and their summary.
pub(super) fn report(scripts: &[Script], played: &[Played], rules: &Rules) -> (Vec<u8>, Summary) {
    let (mut text, mut summary) = (Vec::new(), Summary::default());
    for (script, played) in scripts.iter().zip(played) {
        let then: Vec<&Payload> = script.answers().map(|step| &step.payload).collect();
        let now: Vec<&Payload> = played.answers.iter().collect();
        let changes = compare(&then, &now, rules);
        let end = end(script, &played.ended);
        let different = changes.iter().filter(|change| !change.is_same()).count();
        summary.connections += 1;
        summary.sent += played.sent;
        summary.answers += then.len();
        summary.different_answers += different;
        summary.different_ends += usize::from(end.is_some());
        if end.is_some() || different > 0 {
            difference(script, &then, &now, &changes, end.as_deref(), &mut text)
                .expect("a Vec takes all");
        }
    }
    (text, summary)
}

/// Returns how the end of a connection differs from the recorded one.
fn end(script: &Script, ended: &Ended) -> Option<String> {
    let then = match (&script.refused, &script.end) {
        (Some(status), _) => Some(Ended::Refused(*status)),
        (None, Some(end)) if end.by == ClosedBy::Server => Some(Ended::ByServer(end.code)),
        (None, _) => None,
    };
    match (then, ended) {
        (Some(then), ended) if then == *ended => None,
        // A handshake that was not answered has the status 0: any failure is the same.
        (Some(Ended::Refused(0)), Ended::Failed(_) | Ended::Refused(_))
        | (None, Ended::ByClient) => None,
        (Some(then), ended) => Some(format!("it was {then}, and is {ended}")),
        (None, Ended::Refused(status)) if is_about_the_sender(*status) => Some(format!(
            "it is refused with status {status}; a server that checks where requests come from takes --header 'Origin: URL', one that asks for a sign-in --header 'Cookie: …' or 'Authorization: …'"
        )),
        (None, ended) => Some(format!("it is {ended}")),
    }
}

/// Returns whether a status says that the server does not take a handshake from this sender.
fn is_about_the_sender(status: u16) -> bool {
    [Code::Unauthorized, Code::Forbidden].iter().any(|code| code.row().status == status)
}

/// Writes the different answers of a connection, each with the same answer before it.
fn difference(
    script: &Script,
    then: &[&Payload],
    now: &[&Payload],
    changes: &[Change],
    end: Option<&str>,
    out: &mut impl Write,
) -> io::Result<()> {
    let (id, path) = (escape(script.connection.as_str(), 40), escape(&script.path, 120));
    writeln!(out, "{BOLD}{id}{BOLD:#}  {path}")?;
    let mut before: Option<usize> = None;
    for change in changes {
        if let Change::Same { now: n, .. } = change {
            before = Some(*n);
            continue;
        }
        if let Some(n) = before.take() {
            writeln!(out, "  {DIM}  {}{DIM:#}", preview(now[n]))?;
        }
        match change {
            Change::Missing(n) => writeln!(out, "  {RED}- {}{RED:#}", preview(then[*n]))?,
            Change::Extra(n) => writeln!(out, "  {GREEN}+ {}{GREEN:#}", preview(now[*n]))?,
            Change::Differs { then: one, now: two, place } => {
                writeln!(out, "  {RED}- {}{RED:#}", preview(then[*one]))?;
                writeln!(out, "  {GREEN}+ {}{GREEN:#}", preview(now[*two]))?;
                if let Some(place) = place {
                    writeln!(out, "    {DIM}{}{DIM:#}", escape(place, PREVIEW))?;
                }
            }
            Change::Same { .. } => {}
        }
    }
    end.map_or(Ok(()), |end| writeln!(out, "  {RED}{}{RED:#}", escape(end, PREVIEW)))
}

fn preview(payload: &Payload) -> String {
    use std::fmt::Write as _;
    match payload {
        Payload::Text(text) => escape(text, PREVIEW),
        Payload::Binary(bytes) => {
            let mut preview = format!("{} bytes ", bytes.len());
            for byte in bytes.iter().take(32) {
                write!(preview, "{byte:02x}").expect("a String takes all");
            }
            preview
        }
    }
}
