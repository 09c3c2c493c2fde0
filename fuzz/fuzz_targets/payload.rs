//! Input: a payload, of the event that it says it is of; else, of a provisioning
//! step.
//!
//! Reading it does no harm, keeps at most 20 times the memory of its text, and
//! takes at most three times as long as parsing it; what is new to the crate is
//! never an error; and the pointers of a task lead to objects that came with it.
//! The costs hold for the input as an object that comes many times, too.
#![no_main]

use std::ptr;

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use serde_json::Value;
use serde_json::value::RawValue;
use tower_conductorone::event::{ExpandedTask, Object, Payload, PayloadError};
use tower_conductorone_fuzz::{Members, is_slower};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Three times as long as parsing at most, and as much again for the counters.
const TIMES: u32 = 6;

/// About so many bytes of objects are made of the input: what is little once
/// may be much.
const MANY: usize = 32 << 10;

fuzz_target!(|data: &[u8]| {
    let event = event(data).unwrap_or_else(|| "c1.webhooks.v1.PayloadProvisionStep".to_owned());
    let payload = read_cheaply(&event, data);
    if data.len() < MANY && serde_json::from_slice::<&RawValue>(data).is_ok() {
        let items = vec![data; MANY / (data.len() + 1)].join(&b',');
        let many = [br#"{"expanded":["#, &*items, b"]}"].concat();
        let _ = read_cheaply("c1.webhooks.v1.PayloadProvisionStep", &many);
    }
    let payload = match payload {
        Ok(payload) => payload,
        Err(error) => {
            assert!(error.to_string().len() < 2048);
            return;
        }
    };
    let json = serde_json::from_slice::<&RawValue>(data).expect("only JSON is a payload");
    if let Some(rest) = json.get().strip_prefix('{') {
        let comma = if rest.trim_start() == "}" { "" } else { "," };
        let newer = format!(r#"{{"newInTheNextVersion":[{{}}]{comma}{rest}"#);
        assert!(Payload::from_json(&event, newer.as_bytes()).is_ok());
    }
    if let Some(view) = payload.task_view() {
        check(view);
    }
    assert!(!format!("{payload:?}").is_empty());
});

/// Reads a payload, and sees what that costs.
fn read_cheaply(event: &str, data: &[u8]) -> Result<Payload, PayloadError> {
    let before = MEMORY.current_usage();
    let payload = Payload::from_json(event, data);
    let kept = MEMORY.current_usage().saturating_sub(before);
    assert!(
        kept <= 20 * data.len() + (64 << 10),
        "{kept} bytes are kept"
    );
    let read = || Payload::from_json(event, data).is_ok();
    // What is nested deeply, no `Value` holds.
    let parse = || serde_json::from_slice::<Value>(data).is_ok();
    assert!(!parse() || !is_slower(read, parse, TIMES), "it takes long");
    payload
}

fn event(payload: &[u8]) -> Option<String> {
    let payload: Members = serde_json::from_slice(payload).ok()?;
    let name: String = serde_json::from_str(payload.get("@type")?.get()).ok()?;
    Some(name.rsplit('/').next()?.to_owned())
}

/// Whether a reference is to one of the objects.
macro_rules! is_one_of {
    ($objects:ident, $kind:ident) => {
        |found: &_| {
            $objects.iter().any(
                |object| matches!(object, Object::$kind(object) if ptr::eq(&**object, found)),
            )
        }
    };
}

fn check(view: &ExpandedTask) {
    let objects = view.objects();
    let is_app = is_one_of!(objects, App);
    let is_app_user = is_one_of!(objects, AppUser);
    let is_user = is_one_of!(objects, User);
    let is_resource = is_one_of!(objects, AppResource);
    let is_entitlement = is_one_of!(objects, AppEntitlement);
    let is_review = is_one_of!(objects, AccessReview);
    let is_object = |found: &_| objects.iter().any(|object| ptr::eq(object, found));

    assert!(view.app().is_none_or(is_app));
    assert!(view.app_user().is_none_or(is_app_user));
    for user in [view.user(), view.identity_user(), view.created_by_user()] {
        assert!(user.is_none_or(is_user));
    }
    for resource in [
        view.role_resource(),
        view.scope_resource(),
        view.principal_resource(),
    ] {
        assert!(resource.is_none_or(is_resource));
    }
    assert!(view.access_review().is_none_or(is_review));
    assert!(view.app_user_last_usage().is_none_or(is_object));
    assert!(view.entitlements().into_iter().all(is_entitlement));
    for users in [view.step_approvers(), view.approvers()] {
        assert!(users.into_iter().all(is_user));
    }
    for several in [view.insights(), view.resource_bindings()] {
        assert!(several.len() <= 10_000);
        assert!(several.into_iter().all(is_object));
    }
    let _ = (view.task(), view.view());
}
