//! The tables of the file: `[[upstream]]` and `[[channel]]`.

use clap::Args;

use super::declared;
use super::file::Table;
use super::source::Faults;
use super::values;
use crate::auth::Pattern;
use crate::hub::{ChannelRules, Declared};
use crate::proxy::{Route, Upstream};

/// The names of the tables.
pub(super) const TABLES: [&str; 2] = ["upstream", "channel"];

/// `[[upstream]]`: a server that requests are forwarded to.
#[derive(Debug, Args)]
struct UpstreamTable {
    #[arg(long, default_value = "/", value_parser = values::path)]
    path: String,
    #[arg(long, value_parser = values::host)]
    host: Option<String>,
    #[arg(long, value_parser = values::upstream)]
    url: Option<Upstream>,
}

/// `[[channel]]`: the rules of a channel.
#[derive(Debug, Args)]
struct ChannelTable {
    #[arg(long)]
    name: Option<Pattern>,
    #[arg(long)]
    private: bool,
    #[arg(long)]
    presence: bool,
    #[arg(long, default_value = "0", value_parser = values::count)]
    history: usize,
    #[arg(long, value_parser = values::count)]
    max_members: Option<usize>,
}

/// Returns the routes of the file, the most specific ones first: routes with a host before those
/// without one, long paths before short ones.
pub(super) fn routes(tables: &[Table], faults: &mut Faults) -> Vec<Route> {
    let all = read(tables, "upstream", ("url", "ws://localhost:9000"), faults);
    let route = |table: UpstreamTable| {
        let host = table.host.map(|host| host.to_ascii_lowercase());
        Some(Route { path: table.path, host, upstream: table.url? })
    };
    let mut routes: Vec<_> = all.into_iter().filter_map(route).collect();
    routes.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.path.len())));
    routes
}

/// Returns the channels of the file.
pub(super) fn channels(tables: &[Table], faults: &mut Faults) -> Vec<Declared> {
    let all = read(tables, "channel", ("name", "news"), faults);
    let declared = |table: ChannelTable| {
        let ChannelTable { private, presence, history, max_members, .. } = table;
        let rules = ChannelRules { private, presence, history, max_members };
        Some(Declared { name: table.name?, rules })
    };
    all.into_iter().filter_map(declared).collect()
}

/// Reads all tables of a name, which have to have a key.
fn read<T: Args>(
    tables: &[Table],
    name: &str,
    (needed, example): (&str, &str),
    faults: &mut Faults,
) -> Vec<T> {
    let command = declared::command::<T>();
    let known: Vec<&str> = command.get_arguments().map(declared::name).collect();
    let read = |table: &Table| {
        for (key, given) in table.keys.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let (last, others) = known.split_last().expect("a table has keys");
            faults.add(format!(
                "{}: there is no key {key:?} in [[{name}]]; there are {} and {last}",
                given.source,
                others.join(", ")
            ));
        }
        if !table.keys.contains_key(needed) {
            let source = &table.source;
            let example = format!("{needed} = {example:?}");
            faults.add(format!("{source}: [[{name}]] needs a {needed}, such as {example}"));
        }
        declared::parse(&table.keys, faults)
    };
    tables.iter().filter(|table| table.name == name).map(read).collect()
}
