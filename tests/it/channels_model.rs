//! Channels against a naive model: whoever comes and goes, a user joins with the first connection
//! and leaves with the last, and everybody gets every message once, in the order of the stream.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wstap::event::{Body, Channel, Connect, EventBody, EventId, Opcode};
use wstap::filter::Filter;
use wstap::hub::{
    Connection, Credential, Ending, Hub, Mailbox, Order, Outgoing, Publication, Range, Scanned,
    Settings, Start,
};

#[derive(Debug, Clone)]
enum Act {
    /// A connection of a user.
    Open(u8, u8),
    End(u8),
    Join(u8, Vec<u8>),
    Leave(u8, Vec<u8>),
    /// To a channel; only to a user, or not to one.
    Publish(u8, Option<u8>, Option<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    let channels = || prop::collection::vec(0u8..3, 1..3);
    let user = || prop::option::weighted(0.3, 0u8..3);
    prop_oneof![
        3 => (0u8..5, 0u8..3).prop_map(|(n, user)| Act::Open(n, user)),
        1 => (0u8..5).prop_map(Act::End),
        4 => (0u8..5, channels()).prop_map(|(n, channels)| Act::Join(n, channels)),
        2 => (0u8..5, channels()).prop_map(|(n, channels)| Act::Leave(n, channels)),
        4 => (0u8..3, user(), user()).prop_map(|(c, to, except)| Act::Publish(c, to, except)),
    ]
}

fn channel(n: u8) -> Channel {
    format!("channel {n}").parse().expect("a channel")
}

fn user(n: u8) -> wstap::event::User {
    format!("user {n}").parse().expect("a user")
}

struct Member {
    connection: Connection,
    orders: Mailbox,
    user: u8,
    channels: BTreeSet<u8>,
    /// The events that it should have been handed.
    due: Vec<EventId>,
}

impl Member {
    /// Returns the events that it was handed.
    async fn handed(&mut self) -> Vec<EventId> {
        let mut all = Vec::new();
        let queue = &mut self.orders.queue;
        while let Some((_, next)) = std::future::poll_fn(|cx| match queue.poll_next(cx) {
            std::task::Poll::Ready(next) => std::task::Poll::Ready(next),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
        {
            let Outgoing::Delivered(delivered) = next else { panic!("{next:?}") };
            all.push(delivered.event.id);
        }
        all
    }
}

#[derive(Default)]
struct Model {
    members: BTreeMap<u8, Member>,
    /// What the stream should say of joins and leaves: `+` or `-`, user, channel.
    told: Vec<(char, u8, u8)>,
}

impl Model {
    fn is_in(&self, user: u8, channel: u8) -> bool {
        self.members.values().any(|it| it.user == user && it.channels.contains(&channel))
    }

    fn leave(&mut self, n: u8, channel: u8) {
        let member = self.members.get_mut(&n).expect("it is there");
        let user = member.user;
        if member.channels.remove(&channel) && !self.is_in(user, channel) {
            self.told.push(('-', user, channel));
        }
    }

    fn act(&mut self, hub: &Hub, act: Act) {
        match act {
            Act::Open(n, owner) if !self.members.contains_key(&n) => {
                let connect = Connect {
                    remote: ([127, 0, 0, 1], 1).into(),
                    path: "/".to_owned(),
                    headers: Vec::new(),
                    answer: None,
                    user: Some(user(owner)),
                };
                let id = format!("connection {n}").parse().expect("an id");
                let (connection, orders) = hub.connect(id, connect).expect("there is room");
                let (channels, due) = (BTreeSet::new(), Vec::new());
                self.members.insert(n, Member { connection, orders, user: owner, channels, due });
            }
            Act::End(n) if self.members.contains_key(&n) => {
                let channels = self.members[&n].channels.clone();
                for channel in channels {
                    self.leave(n, channel);
                }
                let member = self.members.remove(&n).expect("it is there");
                member.connection.end(Ending::lost("the model says so"));
            }
            Act::Join(n, channels) if self.members.contains_key(&n) => {
                let names: Vec<_> = channels.iter().map(|it| channel(*it)).collect();
                let member = &self.members[&n];
                member.connection.join(&names, Credential::None, 0).expect("it may");
                let owner = member.user;
                for channel in channels {
                    if !self.is_in(owner, channel) {
                        self.told.push(('+', owner, channel));
                    }
                    self.members.get_mut(&n).expect("it is there").channels.insert(channel);
                }
            }
            Act::Leave(n, channels) if self.members.contains_key(&n) => {
                let names: Vec<_> = channels.iter().map(|it| channel(*it)).collect();
                self.members[&n].connection.leave(&names).expect("it may");
                for channel in channels {
                    self.leave(n, channel);
                }
            }
            Act::Publish(to_channel, to, except) => {
                let publication = Publication {
                    to: to.map(user).into_iter().collect(),
                    except: except.map(user).into_iter().collect(),
                    ..Publication::new(
                        channel(to_channel),
                        Opcode::Binary,
                        0,
                        Body::Binary(Box::default()),
                    )
                };
                let id = hub.publish(publication).expect("it may");
                for member in self.members.values_mut() {
                    let meant = to.is_none_or(|to| to == member.user);
                    let meant = meant && except != Some(member.user);
                    if meant && member.channels.contains(&to_channel) {
                        member.due.push(id);
                    }
                }
            }
            Act::Open(..) | Act::End(_) | Act::Join(..) | Act::Leave(..) => {}
        }
    }
}

/// Returns what the stream says of joins and leaves.
fn told(hub: &Hub) -> Vec<(char, u8, u8)> {
    let range =
        Range { start: Start::Oldest, until: None, limit: usize::MAX, order: Order::Ascending };
    let scan = hub.scan(range, Filter::default());
    let digit = |name: &str| name.chars().last().and_then(|c| c.to_digit(10)).expect("a digit");
    let mut all = Vec::new();
    for scanned in scan {
        let Scanned::Events(events) = scanned else { continue };
        for event in events {
            let (sign, presence) = match &event.body {
                EventBody::Join(presence) => ('+', presence),
                EventBody::Leave(presence) => ('-', presence),
                _ => continue,
            };
            let user = u8::try_from(digit(presence.user.as_str())).expect("a digit");
            let channel = u8::try_from(digit(presence.channel.as_str())).expect("a digit");
            all.push((sign, user, channel));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn presence_and_delivery_are_those_of_a_naive_model(acts in prop::collection::vec(act(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let hub = Hub::new(Settings::default());
            let mut model = Model::default();
            for act in acts {
                model.act(&hub, act);
            }
            // Within one command the order is that of the command; at an end, that of the names.
            let (mut got, mut expected) = (told(&hub), model.told.clone());
            got.sort_unstable();
            expected.sort_unstable();
            assert_eq!(got, expected);
            let mut inside = BTreeMap::<u8, BTreeSet<String>>::new();
            for (n, member) in &mut model.members {
                let due = std::mem::take(&mut member.due);
                assert_eq!(member.handed().await, due, "connection {n}");
                for channel in &member.channels {
                    inside.entry(*channel).or_default().insert(user(member.user).to_string());
                }
            }
            assert_eq!(hub.channels().len(), inside.len());
            for (n, users) in inside {
                let seen = hub.channel(&channel(n)).expect("somebody is in it");
                let seen: BTreeSet<_> = seen.users.iter().map(ToString::to_string).collect();
                assert_eq!(seen, users);
            }
            model.members.clear();
            assert!(hub.channels().is_empty());
        });
    }
}
