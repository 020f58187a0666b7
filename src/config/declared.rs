//! From text to a struct whose fields are declared for clap. Every value is checked alone, so that
//! all faults are reported together.

use std::collections::BTreeMap;
use std::error::Error as _;

use clap::{Arg, ArgAction, Args, Command};

use super::source::{Faults, Given, Source, shown};
use super::values;

/// Returns a command that has the fields of `T` as its flags.
pub(super) fn command<T: Args>() -> Command {
    T::augment_args(Command::new("wstap").no_binary_name(true))
}

/// Returns the name of a flag, which is also the key in the file.
pub(super) fn name(arg: &Arg) -> &str {
    arg.get_long().expect("every setting has a flag")
}

/// Returns whether a flag has no value: a setting that is true or false.
pub(super) fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Makes a `T` of the values that `given` has for its fields, by name. Wrong values are left out and
/// added to `faults`; a field without value has its default.
pub(super) fn parse<T: Args>(given: &BTreeMap<String, Given>, faults: &mut Faults) -> T {
    let command = command::<T>();
    let mut flags = Vec::new();
    for arg in command.get_arguments() {
        if let Some(given) = given.get(name(arg)) {
            flags.extend(right_flags(arg, given, faults));
        }
    }
    let matches = command.try_get_matches_from(flags).expect("every flag was accepted alone");
    T::from_arg_matches(&matches).expect("no field is required")
}

/// Returns the flags of a setting whose values are right.
fn right_flags(arg: &Arg, given: &Given, faults: &mut Faults) -> Vec<String> {
    let (name, source) = (name(arg), &given.source);
    let mut flags = Vec::new();
    for value in &given.values {
        let shown = shown(name, value);
        match flag(arg, value) {
            Ok(flag) => flags.extend(flag),
            Err(right) if matches!(source, Source::File(..)) => {
                faults.add(format!("{source}: {name} = {shown:?}: {right}"));
            }
            Err(right) => faults.add(format!("{source} = {shown:?}: {right}")),
        }
    }
    if given.values.len() > 1 && !matches!(arg.get_action(), ArgAction::Append) {
        faults.add(format!("{source}: {name} has one value, and not {}", given.values.len()));
        flags.truncate(1);
    }
    flags
}

/// Returns the flag of a value; `None` for a switch that is off.
///
/// # Errors
///
/// A description of a right value.
fn flag(arg: &Arg, value: &str) -> Result<Option<String>, String> {
    if is_switch(arg) {
        return Ok(values::switch(value)?.then(|| format!("--{}", name(arg))));
    }
    let flag = format!("--{}={value}", name(arg));
    let alone = Command::new("wstap").no_binary_name(true).arg(arg.clone());
    match alone.try_get_matches_from([&flag]) {
        Ok(_) => Ok(Some(flag)),
        Err(fault) => Err(fault.source().map_or_else(|| fault.to_string(), ToString::to_string)),
    }
}
