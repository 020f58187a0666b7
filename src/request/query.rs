//! Query parameters. A query is a struct whose fields are its parameters: [`parameters!`] declares
//! each once, with name, type, example and description. The declaration reads the request, refuses
//! unknown names and describes the address in `OpenAPI`.
//!
//! Every fault of a query is reported, with the value that would be right. The number of faults
//! that are named and their length are bounded, whatever a request holds.

use std::borrow::Cow;

use serde_json::Value as Schema;

use crate::problem::{Problem, quoted};

/// The most parameters of a query.
pub(crate) const MAX_PARAMETERS: usize = 1000;

/// The most faults that an answer names.
const MAX_FAULTS: usize = 10;

/// A parameter as a query declares it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    /// Name in the query.
    pub(crate) name: &'static str,
    /// Its documentation comment.
    pub(crate) words: &'static str,
    /// A value that is right.
    pub(crate) example: fn() -> Schema,
    /// Whether it may stand more than once.
    pub(crate) repeated: bool,
    /// JSON Schema of one value.
    pub(crate) schema: fn() -> Schema,
}

/// The type of a parameter.
pub(crate) trait Value: Sized {
    /// Returns what is right, for the error that names a value that is not.
    fn right() -> Cow<'static, str>;

    /// Reads a value as it stands in a query, decoded.
    fn read(text: &str) -> Option<Self>;

    /// Returns the JSON Schema of a value.
    fn schema() -> Schema;
}

/// The type of a field of a query: `Option<T>` may be absent, `Vec<T>` may be repeated.
pub(crate) trait Field: Sized {
    /// The type of one value.
    type Of: Value;

    /// Whether the parameter may stand more than once.
    const REPEATED: bool;

    /// Takes the values of a parameter.
    fn of(values: Vec<Self::Of>) -> Self;
}

impl<T: Value> Field for Option<T> {
    type Of = T;
    const REPEATED: bool = false;

    fn of(mut values: Vec<T>) -> Self {
        values.pop()
    }
}

impl<T: Value> Field for Vec<T> {
    type Of = T;
    const REPEATED: bool = true;

    fn of(values: Self) -> Self {
        values
    }
}

/// The parameters of an address, or a part of them: see [`parameters!`].
pub(crate) trait Query: Sized {
    /// Appends the declarations, in the order in which they are described.
    fn declare(table: &mut Vec<Parameter>);

    /// Takes the values.
    fn take(values: &mut Values) -> Self;
}

/// Declares a query:
///
/// ```ignore
/// parameters! {
///     /// Which events.
///     pub(crate) struct Selection {
///         /// Only events of this connection; may be repeated.
///         connection: Vec<ConnectionId> = "a",
///     }
/// }
/// ```
macro_rules! parameters {
    ($(#[$meta:meta])* $vis:vis struct $query:ident {
        $($(#[doc = $words:literal])+ $name:ident: $field:ty = $example:expr,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $query {
            $($(#[doc = $words])+ $vis $name: $field,)+
        }

        impl $crate::request::Query for $query {
            fn declare(table: &mut Vec<$crate::request::Parameter>) {
                use $crate::request::{Field, Parameter, Value};
                $(table.push(Parameter {
                    name: stringify!($name),
                    words: concat!($($words, "\n"),+),
                    example: || serde_json::json!($example),
                    repeated: <$field as Field>::REPEATED,
                    schema: <<$field as Field>::Of as Value>::schema,
                });)+
            }

            fn take(values: &mut $crate::request::Values) -> Self {
                Self { $($name: values.take(stringify!($name)),)+ }
            }
        }
    };
}
pub(crate) use parameters;

macro_rules! joined {
    ($($part:ident)+) => {
        impl<$($part: Query),+> Query for ($($part,)+) {
            fn declare(table: &mut Vec<Parameter>) {
                $($part::declare(table);)+
            }

            fn take(values: &mut Values) -> Self {
                ($($part::take(values),)+)
            }
        }
    };
}
joined!(A B);
joined!(A B C);

/// Returns all declarations of a query.
pub(crate) fn declared<Q: Query>() -> Vec<Parameter> {
    let mut table = Vec::new();
    Q::declare(&mut table);
    table
}

/// Parameters that every route accepts beside its own.
pub(crate) const CREDENTIALS: [&str; 2] = ["access_token", "ticket"];

/// Reads a query. The faults are to be [finished](Faults::finish) before the values are used.
pub(crate) fn read<Q: Query>(query: Option<&str>) -> (Q, Faults) {
    let table = declared::<Q>();
    let mut values = Values { pairs: Vec::new(), faults: Faults::default() };
    let (mut unknown, mut more) = (Vec::new(), 0_usize);
    for (n, (key, value)) in
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).enumerate()
    {
        if n == MAX_PARAMETERS {
            values.faults.add(format!("a query has at most {MAX_PARAMETERS} parameters"));
            break;
        }
        match table.iter().find(|parameter| parameter.name == key) {
            Some(parameter) => values.pairs.push((parameter.name, value.into_owned())),
            // Credentials are read before.
            None if CREDENTIALS.contains(&&*key) => {}
            None if unknown.len() < MAX_FAULTS => unknown.push(quoted(&key)),
            None => more += 1,
        }
    }
    if !unknown.is_empty() {
        let known: Vec<_> = table.iter().map(|parameter| parameter.name).collect();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (unknown, known) = (unknown.join(", "), known.join(", "));
        let fault = format!("there is no query parameter {unknown}{more}; there are {known}");
        let read = Q::take(&mut values);
        values.faults.add(fault);
        return (read, values.faults);
    }
    (Q::take(&mut values), values.faults)
}

/// The values of a query, until its fields have taken them.
#[derive(Debug)]
pub(crate) struct Values {
    pairs: Vec<(&'static str, String)>,
    faults: Faults,
}

impl Values {
    /// Takes the values of a parameter.
    pub(crate) fn take<F: Field>(&mut self, name: &str) -> F {
        let (mut values, mut count) = (Vec::new(), 0_usize);
        let faults = &mut self.faults;
        for (_, text) in self.pairs.iter().filter(|(own, _)| *own == name) {
            count += 1;
            match F::Of::read(text) {
                Some(value) => values.push(value),
                None => {
                    faults.add(format!("{name}={}: {}", shortened(text), F::Of::right()));
                }
            }
        }
        if count > 1 && !F::REPEATED {
            faults.add(format!("{name} stands more than once; once is right"));
        }
        F::of(values)
    }
}

/// What is wrong with a query, or with several parameters together.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    named: Vec<String>,
    more: usize,
    /// The character that is wrong in a filter expression, counted from 1.
    position: Option<usize>,
}

impl Faults {
    /// Adds a fault. Faults past the tenth are counted and not named.
    pub(crate) fn add(&mut self, fault: impl Into<String>) {
        if self.named.len() < MAX_FAULTS {
            self.named.push(fault.into());
        } else {
            self.more += 1;
        }
    }

    /// Adds a fault at a character of a value.
    pub(crate) fn add_at(&mut self, position: usize, fault: String) {
        self.position = Some(position);
        self.add(fault);
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// If there are faults.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        if self.named.is_empty() {
            return Ok(());
        }
        if self.more > 0 {
            self.named.push(format!("and {} more", self.more));
        }
        Err(Problem::malformed(self.named.join("; ")).pointing_at(self.position))
    }
}

/// Returns a value as an error shows it.
fn shortened(text: &str) -> Cow<'_, str> {
    crate::problem::shortened(text, MAX_SHOWN)
}

/// The most characters of a value that an error shows.
const MAX_SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::super::value::Count;
    use super::*;
    use crate::event::Kind;

    parameters! {
        /// A query.
        struct Sample {
            /// Repeated.
            kind: Vec<Kind> = "message",
            /// Once.
            last: Option<Count> = 1,
        }
    }

    fn faults(query: &str) -> String {
        let (_, faults): (Sample, Faults) = read(Some(query));
        faults.finish().expect_err("faults").detail
    }

    #[test]
    fn faults_of_a_hostile_query_are_answered_with_a_bounded_text() {
        let unknown = (0..31_000).map(|n| format!("&{n}")).collect::<Vec<_>>().concat();
        let wrong = "&kind=x".repeat(31_000);
        let long = format!("kind={}&{}", "\u{1f600}".repeat(60_000), "y".repeat(60_000));
        for query in [unknown, wrong, long] {
            let answer = faults(&query);
            assert!(answer.len() < 3000, "{} bytes: {answer}", answer.len());
        }
        let many = faults(&"&kind=x".repeat(14));
        assert!(many.ends_with("; and 4 more"), "{many}");
        assert!(faults(&"&kind=close".repeat(1001)).contains("at most 1000 parameters"));
    }

    #[test]
    fn values_are_read_by_their_declaration() {
        let (sample, faults): (Sample, Faults) = read(Some("kind=close&kind=message&last=5"));
        faults.finish().expect("no faults");
        assert_eq!(sample.kind, [Kind::Close, Kind::Message]);
        assert_eq!(sample.last.map(|last| last.0), Some(5));
        let names: Vec<_> = declared::<Sample>().iter().map(|it| (it.name, it.words)).collect();
        assert_eq!(names, [("kind", " Repeated.\n"), ("last", " Once.\n")]);
    }
}
