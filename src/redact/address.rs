//! Path and query of a handshake.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::rules::HIDDEN;
use super::search::Search;

/// Parameters that are wstap's own credentials: never shown, whatever is redacted.
const OWN: [&str; 2] = ["access_token", "ticket"];

/// Returns path and query with their secrets hidden, or `None` if they have none.
pub(super) fn hidden(address: &str, search: &Search) -> Option<String> {
    let shown = search.hidden(address).map_or(Cow::Borrowed(address), Cow::Owned);
    let (path, query) = match shown.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&*shown, None),
    };
    // Percent-encoded text is searched decoded, and hidden as a whole.
    let segment = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        decoded != text && search.hidden(&decoded).is_some()
    };
    let path = replaced(path, '/', segment);
    let query = query.map(|query| {
        parameters(query, |name, value| {
            search.is_parameter(&decoded(name)) || {
                let decoded = decoded(value);
                decoded != value && search.hidden(&decoded).is_some()
            }
        })
    });
    let whole = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    if search.by_pattern(&percent_decode_str(&whole).decode_utf8_lossy()) {
        return Some(HIDDEN.to_owned());
    }
    (whole != address).then_some(whole)
}

/// Returns a query without wstap's own credentials.
pub(super) fn without_credentials(query: String) -> String {
    if OWN.iter().any(|own| query.contains(own)) || query.contains('%') {
        parameters(&query, |name, _| OWN.contains(&&*decoded(name)))
    } else {
        query
    }
}

/// Hides the values for which `hide` is true.
fn parameters(query: &str, hide: impl Fn(&str, &str) -> bool) -> String {
    let one = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if hide(name, value) => format!("{name}={HIDDEN}"),
        None if hide(pair, pair) => HIDDEN.to_owned(),
        _ => pair.to_owned(),
    };
    query.split('&').map(one).collect::<Vec<_>>().join("&")
}

fn replaced(text: &str, between: char, hide: impl Fn(&str) -> bool) -> String {
    let one = |part: &str| if hide(part) { HIDDEN.to_owned() } else { part.to_owned() };
    text.split(between).map(one).collect::<Vec<_>>().join(&between.to_string())
}

/// Decodes a part of a query as forms do: a plus sign is a space.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let plain = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&plain).decode_utf8_lossy().into_owned())
}
