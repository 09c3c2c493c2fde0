//! Input: a pointer, a line feed, and a payload of a task without its
//! `taskView`.
//!
//! The pointer leads where another implementation of JSONPath says, if it is of
//! the kind that is followed; and following it takes no longer than parsing
//! the payload.
#![no_main]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ptr;

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use serde_json_path::{JsonPath, PathElement};
use tower_conductorone::event::Payload;
use tower_conductorone_fuzz::is_slower;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((pointer, rest)) = text.split_once('\n') else {
        return;
    };
    let Some(rest) = rest.trim_start().strip_prefix('{') else {
        return;
    };
    let comma = if rest.trim_start().starts_with('}') {
        ""
    } else {
        ","
    };
    let view = json!({ "insightsPath": pointer });
    let payload = format!(r#"{{"taskView":{view}{comma}{rest}"#);
    let read = Payload::from_json("c1.webhooks.v1.PayloadProvisionStep", payload.as_bytes());
    let Ok(Payload::ProvisionStep(step)) = read else {
        return;
    };
    let view = step.task_view();
    let follow = || black_box(view.insights().len());
    let parse = || black_box(serde_json::from_str::<Value>(&payload).is_ok());
    assert!(!is_slower(follow, parse, 1), "{} bytes", payload.len());

    let objects = view.objects().iter().zip(0..);
    let objects: BTreeMap<_, usize> = objects
        .map(|(object, i)| (ptr::from_ref(object), i))
        .collect();
    let places = view
        .insights()
        .into_iter()
        .map(|found| objects[&ptr::from_ref(found)]);
    let places: Vec<_> = places.collect();
    if let Some(expected) = judge(pointer, &payload) {
        assert_eq!(places, expected);
    }
});

/// What another implementation says, where that takes it no time without
/// measure. It is wrong about surrogate pairs, and panics where a text ends
/// within an escape.
fn judge(pointer: &str, payload: &str) -> Option<Vec<usize>> {
    let count = |part: &str| pointer.matches(part).count();
    let odd = ["..", "?", r"\u"];
    if pointer.len() > 256 || count("[") > 4 || odd.iter().any(|odd| pointer.contains(odd)) {
        return None;
    }
    let payload: Value = serde_json::from_str(payload).ok()?;
    let Ok(path) = JsonPath::parse(pointer) else {
        return Some(Vec::new());
    };
    let located = path.query_located(&payload);
    let places =
        located.locations().map(
            |location| match location.iter().collect::<Vec<_>>().as_slice() {
                [PathElement::Name("expanded"), PathElement::Index(place)] => Some(*place),
                _ => None,
            },
        );
    Some(places.collect::<Option<Vec<_>>>().unwrap_or_default())
}
