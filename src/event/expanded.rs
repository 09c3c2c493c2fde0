//! A task together with the objects that its pointers lead to.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::any::{AnyMessage, type_name};
use super::app::{App, AppEntitlement, AppResource, AppResourceType, AppUser};
use super::error::{PayloadError, read};
use super::pointer;
use super::task::{Task, TaskView};
use super::unknown::Json;
use super::user::User;
use crate::excerpt::for_log;

/// What ConductorOne's `GetTask` returns: a task, and the objects that belong
/// to it.
///
/// ConductorOne sends the objects in a list, and for each role a pointer into
/// it: a JSONPath (RFC 9535) of names, indexes, slices and `*`. The methods
/// follow them. A pointer that is absent leads nowhere; so does one that is
/// broken or dangling, that has a filter or `..`, or leads to an object of
/// another type or to more than 10,000, and a warning in the log says so.
#[derive(Clone)]
pub struct ExpandedTask {
    view: TaskView,
    objects: Vec<Object>,
    payload: Arc<str>,
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
    /// An object of a type that this version of the crate does not know, or one
    /// that is not what its type says.
    Unknown(AnyMessage),
}

impl Object {
    /// An object that is not what its type says does not spoil the others: it
    /// is as good as unknown. Gives the reason, too.
    fn read(json: &RawValue, path: &str) -> (Self, Option<PayloadError>) {
        match Self::typed(json.get(), path) {
            Ok(object) => (object, None),
            Err(error) => {
                let type_name = type_name(json.get(), path).ok().flatten();
                let json = json.to_owned().into();
                (
                    Self::Unknown(AnyMessage::new(type_name.unwrap_or_default(), json)),
                    Some(error),
                )
            }
        }
    }

    fn typed(json: &str, path: &str) -> Result<Self, PayloadError> {
        let type_name = type_name(json, path)?.unwrap_or_default();
        Ok(match type_name.as_str() {
            "c1.api.app.v1.App" => Self::App(read(json, path)?),
            "c1.api.app.v1.AppUser" => Self::AppUser(read(json, path)?),
            "c1.api.user.v1.User" => Self::User(read(json, path)?),
            "c1.api.app.v1.AppEntitlement" => Self::AppEntitlement(read(json, path)?),
            "c1.api.app.v1.AppResource" => Self::AppResource(read(json, path)?),
            "c1.api.app.v1.AppResourceType" => Self::AppResourceType(read(json, path)?),
            _ => Self::Unknown(AnyMessage::new(type_name, read::<Json>(json, path)?)),
        })
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
                        warn($name, &self.view.$pointer, concat!("the object is no ", stringify!($object)));
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
    /// The user to whom the account belongs (`identityUserPath`).
    identity_user, identity_user_path "identityUserPath": User;
    /// The user who created the task (`createdByUserPath`).
    created_by_user, created_by_user_path "createdByUserPath": User;
    /// The resource that is the role in question (`roleResourcePath`).
    role_resource, role_resource_path "roleResourcePath": AppResource;
    /// The resource to which the role is limited (`scopeResourcePath`).
    scope_resource, scope_resource_path "scopeResourcePath": AppResource;
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
                    warn($name, pointer, concat!("an object is no ", stringify!($object)));
                }
                of_kind
            }
        )+}
    };
}

to_several! {
    /// The entitlements that the task is about (`entitlementsPath`).
    entitlements, entitlements_path "entitlementsPath": AppEntitlement;
    /// The users who may decide the present step (`stepApproversPath`).
    step_approvers, step_approvers_path "stepApproversPath": User;
    /// The users who have approved or denied the task (`approversPath`).
    approvers, approvers_path "approversPath": User;
}

impl ExpandedTask {
    pub(super) fn read(payload: &str) -> Result<Self, PayloadError> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Wire<'a> {
            task_view: Option<TaskView>,
            #[serde(borrow)]
            expanded: Option<Vec<&'a RawValue>>,
        }

        // serde would read a list as a struct, too.
        if payload.trim_ascii_start().starts_with('[') {
            return Err(PayloadError::new(
                "payload",
                "expected an object, got a list",
            ));
        }
        let wire = read::<Option<Wire<'_>>>(payload, "payload")?.unwrap_or_default();
        let raw = wire.expanded.unwrap_or_default();
        let (objects, odd): (Vec<_>, Vec<_>) = raw
            .iter()
            .enumerate()
            .map(|(index, json)| Object::read(json, &format!("payload.expanded[{index}]")))
            .unzip();
        let odd: Vec<_> = odd.into_iter().flatten().collect();
        if let Some(first) = odd.first() {
            tracing::warn!(
                count = odd.len(),
                first = first.path(),
                "objects of the task are odd"
            );
        }
        Ok(Self {
            view: wire.task_view.unwrap_or_default(),
            objects,
            payload: payload.into(),
        })
    }

    /// The task and its pointers, as they came.
    #[must_use]
    pub fn view(&self) -> &TaskView {
        &self.view
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.view.task.as_deref()
    }

    /// All objects that belong to the task, in the order in which they came.
    #[must_use]
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// When the account was last used (`appUserLastUsagePath`).
    #[must_use]
    pub fn app_user_last_usage(&self) -> Option<&Object> {
        self.one("appUserLastUsagePath", &self.view.app_user_last_usage_path)
    }

    /// The access review that the task belongs to (`accessReviewPath`), which is
    /// not typed.
    #[must_use]
    pub fn access_review(&self) -> Option<&Object> {
        self.one("accessReviewPath", &self.view.access_review_path)
    }

    /// What ConductorOne has found out about the task (`insightsPath`).
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
    tracing::warn!(name, ?pointer, ?reason, "a pointer of the task view is odd");
}

impl fmt::Debug for ExpandedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpandedTask")
            .field("view", &self.view)
            .field("objects", &self.objects)
            .finish_non_exhaustive()
    }
}
