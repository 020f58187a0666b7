//! JSON Schemas of the full JSON, made of the field list. `OpenAPI` and `AsyncAPI` share them.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::event::Kind;
use crate::wire::layout::{LAYOUTS, Layout, MemberLayout};

/// The definitions that are not a kind of event.
const COMMON: &str = r#""EventId": {"title":"EventId","description":"Milliseconds since 1970 and a sequence number. Ids strictly increase over the whole stream.","type":"string","pattern":"^[0-9]{1,19}-[0-9]{1,19}$","examples":["1763670000123-0"]},
"EachWay": {"title":"EachWay","description":"To the server and to the client.","type":"object","required":["in","out"],"properties":{"in":{"type":"integer","minimum":0},"out":{"type":"integer","minimum":0}}}"#;

/// Returns the full JSON of events as JSON Schemas: an object with a definition a name. References
/// are to `#/components/schemas/`, where `OpenAPI` and `AsyncAPI` look for them.
pub(super) fn schemas() -> &'static str {
    static SCHEMAS: LazyLock<String> = LazyLock::new(|| {
        let forms = LAYOUTS.iter().map(|layout| format!("\n{},", definition(layout)));
        let forms: String = forms.collect();
        format!("{{\n{},{forms}\n{COMMON}\n}}\n", event())
    });
    &SCHEMAS
}

/// Returns the name of the schema of a kind of event: `ConnectEvent`.
pub(super) fn name(kind: Kind) -> String {
    let (first, rest) = kind.as_str().split_at(1);
    format!("{}{rest}Event", first.to_uppercase())
}

fn event() -> String {
    let form =
        |layout: &Layout| format!("{{\"$ref\":\"#/components/schemas/{}\"}}", name(layout.kind));
    let forms = LAYOUTS.iter().map(form).collect::<Vec<_>>().join(",");
    format!(
        "\"Event\": {{\"title\":\"Event\",\"description\":\"One event, in full. `kind` selects the form. Later \
         versions may add members; ignore members that you do not know.\",\"oneOf\":[{forms}]}}"
    )
}

fn definition(layout: &Layout) -> String {
    let name = name(layout.kind);
    let required = layout.members.iter().filter(|declared| declared.required);
    let required: Vec<_> = required.map(|it| format!("\"{}\"", it.field.name())).collect();
    let members: Vec<_> = layout.members.iter().map(member).collect();
    format!(
        "\"{name}\": {{\"title\":\"{name}\",\"description\":{},\"type\":\"object\",\"required\":[{}],\
         \"properties\":{{{}}},\"examples\":[{}]}}",
        quoted(layout.words),
        required.join(","),
        members.join(","),
        layout.example,
    )
}

fn member(declared: &MemberLayout) -> String {
    let mut text = format!("\"{}\":{}", declared.field.name(), declared.schema);
    if !declared.words.is_empty() {
        assert_eq!(text.pop(), Some('}'), "a schema is an object");
        let comma = if text.ends_with('{') { "" } else { "," };
        write!(text, "{comma}\"description\":{}}}", quoted(declared.words))
            .expect("a String takes all");
    }
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_the_members_of_its_layout() {
        let schemas: serde_json::Value = serde_json::from_str(schemas()).expect("JSON");
        for layout in &LAYOUTS {
            let example: serde_json::Value = serde_json::from_str(layout.example).expect("JSON");
            for declared in layout.members.iter().filter(|declared| declared.required) {
                assert!(example.get(declared.field.name()).is_some(), "{:?}", declared.field);
            }
            let properties = schemas[name(layout.kind)]["properties"].as_object();
            assert_eq!(properties.map(serde_json::Map::len), Some(layout.members.len()));
        }
    }
}
