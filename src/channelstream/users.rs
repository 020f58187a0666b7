//! Users and their states. No clock and no I/O.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::request::State;
use super::shape::{Changed, Visible};
use crate::event::User;

/// The most users that are remembered. Beyond it, users without connections are forgotten.
const MAX_USERS: usize = 100_000;

/// A user.
#[derive(Debug)]
pub(super) struct KnownUser {
    pub(super) uuid: Uuid,
    pub(super) state: State,
    /// The keys of the state that others may see.
    pub(super) public_keys: Vec<String>,
    pub(super) connections: BTreeSet<Uuid>,
    idle_since: Instant,
}

impl KnownUser {
    fn new(now: Instant) -> Self {
        Self {
            uuid: Uuid::new_v4(),
            state: State::new(),
            public_keys: Vec::new(),
            connections: BTreeSet::new(),
            idle_since: now,
        }
    }

    /// Returns the part of the state that others may see.
    pub(super) fn public_state(&self) -> State {
        let public = self.state.iter().filter(|(key, _)| self.public_keys.contains(key));
        public.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Sets values, and returns those that have changed. A new key is not set to null.
    pub(super) fn merge(&mut self, state: State) -> Vec<Changed> {
        let mut changed = Vec::new();
        for (key, value) in state {
            let same = match self.state.get(&key) {
                Some(old) => old.get() == value.get(),
                None => value.get() == "null",
            };
            if !same {
                self.state.insert(key.clone(), value.clone());
                changed.push(Changed { key, value });
            }
        }
        changed
    }
}

/// The users that are remembered.
#[derive(Debug, Default)]
pub(super) struct Users {
    by_name: HashMap<User, KnownUser>,
}

impl Users {
    /// Returns a user.
    pub(super) fn get(&self, user: &User) -> Option<&KnownUser> {
        self.by_name.get(user)
    }

    /// Returns a user, who counts as used now.
    pub(super) fn used(&mut self, user: &User, now: Instant) -> Option<&mut KnownUser> {
        let known = self.by_name.get_mut(user)?;
        known.idle_since = now;
        Some(known)
    }

    /// Returns a user, who is created with the state `fresh` if not known, and counts as used now.
    pub(super) fn make(&mut self, user: &User, fresh: State, now: Instant) -> &mut KnownUser {
        if self.by_name.len() >= MAX_USERS && !self.by_name.contains_key(user) {
            self.by_name.retain(|_, known| !known.connections.is_empty());
        }
        let known = self.by_name.entry(user.clone()).or_insert_with(|| {
            let mut known = KnownUser::new(now);
            known.merge(fresh);
            known
        });
        known.idle_since = now;
        known
    }

    /// Returns how many users are remembered.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Returns the users with a connection.
    pub(super) fn connected(&self) -> impl Iterator<Item = (&User, &KnownUser)> {
        self.by_name.iter().filter(|(_, known)| !known.connections.is_empty())
    }

    /// Returns a user as others see them.
    pub(super) fn visible(&self, user: &User) -> Visible {
        let state = self.get(user).map(KnownUser::public_state).unwrap_or_default();
        Visible { user: user.to_string(), state }
    }

    /// Forgets users who have had no connection for `idle`.
    pub(super) fn collect(&mut self, idle: Duration, now: Instant) {
        self.by_name.retain(|_, known| {
            !known.connections.is_empty() || now.duration_since(known.idle_since) < idle
        });
        if self.by_name.capacity() > 1024 && self.by_name.len() < self.by_name.capacity() / 8 {
            self.by_name.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn state(pairs: &[(&str, &str)]) -> State {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        pairs.iter().map(|(key, value)| ((*key).to_owned(), raw(value))).collect()
    }

    fn user(name: &str) -> User {
        name.parse().expect("a user")
    }

    #[test]
    fn a_new_key_that_is_null_is_no_change_and_an_old_one_is() {
        let mut users = Users::default();
        let now = Instant::now();
        let known = users.make(&user("ann"), state(&[("colour", "\"red\"")]), now);
        assert!(known.merge(state(&[("size", "null"), ("colour", "\"red\"")])).is_empty());
        let changed = known.merge(state(&[("colour", "null"), ("n", "1")]));
        let changed: Vec<_> = changed.iter().map(|it| (it.key.as_str(), it.value.get())).collect();
        assert_eq!(changed, [("colour", "null"), ("n", "1")]);
        assert!(known.public_state().is_empty());
        known.public_keys.push("n".to_owned());
        assert_eq!(known.public_state().len(), 1);
        // The fresh state is for new users only.
        let again = users.make(&user("ann"), state(&[("fresh", "1")]), now);
        assert!(!again.state.contains_key("fresh"));
    }

    #[test]
    fn users_without_connections_are_forgotten_after_a_while() {
        let (mut users, now) = (Users::default(), Instant::now());
        users.make(&user("here"), State::new(), now).connections.insert(Uuid::nil());
        users.make(&user("gone"), State::new(), now);
        let day = Duration::from_hours(24);
        users.collect(day, now + day / 2);
        assert_eq!(users.len(), 2);
        users.collect(day, now + day);
        assert!(users.get(&user("gone")).is_none() && users.get(&user("here")).is_some());
    }
}
