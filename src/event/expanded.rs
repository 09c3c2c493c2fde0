//! A task with the objects that its pointers lead to.

use std::fmt;

use bytes::Bytes;
use serde::de::Error;
use serde_json::value::RawValue;

use super::any::{AnyMessage, check_type, last_part, leading_type_name, type_name};
use super::app::{App, AppEntitlement, AppResource, AppResourceType, AppUser};
use super::error::{PayloadError, read, whole};
use super::names::Names;
use super::place::{Group, Members, Message, Place, Read, Slot, Texts};
use super::pointer;
use super::reading::{Reading, SMALL_BLOCK, TooMuch};
use super::review::AccessReview;
use super::task::{Task, TaskKind, TaskView, UNSET};
use super::user::User;
use crate::excerpt::for_log;

/// A task and the objects that belong to it, as ConductorOne's `GetTask` returns them.
///
/// ConductorOne sends the objects in a list, with a pointer into it for each role: a
/// JSONPath (RFC 9535) of names, indexes, slices and `*`. The methods follow the
/// pointers. They give nothing for a pointer that is absent. They also give nothing, and
/// log a warning, for a pointer that is malformed or dangling, has a filter or `..`, or
/// leads to an object of another type or to more than 10,000 objects.
#[derive(Clone)]
pub struct ExpandedTask {
    view: TaskView,
    objects: Vec<Object>,
    payload: Bytes,
}

/// An object that belongs to a task.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Object {
    /// An app.
    App(Box<App>),
    /// An account in an app.
    AppUser(Box<AppUser>),
    /// A user of ConductorOne.
    User(Box<User>),
    /// An entitlement of an app.
    AppEntitlement(Box<AppEntitlement>),
    /// A resource in an app.
    AppResource(Box<AppResource>),
    /// A type of an app's resources.
    AppResourceType(Box<AppResourceType>),
    /// An access review.
    AccessReview(Box<AccessReview>),
    /// An object of a type that this version of the crate does not know, or one that
    /// does not match its type.
    Unknown(AnyMessage),
}

impl Object {
    /// Reads an object. One that does not match its type becomes `Unknown`, with the
    /// path to the mismatch, so that the others stay readable.
    fn read(json: &RawValue, reading: &Reading) -> (Self, Option<String>) {
        let text = json.get();
        let unknown =
            |name: &str| Self::Unknown(AnyMessage::new(name.to_owned(), json.to_owned().into()));
        if !text.starts_with('{') {
            return (unknown(""), Some(String::new()));
        }
        let of_type = |name: &str| match reading.attempt(|| Self::of_type(name, text, reading)) {
            Ok(object) => object.map(|object| (object, None)),
            Err((path, _)) => Some((unknown(name), Some(path))),
        };
        if let Some(object) = leading_type_name(text).and_then(of_type) {
            return object;
        }
        match type_name(text).map(Option::unwrap_or_default) {
            Ok(name) => of_type(&name).unwrap_or_else(|| (unknown(&name), None)),
            Err(_) => (unknown(""), Some(String::new())),
        }
    }

    /// `None` if the type is unknown.
    fn of_type(name: &str, json: &str, reading: &Reading) -> serde_json::Result<Option<Self>> {
        let mut object = match name {
            "c1.api.app.v1.App" => Self::App(Box::default()),
            "c1.api.app.v1.AppUser" => Self::AppUser(Box::default()),
            "c1.api.user.v1.User" => Self::User(Box::default()),
            "c1.api.app.v1.AppEntitlement" => Self::AppEntitlement(Box::default()),
            "c1.api.app.v1.AppResource" => Self::AppResource(Box::default()),
            "c1.api.app.v1.AppResourceType" => Self::AppResourceType(Box::default()),
            "c1.api.accessreview.v1.AccessReview" => Self::AccessReview(Box::default()),
            _ => return Ok(None),
        };
        let message: &mut dyn Message = match &mut object {
            Self::App(app) => &mut **app,
            Self::AppUser(account) => &mut **account,
            Self::User(user) => &mut **user,
            Self::AppEntitlement(entitlement) => &mut **entitlement,
            Self::AppResource(resource) => &mut **resource,
            Self::AppResourceType(kind) => &mut **kind,
            Self::AccessReview(review) => &mut **review,
            Self::Unknown(_) => return Ok(None),
        };
        reading.take(size_of_val(message)).map_err(Error::custom)?;
        whole(Members(message, reading), json)?;
        Ok(Some(object))
    }
}

macro_rules! to_one {
    ($($(#[$doc:meta])+ $method:ident, $pointer:ident $name:literal: $object:ident;)+) => {
        impl ExpandedTask {$(
            $(#[$doc])+
            #[must_use]
            pub fn $method(&self) -> Option<&$object> {
                match self.one($name, &self.view.$pointer)? {
                    Object::$object(object) => Some(object),
                    _ => {
                        warn($name, &self.view.$pointer, concat!("the object is not of type ", stringify!($object)));
                        None
                    }
                }
            }
        )+}
    };
}

to_one! {
    /// The app that the task is about (`appPath`).
    app, app_path "appPath": App;
    /// The account that the task is about (`appUserPath`).
    app_user, app_user_path "appUserPath": AppUser;
    /// The user that the task is about (`userPath`).
    user, user_path "userPath": User;
    /// The user who owns the account (`identityUserPath`).
    identity_user, identity_user_path "identityUserPath": User;
    /// The user who created the task (`createdByUserPath`).
    created_by_user, created_by_user_path "createdByUserPath": User;
    /// The resource that is the role in question (`roleResourcePath`).
    role_resource, role_resource_path "roleResourcePath": AppResource;
    /// The resource to which the role is limited (`scopeResourcePath`).
    scope_resource, scope_resource_path "scopeResourcePath": AppResource;
    /// The resource whose access is under review or to be revoked
    /// (`principalResourcePath`).
    principal_resource, principal_resource_path "principalResourcePath": AppResource;
    /// The access review that the task belongs to (`accessReviewPath`).
    access_review, access_review_path "accessReviewPath": AccessReview;
}

macro_rules! to_several {
    ($($(#[$doc:meta])+ $method:ident, $pointer:ident $name:literal: $object:ident;)+) => {
        impl ExpandedTask {$(
            $(#[$doc])+
            #[must_use]
            pub fn $method(&self) -> Vec<&$object> {
                let pointer = &self.view.$pointer;
                let objects = self.several($name, pointer);
                let of_kind = objects.iter().filter_map(|object| match object {
                    Object::$object(object) => Some(&**object),
                    _ => None,
                });
                let of_kind: Vec<_> = of_kind.collect();
                if of_kind.len() < objects.len() {
                    warn($name, pointer, concat!("an object is not of type ", stringify!($object)));
                }
                of_kind
            }
        )+}
    };
}

to_several! {
    /// The entitlements that the task is about (`entitlementsPath`).
    entitlements, entitlements_path "entitlementsPath": AppEntitlement;
    /// The users who may decide the current step (`stepApproversPath`).
    step_approvers, step_approvers_path "stepApproversPath": User;
    /// The users who have approved or denied the task (`approversPath`).
    approvers, approvers_path "approversPath": User;
}

impl ExpandedTask {
    /// Reads the payload of the event with this name. `text` is that of `payload`.
    pub(super) fn read(event: &str, text: &str, payload: Bytes) -> Result<Self, PayloadError> {
        let reading = Reading::of(text);
        let mut parts = Parts::default();
        read(Read(&mut parts, &reading), text, &reading)?;
        let Parts {
            view,
            mut objects,
            type_url,
        } = parts;
        check_type(event, type_url.as_deref().map(last_part))?;
        if let Some(first) = objects.first_mismatch {
            let count = objects.mismatches;
            tracing::warn!(count, first, "objects of the task do not match their types");
        }
        objects.all.shrink_to_fit();
        Ok(Self {
            view,
            objects: objects.all,
            payload,
        })
    }

    /// The task and its pointers, unresolved.
    #[must_use]
    pub fn view(&self) -> &TaskView {
        &self.view
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.view.task.as_deref()
    }

    /// What the task is to do; [`TaskKind::Unset`] if there is no task, or it does
    /// not say.
    #[must_use]
    pub fn kind(&self) -> &TaskKind {
        self.task().map_or(&UNSET, Task::kind)
    }

    /// All objects that belong to the task, in the order of the payload.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// When the account was last used (`appUserLastUsagePath`).
    #[must_use]
    pub fn app_user_last_usage(&self) -> Option<&Object> {
        self.one("appUserLastUsagePath", &self.view.app_user_last_usage_path)
    }

    /// ConductorOne's insights into the task (`insightsPath`).
    #[must_use]
    pub fn insights(&self) -> Vec<&Object> {
        self.several("insightsPath", &self.view.insights_path)
    }

    /// The bindings of roles to resources (`resourceBindingsPath`).
    #[must_use]
    pub fn resource_bindings(&self) -> Vec<&Object> {
        self.several("resourceBindingsPath", &self.view.resource_bindings_path)
    }

    fn one(&self, name: &str, pointer: &str) -> Option<&Object> {
        match self.several(name, pointer).as_slice() {
            [] => None,
            [object] => Some(object),
            _ => {
                warn(name, pointer, "it leads to several objects");
                None
            }
        }
    }

    fn several(&self, name: &str, pointer: &str) -> Vec<&Object> {
        if pointer.is_empty() {
            return Vec::new();
        }
        match pointer::follow(pointer, &self.payload, self.objects.len()) {
            Ok(places) if places.is_empty() => warn(name, pointer, "it leads nowhere"),
            Ok(places) => {
                let object = |place| self.objects.get(place);
                return places.into_iter().filter_map(object).collect();
            }
            Err(error) => warn(name, pointer, &error.to_string()),
        }
        Vec::new()
    }
}

fn warn(name: &str, pointer: &str, reason: &str) {
    let (pointer, reason) = (for_log(pointer), for_log(reason));
    tracing::warn!(
        name,
        ?pointer,
        ?reason,
        "cannot follow a pointer of the task view"
    );
}

/// The parts of a task event's payload.
#[derive(Default)]
struct Parts {
    view: TaskView,
    objects: Objects,
    type_url: Option<String>,
}

#[derive(Default)]
struct Objects {
    all: Vec<Object>,
    /// How many do not match their types, and the path to the first mismatch.
    mismatches: usize,
    first_mismatch: Option<String>,
}

impl Slot for Parts {
    fn place(&mut self) -> Place<'_> {
        Place::Message(self)
    }
}

impl Message for Parts {
    fn names(&self) -> &'static Names {
        static NAMES: Names = Names::new(&[&["taskView", "expanded", "@type"]]);
        &NAMES
    }

    fn field(&mut self, index: usize) -> Option<Place<'_>> {
        Some(match index {
            0 => self.view.place(),
            1 => self.objects.place(),
            _ => self.type_url.place(),
        })
    }

    fn group(&mut self, _: usize) -> Option<&mut dyn Group> {
        None
    }
}

impl Slot for Objects {
    fn place(&mut self) -> Place<'_> {
        Place::Texts(self)
    }
}

impl Texts for Objects {
    fn add(&mut self, json: &RawValue, reading: &Reading) -> Result<(), TooMuch> {
        reading.take(size_of::<Object>() + SMALL_BLOCK)?;
        let (object, mismatch) = Object::read(json, reading);
        if let Some(path) = mismatch {
            let index = self.all.len();
            self.mismatches += 1;
            self.first_mismatch
                .get_or_insert_with(|| format!("payload.expanded[{index}]{path}"));
        }
        self.all.push(object);
        Ok(())
    }
}

impl fmt::Debug for ExpandedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpandedTask")
            .field("view", &self.view)
            .field("objects", &self.objects)
            .finish_non_exhaustive()
    }
}
