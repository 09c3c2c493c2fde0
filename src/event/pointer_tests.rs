use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use serde_json_path::{JsonPath, PathElement};

use super::pointer::{self, LIMIT, PointerError};

fn follow(pointer: &str, payload: &str, objects: usize) -> Result<Vec<usize>, PointerError> {
    pointer::follow(pointer, payload.as_bytes(), objects)
}

/// What another implementation of RFC 9535 makes of it. (It panics where a text
/// ends within `\u`.)
fn oracle(pointer: &str, payload: &Value) -> Option<Result<Vec<usize>, PointerError>> {
    let path = JsonPath::parse(pointer).ok()?;
    let located = path.query_located(payload);
    let places =
        located.locations().map(
            |location| match location.iter().collect::<Vec<_>>().as_slice() {
                [PathElement::Name("expanded"), PathElement::Index(place)] => Ok(*place),
                _ => Err(PointerError::Elsewhere),
            },
        );
    Some(places.collect())
}

fn blank() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", " ", "\n\t\r "])
}

fn integer() -> impl Strategy<Value = String> {
    (-7_i64..7).prop_map(|number| number.to_string())
}

fn selector() -> impl Strategy<Value = String> {
    let optional = || prop_oneof![Just(String::new()), integer()];
    let names = [
        "*",
        "'expanded'",
        "\"expanded\"",
        r"'\u0065xp\u0061nded'",
        r#""x\"\\\/\b\f\n\r\t""#,
        r"'\''",
        r#""'""#,
        "'\u{1f511}'",
        "'list'",
        "''",
    ];
    prop_oneof![
        2 => integer(),
        2 => select(names.to_vec()).prop_map(str::to_owned),
        1 => (optional(), blank(), optional(), blank()).prop_map(|(start, s, end, t)| format!("{start}{s}:{t}{end}")),
        1 => (optional(), blank(), optional(), optional())
            .prop_map(|(start, s, end, step)| format!("{start}:{s}{end}{s}:{s}{step}")),
    ]
}

fn segment() -> impl Strategy<Value = String> {
    let bracketed = prop::collection::vec((blank(), selector(), blank()), 1..4);
    prop_oneof![
        2 => select(vec![".expanded", ".*", ".list", ".object", ".ß_1", "['expanded']"]).prop_map(str::to_owned),
        3 => (blank(), bracketed).prop_map(|(s, selectors)| {
            let selectors = selectors.iter().map(|(s, selector, t)| format!("{s}{selector}{t}"));
            format!("{s}[{}]", selectors.collect::<Vec<_>>().join(","))
        }),
    ]
}

fn pointer() -> impl Strategy<Value = String> {
    let length = prop_oneof![1 => 0..4_usize, 4 => 2..3_usize];
    length
        .prop_flat_map(|length| prop::collection::vec(segment(), length))
        .prop_map(|segments| format!("${}", segments.concat()))
}

fn payload() -> impl Strategy<Value = Value> {
    let other = select(vec![
        json!(1),
        json!(null),
        json!("text"),
        json!([]),
        json!([[1], {}]),
        json!({}),
        json!({ "list": 1, "": [] }),
        json!({ "expanded": [1] }),
    ]);
    let names = [
        "list",
        "object",
        "ß_1",
        "",
        "'",
        "\u{1f511}",
        "x\"\\/\u{8}\u{c}\n\r\t",
    ];
    let others = prop::collection::hash_map(select(names.to_vec()), other, 0..3);
    (others, 0..6_usize).prop_map(|(others, objects)| {
        let mut payload = json!({ "expanded": vec![json!({ "list": [1] }); objects] });
        for (name, value) in others {
            payload[name] = value;
        }
        payload
    })
}

fn check(pointer: &str, payload: &Value) -> Result<(), TestCaseError> {
    let objects = payload["expanded"].as_array().expect("a list").len();
    let followed = follow(pointer, &payload.to_string(), objects);
    match oracle(pointer, payload) {
        None => prop_assert!(followed.is_err(), "{pointer}: {followed:?}"),
        // One level too high or too low, where nothing stands.
        Some(Ok(places)) if places.is_empty() => {
            let nothing = matches!(followed, Err(PointerError::Elsewhere));
            prop_assert!(nothing || followed == Ok(places), "{pointer}: {followed:?}");
        }
        Some(expected) => prop_assert_eq!(followed, expected, "{}", pointer),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_pointer_leads_where_rfc_9535_says(pointer in pointer(), payload in payload()) {
        prop_assert!(oracle(&pointer, &payload).is_some(), "{}", pointer);
        check(&pointer, &payload)?;
    }

    #[test]
    fn what_is_no_pointer_is_refused(
        pointer in pointer(),
        place in any::<prop::sample::Index>(),
        with in select(" $.[]'\"*,:-0129\\bße\u{1f}\u{7f}".chars().collect::<Vec<_>>()),
        replaced in any::<bool>(),
        payload in payload(),
    ) {
        let mut chars: Vec<char> = pointer.chars().collect();
        let place = place.index(chars.len());
        if replaced {
            chars[place] = with;
        } else {
            chars.insert(place, with);
        }
        let pointer: String = chars.into_iter().collect();
        if !pointer.contains("..") {
            check(&pointer, &payload)?;
        }
    }
}

#[test]
fn integers_have_one_form_and_a_range() {
    for (pointer, expected) in [
        ("$.expanded[0]", Ok(vec![0])),
        ("$.expanded[-1]", Ok(vec![2])),
        ("$.expanded[9007199254740991]", Ok(vec![])),
        (
            "$.expanded[-9007199254740991:9007199254740991:9007199254740991]",
            Ok(vec![0]),
        ),
        ("$.expanded[9007199254740992]", Err(PointerError::Syntax)),
        ("$.expanded[-9007199254740992]", Err(PointerError::Syntax)),
        ("$.expanded[00]", Err(PointerError::Syntax)),
        ("$.expanded[-0]", Err(PointerError::Syntax)),
        ("$.expanded[-01]", Err(PointerError::Syntax)),
        ("$.expanded[+1]", Err(PointerError::Syntax)),
        ("$.expanded[--1]", Err(PointerError::Syntax)),
        ("$.expanded[1 2]", Err(PointerError::Syntax)),
        ("$.expanded[]", Err(PointerError::Syntax)),
        ("$.expanded[0,]", Err(PointerError::Syntax)),
        ("$.expanded[0] ", Err(PointerError::Syntax)),
        ("$.expanded[::0]", Ok(vec![])),
    ] {
        let payload = r#"{"expanded":[{},{},{}]}"#;
        assert_eq!(follow(pointer, payload, 3), expected, "{pointer}");
    }
}

#[test]
fn names_may_be_escaped() {
    let payload = json!({ "expanded": [{}], "\u{1f511}": { "key": 1 } }).to_string();
    for (pointer, expected) in [
        (r#"$["\u0065xpanded"][0]"#, Ok(vec![0])),
        // In which the other implementation is wrong.
        (r"$['\ud83d\udd11'].key", Err(PointerError::Elsewhere)),
        (r"$['\uD83D\uDD11'].lock", Ok(vec![])),
        (r"$['\ud83d'].key", Err(PointerError::Syntax)),
        (r"$['\ud83dx'].key", Err(PointerError::Syntax)),
        (r"$['\ud83d\u0041'].key", Err(PointerError::Syntax)),
        (r"$['\udd11'].key", Err(PointerError::Syntax)),
        (r"$['\u+041'].key", Err(PointerError::Syntax)),
        (r"$['\u00'].key", Err(PointerError::Syntax)),
        (r"$['\x'].key", Err(PointerError::Syntax)),
        (r#"$['\"'].key"#, Err(PointerError::Syntax)),
        (r#"$["\'"].key"#, Err(PointerError::Syntax)),
    ] {
        assert_eq!(follow(pointer, &payload, 1), expected, "{pointer}");
    }
}

#[test]
fn names_that_no_text_holds_do_not_count() {
    let payload = r#"{"\ud800":[1e400,"\udfff"],"expand\u0065d":[{}],"a":{"\ud800":1}}"#;
    assert_eq!(follow("$[\"expanded\",'x'][0]", payload, 1), Ok(vec![0]));
    assert_eq!(
        follow("$['a','expanded']['\u{fffd}',0]", payload, 1),
        Ok(vec![0])
    );
    assert_eq!(follow("$.*[0]", payload, 1), Err(PointerError::Elsewhere));
}

#[test]
fn the_limits_are_ten_thousand_each() {
    let list = |count: usize| format!("$.expanded[{}]", vec!["0"; count].join(","));
    let payload = r#"{"expanded":[{}]}"#;
    // One of the selectors is the name.
    assert_eq!(
        follow(&list(LIMIT - 1), payload, 1).map(|found| found.len()),
        Ok(LIMIT - 1)
    );
    assert_eq!(
        follow(&list(LIMIT + 1), payload, 1),
        Err(PointerError::TooLong)
    );
    let twice = "$['expanded','expanded'][*]";
    assert_eq!(
        follow(twice, payload, LIMIT / 2).map(|found| found.len()),
        Ok(LIMIT)
    );
    assert_eq!(
        follow(twice, payload, LIMIT / 2 + 1),
        Err(PointerError::TooLong)
    );
    let other = |items: usize| format!(r#"{{"list":[{}]}}"#, vec!["0"; items].join(","));
    assert_eq!(follow("$['list','x'].x", &other(LIMIT - 1), 0), Ok(vec![]));
    assert_eq!(
        follow("$['list','x'].x", &other(LIMIT), 0),
        Err(PointerError::TooLong)
    );
}
