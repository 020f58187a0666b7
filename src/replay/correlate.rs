//! The ids of requests in a recording: a live client makes up others, and has to get its own back. Pure.
//!
//! No protocol is known here. A scalar that stands in a message of the client, and later in a message of
//! the server, is *carried*: the `id` of JSON-RPC and of GraphQL, the references of Phoenix, the
//! acknowledgements of Socket.IO, but also a name that the server repeats. A message of a live client
//! that differs from a recorded one only in carried scalars is that message, and what the server
//! answered is sent with the scalars of the live client.
//!
//! Whether a scalar of the server is one of the client is decided by its value together with its key
//! (`"id":1` is not `"count":1`). Long texts with a digit are recognised by their value alone.

use std::collections::{HashMap, HashSet};

use super::scalars::{NUMBER, Scalar, form, replace, scalars};
use super::script::{Payload, Script};
use crate::event::Direction;

/// Keys whose values clients make up, also if no recorded answer carries them.
const ID_KEYS: [&str; 12] = [
    NUMBER,
    "id",
    "ref",
    "join_ref",
    "msg_ref",
    "seq",
    "nonce",
    "uuid",
    "requestId",
    "request_id",
    "messageId",
    "invocationId",
];

/// Texts of so many characters that contain a digit are recognised by their value alone: the ids of
/// nanoid have 21, those of Meteor 17, UUIDs 36.
const DISTINCTIVE: usize = 12;

/// A message as its scalars.
#[derive(Debug)]
pub(super) struct Parts {
    scalars: Vec<Scalar>,
    form: u64,
}

impl Parts {
    /// Returns the scalars of a message; `None` if it is no JSON.
    pub(super) fn of(payload: &Payload) -> Option<Self> {
        let Payload::Text(text) = payload else { return None };
        let mut scalars = scalars(text).filter(|scalars| !scalars.is_empty())?;
        // The order of keys says nothing.
        scalars.sort_by(|one, two| one.place.cmp(&two.place));
        Some(Self { form: form(&scalars), scalars })
    }
}

/// The scalars that answers carry from messages of the client, in one recorded connection.
#[derive(Debug)]
pub(super) struct Correlation {
    /// The messages of the client, by step.
    sent: HashMap<usize, Parts>,
    carried: Carried,
    /// For each step of the server that carries scalars: the steps of the client that had them first.
    origins: HashMap<usize, Vec<usize>>,
}

/// The scalars of all messages of a server.
#[derive(Debug, Default)]
struct Carried {
    with_key: HashSet<(String, String)>,
    distinctive: HashSet<String>,
}

impl Carried {
    fn contains(&self, scalar: &Scalar) -> bool {
        self.with_key.contains(&(scalar.key.clone(), scalar.json.clone()))
            || self.distinctive.contains(&scalar.json)
    }
}

impl Correlation {
    pub(super) fn of(script: &Script) -> Self {
        let (mut sent, mut carried, mut origins) =
            (HashMap::new(), Carried::default(), HashMap::new());
        // The step that had a scalar first, by key and value, and without a key if that is enough.
        let mut first: HashMap<(String, String), usize> = HashMap::new();
        let anywhere = |json: &str| (String::new(), json.to_owned());
        for (n, step) in script.steps.iter().enumerate() {
            let Some(parts) = Parts::of(&step.payload) else { continue };
            if step.direction == Direction::In {
                for scalar in parts.scalars.iter().filter(|scalar| is_id(scalar)) {
                    first.entry((scalar.key.clone(), scalar.json.clone())).or_insert(n);
                    if is_distinctive(&scalar.json) {
                        first.entry(anywhere(&scalar.json)).or_insert(n);
                    }
                }
                sent.insert(n, parts);
                continue;
            }
            let mut of: Vec<usize> = Vec::new();
            for scalar in parts.scalars {
                of.extend(first.get(&anywhere(&scalar.json)));
                let pair = (scalar.key, scalar.json);
                of.extend(first.get(&pair));
                if is_distinctive(&pair.1) {
                    carried.distinctive.insert(pair.1.clone());
                }
                carried.with_key.insert(pair);
            }
            of.sort_unstable();
            of.dedup();
            if !of.is_empty() {
                origins.insert(n, of);
            }
        }
        Self { sent, carried, origins }
    }

    /// Returns the recorded message of the client that a live one is, among those that are not
    /// answered yet: it differs in carried scalars only, and in the fewest.
    pub(super) fn find(&self, live: &Parts, open: impl Iterator<Item = usize>) -> Option<usize> {
        let differences = |n: usize| {
            let recorded = self.sent.get(&n).filter(|recorded| recorded.form == live.form)?;
            let mut pairs = recorded.scalars.iter().zip(&live.scalars);
            let count = pairs.clone().filter(|(then, now)| then.json != now.json).count();
            let free = |then: &Scalar| self.carried.contains(then) || is_id(then);
            pairs.all(|(then, now)| then.json == now.json || free(then)).then_some((count, n))
        };
        open.filter_map(differences).min().map(|(_, n)| n)
    }

    /// Returns the steps of the client whose ids a step of the server carries.
    pub(super) fn origins(&self, step: usize) -> &[usize] {
        self.origins.get(&step).map_or(&[], Vec::as_slice)
    }
}

fn is_id(scalar: &Scalar) -> bool {
    let is_null = scalar.json == "null";
    !is_null && ID_KEYS.contains(&scalar.key.as_str()) || is_distinctive(&scalar.json)
}

fn is_distinctive(json: &str) -> bool {
    json.starts_with('"')
        && json.len() >= DISTINCTIVE + 2
        && !json.contains(' ')
        && json.bytes().any(|byte| byte.is_ascii_digit())
}

/// The scalars of a live client that stand for recorded ones.
#[derive(Debug, Default)]
pub(super) struct Substitutes {
    /// By place and recorded scalar.
    at_place: HashMap<(String, String), String>,
    /// By key and recorded scalar.
    with_key: HashMap<(String, String), String>,
    /// By recorded scalar alone.
    distinctive: HashMap<String, String>,
}

impl Substitutes {
    /// Takes the scalars of a live message in the place of those of the recorded one.
    pub(super) fn learn(&mut self, correlation: &Correlation, step: usize, live: &Parts) {
        let recorded = correlation.sent.get(&step).filter(|recorded| recorded.form == live.form);
        let Some(recorded) = recorded else { return };
        let mut by_key: HashMap<(String, String), HashSet<&str>> = HashMap::new();
        for (then, now) in recorded.scalars.iter().zip(&live.scalars) {
            self.at_place.insert((then.place.clone(), then.json.clone()), now.json.clone());
            by_key.entry((then.key.clone(), then.json.clone())).or_default().insert(&now.json);
            if is_distinctive(&then.json) {
                self.distinctive.insert(then.json.clone(), now.json.clone());
            }
        }
        for (pair, now) in by_key {
            let mut now = now.into_iter();
            match (now.next(), now.next()) {
                (Some(now), None) => self.with_key.insert(pair, now.to_owned()),
                // One recorded scalar stands for two live ones: only the place tells which.
                _ => self.with_key.remove(&pair),
            };
        }
    }

    /// Returns a recorded message of the server with the scalars of the live client.
    pub(super) fn apply(&self, payload: &Payload) -> Payload {
        let Payload::Text(text) = payload else { return payload.clone() };
        let all = scalars(text).unwrap_or_default();
        // A scalar that stands at its own place is not meant at others with the same key.
        let placed: HashSet<(&str, &str)> = all
            .iter()
            .filter(|it| self.at_place.contains_key(&(it.place.clone(), it.json.clone())))
            .map(|it| (it.key.as_str(), it.json.as_str()))
            .collect();
        let mut new = |scalar: &Scalar| {
            let (key, json) = (scalar.key.clone(), scalar.json.clone());
            let is_placed = placed.contains(&(key.as_str(), json.as_str()));
            let at_place = self.at_place.get(&(scalar.place.clone(), json.clone()));
            let found = at_place
                .or_else(|| self.with_key.get(&(key, json.clone())).filter(|_| !is_placed))
                .or_else(|| self.distinctive.get(&json))?;
            (*found != json).then(|| found.clone())
        };
        let replaced = replace(text, &mut new);
        Payload::Text(replaced.unwrap_or_else(|| text.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::replay::script::Step;

    fn text(text: &str) -> Payload {
        Payload::Text(text.to_owned())
    }

    /// Returns a script of messages that begin with `>` (client) or `<` (server).
    fn script(lines: &[&str]) -> Script {
        let step = |line: &&str| Step {
            at: Duration::ZERO,
            direction: if line.starts_with('>') { Direction::In } else { Direction::Out },
            payload: text(&line[1..]),
            synthetic: false,
        };
        Script {
            connection: "a".parse().expect("an id"),
            path: "/".to_owned(),
            headers: Vec::new(),
            upstream: None,
            subprotocol: None,
            start: Duration::ZERO,
            steps: lines.iter().map(step).collect(),
            end: None,
            refused: None,
            left_out: 0,
        }
    }

    /// Plays live messages of a client, and returns the recorded steps that they are, and all messages
    /// of the server as they are sent.
    fn play(lines: &[&str], live: &[&str]) -> (Vec<Option<usize>>, Vec<String>) {
        let script = script(lines);
        let correlation = Correlation::of(&script);
        let (mut found, mut substitutes) = (Vec::new(), Substitutes::default());
        let mut open: Vec<usize> =
            (0..lines.len()).filter(|n| lines[*n].starts_with('>')).collect();
        for message in live {
            let parts = Parts::of(&text(message)).expect("JSON");
            let step = correlation.find(&parts, open.iter().copied());
            if let Some(step) = step {
                substitutes.learn(&correlation, step, &parts);
                open.retain(|n| *n != step);
            }
            found.push(step);
        }
        let sent = script.answers().map(|step| match substitutes.apply(&step.payload) {
            Payload::Text(text) => text,
            Payload::Binary(_) => String::new(),
        });
        (found, sent.collect())
    }

    #[test]
    fn answers_get_the_ids_of_the_live_client() {
        for (name, lines, live, sent) in [
            (
                "GraphQL",
                &[
                    r#">{"type":"connection_init"}"#,
                    r#"<{"type":"connection_ack"}"#,
                    r#">{"id":"6b1c7a3e-1d4e-4b7e-9f0e-1","type":"subscribe","payload":{"query":"{a}"}}"#,
                    r#"<{"id":"6b1c7a3e-1d4e-4b7e-9f0e-1","type":"next","payload":{"data":{"id":"1"}}}"#,
                    r#"<{"id":"6b1c7a3e-1d4e-4b7e-9f0e-1","type":"complete"}"#,
                ][..],
                &[
                    r#"{"type":"connection_init"}"#,
                    r#"{"id":"77","type":"subscribe","payload":{"query":"{a}"}}"#,
                ][..],
                &[
                    r#"{"type":"connection_ack"}"#,
                    r#"{"id":"77","type":"next","payload":{"data":{"id":"1"}}}"#,
                    r#"{"id":"77","type":"complete"}"#,
                ][..],
            ),
            (
                "JSON-RPC, in another order, with small numbers elsewhere",
                &[
                    r#">{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
                    r#"<{"jsonrpc":"2.0","id":1,"result":{"count":1,"id":1}}"#,
                    r#">{"jsonrpc":"2.0","id":2,"method":"b","params":[1]}"#,
                    r#"<{"jsonrpc":"2.0","id":2,"result":2}"#,
                ],
                &[
                    r#"{"jsonrpc":"2.0","id":1,"method":"b","params":[1]}"#,
                    r#"{"jsonrpc":"2.0","id":2,"method":"a","params":[1]}"#,
                ],
                &[
                    r#"{"jsonrpc":"2.0","id":2,"result":{"count":1,"id":1}}"#,
                    r#"{"jsonrpc":"2.0","id":1,"result":2}"#,
                ],
            ),
            (
                "Phoenix",
                &[
                    r#">["3","3","room:1","phx_join",{}]"#,
                    r#"<["3","3","room:1","phx_reply",{"status":"ok"}]"#,
                    r#">["3","4","room:1","new_msg",{"body":"hi"}]"#,
                    r#"<["3",null,"room:1","new_msg",{"body":"hi"}]"#,
                    r#"<["3","4","room:1","phx_reply",{"status":"ok"}]"#,
                ],
                &[
                    r#"["9","9","room:1","phx_join",{}]"#,
                    r#"["9","12","room:1","new_msg",{"body":"hello"}]"#,
                ],
                &[
                    r#"["9","9","room:1","phx_reply",{"status":"ok"}]"#,
                    r#"["9",null,"room:1","new_msg",{"body":"hello"}]"#,
                    r#"["9","12","room:1","phx_reply",{"status":"ok"}]"#,
                ],
            ),
            (
                "acknowledgements of Socket.IO",
                &[r#">420["add",2,3]"#, r"<430[5]", r#">42/room,1["add",2,3]"#, r"<43/room,1[5]"],
                &[r#"4211["add",2,3]"#, r#"42/room,7["add",2,3]"#],
                &[r"4311[5]", r"43/room,7[5]"],
            ),
            (
                "SignalR",
                &[
                    ">{\"type\":1,\"invocationId\":\"0\",\"target\":\"Add\",\"arguments\":[1]}\u{1e}",
                    "<{\"type\":3,\"invocationId\":\"0\",\"result\":0}\u{1e}",
                ],
                &["{\"type\":1,\"invocationId\":\"5\",\"target\":\"Add\",\"arguments\":[1]}\u{1e}"],
                &["{\"type\":3,\"invocationId\":\"5\",\"result\":0}\u{1e}"],
            ),
            (
                "an id under another key",
                &[
                    r#">{"msg":"method","id":"kS3mEv9XqPzT4bD7n","method":"a"}"#,
                    r#"<{"msg":"updated","methods":["kS3mEv9XqPzT4bD7n"]}"#,
                ],
                &[r#"{"msg":"method","id":"AAAAAAAAAAAAAAA11","method":"a"}"#],
                &[r#"{"msg":"updated","methods":["AAAAAAAAAAAAAAA11"]}"#],
            ),
        ] {
            let (found, now) = play(lines, live);
            assert!(found.iter().all(Option::is_some), "{name}: {found:?}");
            assert_eq!(now, sent, "{name}");
        }
    }

    #[test]
    fn message_that_differs_in_what_no_answer_carries_is_another_message() {
        let lines = [r#">{"id":1,"method":"a"}"#, r#"<{"id":1,"result":true}"#];
        let (found, _) = play(&lines, &[r#"{"id":1,"method":"b"}"#]);
        assert_eq!(found, [None]);
        let (found, _) = play(&lines, &[r#"{"id":1,"method":"a","params":[]}"#]);
        assert_eq!(found, [Some(0)], "an empty list has no scalars");
        let (found, _) = play(&lines, &[r#"{"id":1,"method":"a","params":[1]}"#]);
        assert_eq!(found, [None]);
    }

    #[test]
    fn origins_are_the_requests_whose_ids_an_answer_carries() {
        let lines = [
            r#">{"id":"a","op":"x"}"#,
            r#">{"id":"b","op":"y"}"#,
            r#"<{"id":"a","n":1}"#,
            r#"<{"n":2}"#,
            r#"<{"id":"b","n":3}"#,
        ];
        let correlation = Correlation::of(&script(&lines));
        let origins: Vec<_> = (2..5).map(|n| correlation.origins(n).to_vec()).collect();
        assert_eq!(origins, [vec![0], vec![], vec![1]]);
    }
}
