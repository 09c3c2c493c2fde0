//! The canonical text of a JSON value.

use std::cmp::Ordering;

use memchr::memchr2;

/// The deepest nesting that is sorted. The work grows with it.
const MAX_DEPTH: usize = 128;

/// Returns the value's canonical text: members sorted by name, no white space, no
/// unnecessary escapes. Numbers keep their digits: normalising would round them, and two
/// deliveries could become one.
///
/// `json` must be valid JSON. `None` if it is nested too deeply.
pub(super) fn canonical(json: &[u8]) -> Option<Vec<u8>> {
    let mut text = Text {
        out: Vec::with_capacity(json.len()),
        open: Vec::with_capacity(16),
        members: Vec::with_capacity(64),
        ordered: Vec::with_capacity(json.len()),
    };
    let mut rest = json;
    while let Some(&byte) = rest.first() {
        let mut length = 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' if text.open.len() == MAX_DEPTH => return None,
            b'{' | b'[' => text.begin(byte),
            b'}' | b']' => text.end(byte),
            b',' => text.separate(),
            b':' => text.name(),
            b'"' => {
                let (string, has_escapes) = string_at_start_of(rest);
                length = string.len();
                text.push_string(string, has_escapes);
            }
            _ => {
                let scalar = scalar_at_start_of(rest);
                length = scalar.len();
                text.out.extend_from_slice(scalar);
            }
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Some(text.out)
}

/// The canonical text so far.
struct Text {
    out: Vec<u8>,
    /// The open arrays and objects, outermost first.
    open: Vec<Open>,
    /// The members so far of all open objects.
    members: Vec<Member>,
    /// A buffer for sorted members, kept for the next object.
    ordered: Vec<u8>,
}

enum Open {
    Array,
    Object {
        start: usize,
        /// How many of the members belong to the enclosing objects.
        outer: usize,
    },
}

/// A member's position in the output.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    /// The end of its name, including the quotation marks.
    name: usize,
    end: usize,
    /// The first bytes of its name, in which most names differ.
    prefix: u64,
}

impl Text {
    fn begin(&mut self, bracket: u8) {
        let start = self.out.len();
        self.out.push(bracket);
        let outer = self.members.len();
        self.open.push(match bracket {
            b'{' => Open::Object { start, outer },
            _ => Open::Array,
        });
        self.begin_member();
    }

    fn separate(&mut self) {
        self.end_member();
        self.out.push(b',');
        self.begin_member();
    }

    fn end(&mut self, bracket: u8) {
        self.end_member();
        self.out.push(bracket);
        if let Some(Open::Object { start, outer }) = self.open.pop() {
            self.put_in_order(start, outer);
            self.members.truncate(outer);
        }
    }

    fn begin_member(&mut self) {
        if let Some(Open::Object { .. }) = self.open.last() {
            let start = self.out.len();
            self.members.push(Member {
                start,
                name: start,
                end: start,
                prefix: 0,
            });
        }
    }

    fn name(&mut self) {
        if let Some(member) = self.members.last_mut() {
            member.name = self.out.len();
            let name = self.out.get(member.start + 1..).unwrap_or_default();
            member.prefix = prefix(name);
        }
        self.out.push(b':');
    }

    fn end_member(&mut self) {
        if let (Some(Open::Object { .. }), Some(member)) =
            (self.open.last(), self.members.last_mut())
        {
            member.end = self.out.len();
        }
    }

    /// Sorts the members of the object that was just closed. Members with the same name
    /// keep their order.
    fn put_in_order(&mut self, start: usize, outer: usize) {
        let Self {
            out,
            members,
            ordered,
            ..
        } = self;
        let members = members.get_mut(outer..).unwrap_or_default();
        let by_name = |one: &Member, other: &Member| {
            let name = |member: &Member| out.get(member.start..member.name);
            let prefixes = one.prefix.cmp(&other.prefix);
            prefixes.then_with(|| name(one).cmp(&name(other)))
        };
        if members.is_sorted_by(|one, other| by_name(one, other) != Ordering::Greater) {
            return;
        }
        members.sort_by(by_name);
        ordered.clear();
        for member in members {
            ordered.push(b',');
            ordered.extend_from_slice(out.get(member.start..member.end).unwrap_or_default());
        }
        ordered.push(b'}');
        // Skip the comma before the first.
        out.truncate(start + 1);
        out.extend_from_slice(ordered.get(1..).unwrap_or_default());
    }

    fn push_string(&mut self, string: &[u8], has_escapes: bool) {
        let written = self.out.len();
        if has_escapes
            && let Ok(string) = serde_json::from_slice::<String>(string)
            && serde_json::to_writer(&mut self.out, &string).is_ok()
        {
            return;
        }
        // No escapes, or half of a surrogate pair, which a `String` cannot hold.
        self.out.truncate(written);
        self.out.extend_from_slice(string);
    }
}

/// The first eight bytes, as a number with the same order.
fn prefix(name: &[u8]) -> u64 {
    let first = name.first_chunk().copied().unwrap_or_else(|| {
        let mut first = [0; 8];
        for (to, byte) in first.iter_mut().zip(name) {
            *to = *byte;
        }
        first
    });
    u64::from_be_bytes(first)
}

/// The string with its quotation marks, and whether it contains escapes.
fn string_at_start_of(json: &[u8]) -> (&[u8], bool) {
    let (mut end, mut has_escapes) = (1, false);
    while let Some(rest) = json.get(end..)
        && let Some(at) = memchr2(b'"', b'\\', rest)
    {
        end += at + 1;
        if rest.get(at) == Some(&b'"') {
            return (json.get(..end).unwrap_or(json), has_escapes);
        }
        // Skip the escaped character.
        end += 1;
        has_escapes = true;
    }
    (json, has_escapes)
}

/// The number, `true`, `false` or `null`.
fn scalar_at_start_of(json: &[u8]) -> &[u8] {
    let is_part = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.');
    let end = json.iter().position(|byte| !is_part(*byte));
    // At least one byte, so that invalid JSON ends too.
    let end = end.map_or(json.len(), |end| end.max(1));
    json.get(..end).unwrap_or(json)
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
        fn what_is_no_json_does_no_harm(text in r#"[\[\]{}:,"\\a1 ]{0,64}"#) {
            let _ = canonical(text.as_bytes());
        }

        #[test]
        fn two_values_have_two_texts(one in json(), other in json()) {
            prop_assert_eq!(one == other, of(&one.to_string()) == of(&other.to_string()));
        }
    }
}
