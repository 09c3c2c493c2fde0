//! The typed model against the list of all messages in `data/model.json`, which
//! `data/model.py` makes from a schema file: nothing is missing, nothing is too
//! much, and whatever a sender may legally write is read and
//! written back as the same value.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tower_conductorone::event::app::{App, AppEntitlement, AppResource, AppResourceType, AppUser};
use tower_conductorone::event::finding::{
    DeactivatedOwnerDetail, DeactivatedOwnerType, DecoyCredentialUsedType, FindingOwnerRef,
    FindingRiskFactor, FindingRiskScore, ServiceAccountMisclassificationType,
};
use tower_conductorone::event::review::AccessReview;
use tower_conductorone::event::task::TaskView;
use tower_conductorone::event::user::User;
use tower_conductorone::event::{
    ExpandedTask, FindingDispatch, Object, Payload, Test, WorkflowStep,
};
use tower_conductorone::testing::Fixture;

/// The messages that everything else hangs from, and what becomes of a JSON
/// text that is read as one: the JSON written back, and what Rust says of it.
const ROOTS: &[(&str, Through)] = &[
    ("TaskView", through::<TaskView>),
    ("App", through::<App>),
    ("AppUser", through::<AppUser>),
    ("AppEntitlement", through::<AppEntitlement>),
    ("AppResource", through::<AppResource>),
    ("AppResourceType", through::<AppResourceType>),
    ("User", through::<User>),
    ("AccessReview", through::<AccessReview>),
    ("PayloadTest", through::<Test>),
    ("PayloadWorkflowStep", through::<WorkflowStep>),
    ("PayloadFindingDispatch", through::<FindingDispatch>),
    // A finding's `Debug` does not show these.
    ("FindingRiskScore", through::<FindingRiskScore>),
    ("FindingRiskFactor", through::<FindingRiskFactor>),
    ("FindingOwnerRef", through::<FindingOwnerRef>),
    (
        "ServiceAccountMisclassificationType",
        through::<ServiceAccountMisclassificationType>,
    ),
    (
        "DecoyCredentialUsedType",
        through::<DecoyCredentialUsedType>,
    ),
    ("DeactivatedOwnerType", through::<DeactivatedOwnerType>),
    ("DeactivatedOwnerDetail", through::<DeactivatedOwnerDetail>),
];

/// The payloads that are made of a task view and of objects: what is in them is
/// looked at here, they themselves are in `payloads.rs`.
const OF_TASKS: [&str; 3] = [
    "PayloadPolicyApprovalStep",
    "PayloadPolicyPostAction",
    "PayloadProvisionStep",
];

type Through = fn(&str) -> serde_json::Result<(Value, String)>;

fn through<T>(text: &str) -> serde_json::Result<(Value, String)>
where
    T: for<'de> Deserialize<'de> + serde::Serialize + std::fmt::Debug,
{
    let typed: T = serde_json::from_str(text)?;
    let written = serde_json::to_value(&typed)?;
    // The same from what is no longer text, as it may have been stored.
    let stored: T = serde_json::from_value(serde_json::from_str(text)?)?;
    assert_eq!(serde_json::to_value(&stored)?, written);
    Ok((written, format!("{typed:?}")))
}

#[derive(Deserialize)]
struct Model {
    messages: BTreeMap<String, Message>,
    enums: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Message {
    fields: BTreeMap<String, Kind>,
    #[serde(default)]
    oneofs: BTreeMap<String, Vec<String>>,
}

impl Message {
    fn group_of(&self, field: &str) -> Option<&str> {
        let mut groups = self.oneofs.iter();
        groups
            .find(|(_, members)| members.iter().any(|member| member == field))
            .map(|(group, _)| group.as_str())
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "kind")]
    name: String,
    #[serde(rename = "ref")]
    refers_to: Option<String>,
    items: Option<Box<Kind>>,
    values: Option<Box<Kind>>,
}

impl Kind {
    fn refers_to(&self) -> &str {
        self.refers_to.as_deref().expect("a reference")
    }

    fn inner(&self) -> &Kind {
        self.items
            .as_deref()
            .or(self.values.as_deref())
            .unwrap_or(self)
    }
}

/// All of the list.
fn list() -> Model {
    serde_json::from_str(include_str!("../data/model.json")).expect("the list of messages")
}

/// What of the list has a type of its own.
fn model() -> Model {
    let mut model = list();
    for payload in OF_TASKS {
        model.messages.remove(payload).expect("it is in the list");
    }
    model
}

/// A value that is not the default.
fn sample(model: &Model, kind: &Kind) -> Value {
    match kind.name.as_str() {
        "string" => json!("text"),
        "bool" => json!(true),
        "int64" => json!("9007199254740993"),
        "int32" => json!(i32::MIN),
        "uint32" => json!(u32::MAX),
        "number" => json!(2.5),
        "timestamp" => json!("2026-01-02T03:04:05.678Z"),
        "duration" => json!("-1.5s"),
        "struct" => json!({ "free": [1, null] }),
        "any" => json!({ "@type": "type.googleapis.com/x.Y", "value": "1s" }),
        "enum" => json!(model.enums[kind.refers_to()].last().expect("values")),
        "message" => json!({}),
        "list" => json!([sample(model, kind.inner())]),
        "map" => json!({ "key": sample(model, kind.inner()) }),
        other => panic!("{other}"),
    }
}

/// What a sender writes that leaves nothing out for a field that is not set.
fn unset(model: &Model, kind: &Kind) -> Value {
    match kind.name.as_str() {
        "string" => json!(""),
        "bool" => json!(false),
        "int64" => json!("0"),
        "int32" | "uint32" | "number" => json!(0),
        "enum" => json!(model.enums[kind.refers_to()][0]),
        "list" => json!([]),
        "map" => json!({}),
        _ => Value::Null,
    }
}

/// The same message, with every field present that is not in a oneof.
fn populated(model: &Model, name: &str, message: &Value) -> Value {
    let Some(listed) = model.messages.get(name) else {
        return message.clone();
    };
    let mut whole = message.as_object().expect("an object").clone();
    for (field, kind) in &listed.fields {
        let value = match message.get(field) {
            Some(value) if !value.is_null() => populated_value(model, kind, value),
            _ if listed.group_of(field).is_some() => continue,
            _ => unset(model, kind),
        };
        whole.insert(field.clone(), value);
    }
    whole.into()
}

fn populated_value(model: &Model, kind: &Kind, value: &Value) -> Value {
    match (kind.name.as_str(), value) {
        (_, Value::Null) => Value::Null,
        ("message", message) => populated(model, kind.refers_to(), message),
        ("any", message) => {
            let name = message["@type"].as_str().unwrap_or_default();
            populated(model, name.rsplit('.').next().expect("a part"), message)
        }
        ("list", Value::Array(items)) => {
            let items = items.iter();
            items
                .map(|item| populated_value(model, kind.inner(), item))
                .collect()
        }
        ("map", Value::Object(entries)) => {
            let entries = entries.iter();
            let of = |value| populated_value(model, kind.inner(), value);
            Value::Object(
                entries
                    .map(|(key, value)| (key.clone(), of(value)))
                    .collect(),
            )
        }
        _ => value.clone(),
    }
}

/// A root, and the fields with their kinds that lead to a message from there.
type Route<'a> = (usize, Vec<(&'a str, &'a str)>);

/// For each message that can be reached from a root: how.
fn routes(model: &Model) -> BTreeMap<&str, Route<'_>> {
    let mut routes = BTreeMap::new();
    let mut todo: std::collections::VecDeque<_> = (0..ROOTS.len())
        .map(|root| (ROOTS[root].0, (root, Vec::new())))
        .collect();
    while let Some((message, route)) = todo.pop_front() {
        if routes.contains_key(message) {
            continue;
        }
        for (field, kind) in &model.messages[message].fields {
            if kind.inner().name == "message" {
                let mut next = route.1.clone();
                next.push((field.as_str(), kind.name.as_str()));
                todo.push_back((kind.inner().refers_to(), (route.0, next)));
            }
        }
        routes.insert(message, route);
    }
    routes
}

/// The message, where the route leads.
fn wrapped(route: &[(&str, &str)], message: Value) -> Value {
    route.iter().rev().fold(message, |inner, (field, kind)| {
        let inner = match *kind {
            "list" => json!([inner]),
            "map" => json!({ "key": inner }),
            _ => inner,
        };
        json!({ *field: inner })
    })
}

#[track_caller]
fn comes_back(root: usize, route: &[(&str, &str)], message: &Value, what: &str) {
    let wrapped = wrapped(route, message.clone());
    let (name, read) = ROOTS[root];
    let (written, debug) =
        read(&wrapped.to_string()).unwrap_or_else(|error| panic!("{what}: {error}: {wrapped}"));
    assert_eq!(written, wrapped, "{what}, in {name}");
    assert!(!debug.contains("Unknown("), "{what} is not known: {debug}");
}

#[test]
fn every_field_every_member_and_every_value_is_there() {
    let model = model();
    let routes = routes(&model);
    let (mut fields, mut values) = (0, 0);
    for (name, message) in &model.messages {
        let Some((root, route)) = routes.get(name.as_str()) else {
            panic!("{name} cannot be reached")
        };
        comes_back(*root, route, &json!({}), name);
        for (field, kind) in &message.fields {
            let what = format!("{name}.{field}");
            comes_back(*root, route, &json!({ field: sample(&model, kind) }), &what);
            fields += 1;
            if kind.inner().name == "enum" {
                // The first is the default, which is not written but in lists.
                let skip = usize::from(kind.name != "list");
                for value in model.enums[kind.inner().refers_to()].iter().skip(skip) {
                    let value = if kind.name == "list" {
                        json!([value])
                    } else {
                        json!(value)
                    };
                    comes_back(*root, route, &json!({ field: value }), &what);
                    values += 1;
                }
            }
        }
    }
    let counts = (model.messages.len(), fields, values);
    assert!(
        counts >= (200, 900, 220),
        "the list is too short: {counts:?}"
    );
}

#[test]
fn numbers_are_of_the_kinds_that_the_list_says() {
    let model = model();
    let mut numbers = 0;
    for (name, (root, route)) in routes(&model) {
        for (field, kind) in &model.messages[name].fields {
            let (taken, refused) = match kind.name.as_str() {
                "int32" => (json!([-1, i32::MAX]), json!([0.5, 1_u32 << 31])),
                "uint32" => (json!([1, u32::MAX]), json!([0.5, -1, 1_u64 << 32])),
                "int64" => (json!(["-1", i64::MAX]), json!([0.5, 1_u64 << 63])),
                "number" => (json!([0.5, -1, 1e300]), json!(["1x"])),
                _ => continue,
            };
            let read = |value: &Value| {
                let message = wrapped(&route, json!({ field: value }));
                ROOTS[root].1(&message.to_string())
            };
            for value in taken.as_array().expect("values") {
                assert!(read(value).is_ok(), "{name}.{field}: {value}");
            }
            for value in refused.as_array().expect("values") {
                assert!(read(value).is_err(), "{name}.{field}: {value}");
            }
            numbers += 1;
        }
    }
    assert!(numbers >= 20, "{numbers}");
}

/// The members of each message, and the values of each enum, as the model's
/// source has them: `message!`, `oneof!` and `enumeration!` in `src/event`.
fn written_in_rust() -> (BTreeSet<BTreeSet<String>>, BTreeSet<Vec<String>>) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/event");
    let source: String = std::fs::read_dir(folder)
        .expect("the source")
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text"))
        .collect();
    let blocks = |kind: &str| {
        let start = format!("\n{kind}! {{\n");
        let blocks = source.split(&start).skip(1);
        let blocks = blocks.map(|block| block.split("\n}\n").next().expect("a block"));
        let code = |line: &&str| !line.trim_start().starts_with("//");
        blocks
            .map(|block| block.lines().filter(code).collect::<Vec<_>>().join("\n"))
            .collect::<Vec<_>>()
    };
    let quoted = |block: &str| -> Vec<String> {
        let texts = block.split('"').skip(1).step_by(2);
        texts.map(ToOwned::to_owned).collect()
    };
    let name = |block: &str| block.split_whitespace().next().expect("a name").to_owned();

    let oneofs: BTreeMap<_, _> = blocks("oneof")
        .iter()
        .map(|block| (name(block), quoted(block)))
        .collect();
    let messages = blocks("message").into_iter().map(|block| {
        let (fields, groups) = block.split_once("oneof {").unwrap_or((&block, ""));
        let of_group = |line: &str| {
            let (_, oneof) = line.trim().strip_suffix(',')?.split_once(": ")?;
            Some(oneofs[oneof].clone())
        };
        let members = groups.lines().filter_map(of_group).flatten();
        quoted(fields).into_iter().chain(members).collect()
    });
    let enums = blocks("enumeration");
    (
        messages.collect(),
        enums.iter().map(|block| quoted(block)).collect(),
    )
}

#[test]
fn nothing_is_there_that_the_list_lacks() {
    let model = model();
    let (messages, enums) = written_in_rust();
    let listed = model.messages.values();
    let listed: BTreeSet<BTreeSet<String>> = listed
        .map(|message| message.fields.keys().cloned().collect())
        .collect();
    let odd: Vec<_> = messages.symmetric_difference(&listed).collect();
    assert!(odd.is_empty(), "{odd:?}");
    let listed = model.enums.into_values().collect();
    let odd: Vec<_> = enums.symmetric_difference(&listed).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

/// What the typed payload holds, as it is compared.
fn typed(event: &str, payload: &str) -> (Value, String) {
    let json = |message: serde_json::Result<Value>| message.expect("JSON");
    match Payload::from_json(event, payload.as_bytes()).expect(payload) {
        Payload::Test(test) => (json(serde_json::to_value(&*test)), String::new()),
        Payload::WorkflowStep(step) => (json(serde_json::to_value(&*step)), String::new()),
        Payload::FindingDispatch(sent) => (json(serde_json::to_value(&*sent)), String::new()),
        other => of_task(other.task_view().expect(event)),
    }
}

fn of_task(task: &ExpandedTask) -> (Value, String) {
    let view = serde_json::to_value(task.view()).expect("JSON");
    let known = |object: &&Object| !matches!(object, Object::Unknown(_));
    let objects: Vec<_> = task.objects().iter().filter(known).collect();
    (view, format!("{objects:?}"))
}

#[test]
fn a_payload_that_leaves_nothing_out_is_the_sparse_one() {
    let model = list();
    for fixture in Fixture::ALL {
        let (event, name) = (fixture.event(), fixture.name());
        let payload = fixture.payload();
        let message = event.rsplit('.').next().expect("a name");
        let whole = populated(&model, message, &payload);
        let sparse = typed(event, &payload.to_string());
        assert_eq!(typed(event, &whole.to_string()), sparse, "{name}");

        if let Some(event) = name.strip_suffix("minimal") {
            let unpopulated = format!("{event}unpopulated");
            let fixture = Fixture::named(&unpopulated).expect(&unpopulated);
            assert_eq!(fixture.payload(), whole, "run data/model.py");
            assert_eq!(typed(fixture.event(), fixture.json()), sparse, "{name}");
        }
    }
}

#[test]
fn a_oneof_has_one_member() {
    let model = model();
    let routes = routes(&model);
    for (name, message) in &model.messages {
        let (root, route) = &routes[name.as_str()];
        let groups: Vec<_> = message
            .oneofs
            .values()
            .filter(|members| members.len() > 1)
            .collect();
        for members in groups {
            let (one, other) = (&members[0], &members[1]);
            let of = |member: &String| sample(&model, &message.fields[member]);
            // `null` is a member that is not set.
            let wrapped = |inner: Value| wrapped(route, inner);
            let text = wrapped(json!({ one: of(one), other: null })).to_string();
            let (written, _) = ROOTS[*root].1(&text).expect("one member and a null");
            assert_eq!(written, wrapped(json!({ one: of(one) })), "{name}");

            let text = wrapped(json!({ one: of(one), other: of(other) })).to_string();
            let error = ROOTS[*root].1(&text).expect_err(name).to_string();
            assert!(
                error.contains(one.as_str()) && error.contains(other.as_str()),
                "{error}"
            );
        }
    }
}

/// What a sender may write, and what that means: the JSON that the crate writes
/// for it.
struct Written {
    sent: Value,
    meant: Value,
}

struct Sender<'a> {
    model: &'a Model,
    random: fastrand::Rng,
}

impl Sender<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.u32(0..100) < percent
    }

    fn text(&mut self) -> String {
        const LETTERS: [char; 8] = ['a', 'Z', '0', ' ', '"', '\\', 'ß', '\u{1f511}'];
        let length = self.random.usize(1..8);
        (0..length)
            .map(|_| LETTERS[self.random.usize(..LETTERS.len())])
            .collect()
    }

    fn message(&mut self, name: &str, depth: u32) -> Written {
        let model = self.model;
        let message = &model.messages[name];
        let (mut sent, mut meant) = (Map::new(), Map::new());
        let mut chosen = BTreeMap::new();
        for (group, members) in &message.oneofs {
            if self.chance(70) {
                chosen.insert(
                    group.as_str(),
                    members[self.random.usize(..members.len())].clone(),
                );
            }
        }
        for (field, kind) in &message.fields {
            let group = message.group_of(field);
            if let Some(group) = group {
                if chosen.get(group) != Some(field) {
                    if self.chance(10) {
                        sent.insert(field.clone(), Value::Null);
                    }
                    continue;
                }
            } else if self.chance(40) {
                continue;
            } else if self.chance(30) {
                sent.insert(field.clone(), unset(model, kind));
                continue;
            } else if self.chance(10) {
                sent.insert(field.clone(), Value::Null);
                continue;
            }
            if depth == 0 && kind.inner().name == "message" {
                chosen.retain(|_, member| member != field);
                continue;
            }
            let value = self.value(kind, depth);
            let is_default = group.is_none()
                && (value.meant == json!([]) && kind.name == "list"
                    || value.meant == json!({}) && kind.name == "map"
                    || kind.name == "enum"
                        && value.meant == json!(model.enums[kind.refers_to()][0]));
            if !is_default {
                meant.insert(field.clone(), value.meant);
            }
            sent.insert(field.clone(), value.sent);
        }
        if self.chance(10) {
            let odd = [
                json!("x"),
                json!(1.5),
                json!([{}]),
                json!(false),
                json!(null),
            ];
            sent.insert(
                "zzzUnknown".to_owned(),
                odd[self.random.usize(..odd.len())].clone(),
            );
        }
        // An object that nobody knows is taken for the member of the first group
        // that is unset.
        if self.chance(10) {
            let member = json!({ "later": [1, { "deep": null }] });
            sent.insert("zzzMember".to_owned(), member.clone());
            if message
                .oneofs
                .keys()
                .any(|group| !chosen.contains_key(group.as_str()))
            {
                meant.insert("zzzMember".to_owned(), member);
            }
        }
        Written {
            sent: sent.into(),
            meant: meant.into(),
        }
    }

    fn value(&mut self, kind: &Kind, depth: u32) -> Written {
        let same = |value: Value| Written {
            sent: value.clone(),
            meant: value,
        };
        match kind.name.as_str() {
            "string" => same(self.text().into()),
            "bool" => same(json!(true)),
            "int64" => {
                let number = self.random.i64(..).max(1);
                let sent = if self.chance(30) {
                    json!(number)
                } else {
                    json!(number.to_string())
                };
                Written {
                    sent,
                    meant: json!(number.to_string()),
                }
            }
            "int32" => same(json!(self.random.i32(1..))),
            "uint32" => same(json!(self.random.u32(1..))),
            "number" => same(json!(f64::from(self.random.i32(1..1000)) + 0.25)),
            "timestamp" => {
                let day = self.random.u32(1..29);
                let (padded, plain) = [
                    ("", ""),
                    (".500", ".5"),
                    (".000000", ""),
                    (".123456789", ".123456789"),
                ][self.random.usize(..4)];
                let zone = ["Z", "+00:00", "-00:00"][self.random.usize(..3)];
                Written {
                    sent: json!(format!("2026-03-{day:02}T10:20:30{padded}{zone}")),
                    meant: json!(format!("2026-03-{day:02}T10:20:30{plain}Z")),
                }
            }
            "duration" => {
                let (sent, meant) = [
                    ("3600s", "3600s"),
                    ("1.500s", "1.5s"),
                    ("-1.5s", "-1.5s"),
                    ("0s", "0s"),
                ][self.random.usize(..4)];
                Written {
                    sent: json!(sent),
                    meant: json!(meant),
                }
            }
            "struct" => same(json!({ "a": [1, "x", null, { "b": 1e300 }] })),
            "any" => same(json!({ "@type": "type.googleapis.com/x.Y", "z": self.text() })),
            "enum" => {
                let model = self.model;
                let values = &model.enums[kind.refers_to()];
                match self.random.u32(..10) {
                    0 => same(json!("ZZZ_LATER")),
                    1 => same(json!(4711)),
                    2 => Written {
                        sent: json!(0),
                        meant: json!(values[0]),
                    },
                    _ => same(json!(values[self.random.usize(..values.len())])),
                }
            }
            "message" => self.message(kind.refers_to(), depth.saturating_sub(1)),
            "list" => {
                let items = self.random.usize(..3);
                let items: Vec<_> = (0..items)
                    .map(|_| self.value(kind.inner(), depth))
                    .collect();
                let (sent, meant): (Vec<_>, Vec<_>) = items
                    .into_iter()
                    .map(|item| (item.sent, item.meant))
                    .unzip();
                Written {
                    sent: sent.into(),
                    meant: meant.into(),
                }
            }
            "map" => {
                let (mut sent, mut meant) = (Map::new(), Map::new());
                for _ in 0..self.random.usize(..3) {
                    let (key, value) = (self.text(), self.value(kind.inner(), depth));
                    sent.insert(key.clone(), value.sent);
                    meant.insert(key, value.meant);
                }
                Written {
                    sent: sent.into(),
                    meant: meant.into(),
                }
            }
            other => panic!("{other}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_a_sender_may_write_comes_back_as_what_it_means(seed: u64, root in 0..ROOTS.len()) {
        let model = model();
        let mut sender = Sender { model: &model, random: fastrand::Rng::with_seed(seed) };
        let (name, read) = ROOTS[root];
        let message = sender.message(name, 8);
        let (written, _) = read(&message.sent.to_string())
            .map_err(|error| TestCaseError::fail(format!("{error}: {}", message.sent)))?;
        prop_assert_eq!(written, message.meant);
    }
}
