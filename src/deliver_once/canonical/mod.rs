//! The canonical text of a JSON value.

mod scan;

use std::borrow::Cow;
use std::ops::Range;

use self::scan::Scan;

/// A value's canonical text: members sorted by name, no white space, no unnecessary
/// escapes. Numbers keep their digits: normalising would round them, and two deliveries
/// could become one.
///
/// The text is never put together: members are sorted where they are, and the rest is
/// copied only if it has white space or unnecessary escapes.
pub(super) struct Canonical<'a> {
    /// The canonical text, but for the order of members.
    text: Cow<'a, [u8]>,
    /// All objects, in the order of their starts.
    objects: Vec<Object>,
    /// The members of those objects that are not in order, sorted.
    sorted: Vec<Member>,
}

/// An object in the text.
struct Object {
    start: usize,
    end: usize,
    /// Its members in `sorted`; none if they are in order in the text.
    sorted: Range<usize>,
    /// The index of the first object behind it.
    next: usize,
}

/// A member in the text.
#[derive(Clone, Copy)]
struct Member {
    start: usize,
    end: usize,
    /// The index of the first object in it or behind it.
    object: usize,
}

impl<'a> Canonical<'a> {
    /// `json` must be valid JSON. `None` if it is nested too deeply.
    pub(super) fn of(json: &'a [u8]) -> Option<Self> {
        Scan::new(json).run()
    }

    /// How many bytes the text has.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Hands out the text in pieces.
    pub(super) fn write(&self, to: &mut impl FnMut(&[u8])) {
        self.write_part(0..self.text.len(), 0, to);
    }

    /// Hands out a part of the text, in which this is the first object.
    fn write_part(&self, part: Range<usize>, object: usize, to: &mut impl FnMut(&[u8])) {
        let (mut from, mut next) = (part.start, object);
        while let Some(object) = self.objects.get(next)
            && object.start < part.end
        {
            if object.sorted.is_empty() {
                // The objects in it follow.
                next += 1;
                continue;
            }
            to(self.text.get(from..=object.start).unwrap_or_default());
            let members = self.sorted.get(object.sorted.clone());
            for (i, member) in members.unwrap_or_default().iter().enumerate() {
                if i > 0 {
                    to(b",");
                }
                self.write_part(member.start..member.end, member.object, to);
            }
            from = object.end - 1;
            next = object.next;
        }
        to(self.text.get(from..part.end).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::Canonical;

    fn of(json: &str) -> String {
        let canonical = Canonical::of(json.as_bytes()).expect("not deep");
        let mut text = Vec::new();
        canonical.write(&mut |piece| text.extend_from_slice(piece));
        assert_eq!(text.len(), canonical.len());
        String::from_utf8(text).expect("UTF-8")
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
        assert!(Canonical::of(nested(128).as_bytes()).is_some());
        assert!(Canonical::of(nested(129).as_bytes()).is_none());
        assert!(Canonical::of(nested(1_000_000).as_bytes()).is_none());
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
            if let Some(canonical) = Canonical::of(text.as_bytes()) {
                canonical.write(&mut |_| {});
            }
        }

        #[test]
        fn two_values_have_two_texts(one in json(), other in json()) {
            prop_assert_eq!(one == other, of(&one.to_string()) == of(&other.to_string()));
        }
    }
}
