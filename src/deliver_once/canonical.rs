//! One text for all the ways to write a JSON value.

use std::ops::Range;

/// The deepest nesting that is put in order. The work grows with it.
const MAX_DEPTH: usize = 128;

/// The value's canonical text: members in the order of their names, no white
/// space, no escape that is not needed. Numbers keep their digits: to put them
/// in one form is to round them, and two deliveries could become one.
///
/// `json` has to be valid JSON. `None` if it is nested too deep.
pub(super) fn canonical(json: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len());
    let mut open: Vec<Option<Object>> = Vec::new();
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        let mut length = 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' if open.len() == MAX_DEPTH => return None,
            b'{' => open.push(Some(Object::at(out.len()))),
            b'[' => {
                open.push(None);
                out.push(byte);
            }
            b'}' => {
                if let Some(Some(object)) = open.pop() {
                    object.close(&mut out);
                }
            }
            b']' => {
                open.pop();
                out.push(byte);
            }
            b',' => match open.last_mut() {
                Some(Some(object)) => object.next_member(out.len()),
                _ => out.push(byte),
            },
            b'"' => {
                length = 1 + string_length(after);
                push_string(&mut out, rest.get(..length).unwrap_or(rest));
            }
            // A colon, a digit or a letter: as it is.
            _ => out.push(byte),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Some(out)
}

/// An object that is being written: its members, so far without separators.
struct Object {
    members: Vec<Range<usize>>,
    member: usize,
}

impl Object {
    fn at(start: usize) -> Self {
        Self {
            members: Vec::new(),
            member: start,
        }
    }

    fn next_member(&mut self, end: usize) {
        self.members.push(self.member..end);
        self.member = end;
    }

    /// Puts the members in order. Those of one name keep theirs.
    fn close(mut self, out: &mut Vec<u8>) {
        let start = self
            .members
            .first()
            .map_or(self.member, |first| first.start);
        self.next_member(out.len());
        let written = out.split_off(start);
        let mut members: Vec<_> = self
            .members
            .iter()
            .filter_map(|range| written.get(range.start - start..range.end - start))
            .collect();
        members.sort_by_key(|member| name(member));
        out.push(b'{');
        out.extend(members.join(&b','));
        out.push(b'}');
    }
}

/// A member's name, with its quotation marks.
fn name(member: &[u8]) -> &[u8] {
    let length = member.get(1..).map_or(0, string_length);
    member.get(..=length).unwrap_or(member)
}

/// How long a string is from after its opening quotation mark to its end.
fn string_length(text: &[u8]) -> usize {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    text.len() - bytes.len()
}

fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    let written = out.len();
    if text.contains(&b'\\')
        && let Ok(string) = serde_json::from_slice::<String>(text)
        && serde_json::to_writer(&mut *out, &string).is_ok()
    {
        return;
    }
    // Without escapes; or with half of a surrogate pair, which no `String` holds.
    out.truncate(written);
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::canonical;

    fn of(json: &str) -> String {
        String::from_utf8(canonical(json.as_bytes()).expect("not deep")).expect("UTF-8")
    }

    #[test]
    fn what_does_not_count_is_gone() {
        for (json, expected) in [
            ("null", "null"),
            (" [ 1 , 2.50 , -0 , 1e3 ] ", "[1,2.50,-0,1e3]"),
            (
                r#"{"b":1,"a":{"d":[],"c":{}}}"#,
                r#"{"a":{"c":{},"d":[]},"b":1}"#,
            ),
            ("{ }", "{}"),
            (r#"{"a" : "\u0041\/ \t" }"#, r#"{"a":"A/ \t"}"#),
            (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
            (
                r#"["a,b{}[]:\"\\",{"x":"}"}]"#,
                r#"["a,b{}[]:\"\\",{"x":"}"}]"#,
            ),
        ] {
            assert_eq!(of(json), expected, "{json}");
        }
    }

    #[test]
    fn what_may_count_stays() {
        for (one, other) in [
            ("9007199254740993", "9007199254740992"),
            ("1", "1.0"),
            ("[1,2]", "[2,1]"),
            (r#""1""#, "1"),
            (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#),
            (r#""\ud800""#, r#""\ud801""#),
            (r#"["a","b"]"#, r#"["a,b"]"#),
            (r#"{"a":{"b":1}}"#, r#"{"a":{},"b":1}"#),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn deep_nesting_is_left_to_others() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(canonical(nested(128).as_bytes()).is_some());
        assert!(canonical(nested(129).as_bytes()).is_none());
        assert!(canonical(nested(1_000_000).as_bytes()).is_none());
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_the_same_value_however_it_was_written(value in json()) {
            let compact = of(&value.to_string());
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(&compact, &of(&pretty));
            prop_assert_eq!(&compact, &of(&compact));
            prop_assert_eq!(serde_json::from_str::<Value>(&compact).expect("JSON"), value);
        }

        #[test]
        fn two_values_have_two_texts(one in json(), other in json()) {
            prop_assert_eq!(one == other, of(&one.to_string()) == of(&other.to_string()));
        }
    }
}
