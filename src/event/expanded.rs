//! A task together with the objects that its pointers lead to.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_json_path::{JsonPath, PathElement};

use super::any::{AnyMessage, type_name};
use super::app::{App, AppEntitlement, AppResource, AppResourceType, AppUser};
use super::error::{PayloadError, read};
use super::task::{Task, TaskView};
use super::unknown::Json;
use super::user::User;
use crate::excerpt::for_log;

/// What ConductorOne's `GetTask` returns: a task, and the objects that belong
/// to it.
///
/// ConductorOne sends the objects in a list, and for each role a pointer into
/// it (JSONPath, RFC 9535). The methods follow them. A pointer that is absent
/// leads nowhere; so does one that is broken, dangling or leads to an object of
/// another type, and a warning in the log says so.
#[derive(Clone)]
pub struct ExpandedTask {
    view: TaskView,
    objects: Vec<Object>,
    payload: Arc<str>,
    /// The payload once more, for pointers that take a search.
    tree: OnceLock<Option<Value>>,
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
                self.several($name, &self.view.$pointer)
                    .into_iter()
                    .filter_map(|object| match object {
                        Object::$object(object) => Some(&**object),
                        _ => {
                            warn($name, &self.view.$pointer, concat!("an object is no ", stringify!($object)));
                            None
                        }
                    })
                    .collect()
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
            tree: OnceLock::new(),
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
        let objects = match index_in_expanded(pointer) {
            Some(index) => self.objects.get(index).into_iter().collect(),
            None => match self.search(pointer) {
                Ok(objects) => objects,
                Err(reason) => {
                    warn(name, pointer, &reason);
                    return Vec::new();
                }
            },
        };
        if objects.is_empty() {
            warn(name, pointer, "it leads nowhere");
        }
        objects
    }

    fn search(&self, pointer: &str) -> Result<Vec<&Object>, String> {
        if is_costly(pointer) {
            return Err("it is too complex to be followed".to_owned());
        }
        let path = JsonPath::parse(pointer).map_err(|error| error.to_string())?;
        let tree = self
            .tree
            .get_or_init(|| serde_json::from_str(&self.payload).ok());
        let tree = tree
            .as_ref()
            .ok_or("the payload is nested too deeply to be searched")?;
        path.query_located(tree)
            .locations()
            .map(
                |location| match location.iter().collect::<Vec<_>>().as_slice() {
                    [PathElement::Name("expanded"), PathElement::Index(index)] => {
                        self.objects.get(*index)
                    }
                    _ => None,
                },
            )
            .collect::<Option<_>>()
            .ok_or_else(|| "it leads to something that is no object of the list".to_owned())
    }
}

/// Whether a pointer could take time or stack beyond measure: reading one
/// recurses with its brackets, nested filters double the work each, and so do
/// searches below searches. No pointer to an object needs any of that.
fn is_costly(pointer: &str) -> bool {
    let count = |part: &str| pointer.matches(part).count();
    let (filters, descents) = (count("?"), count(".."));
    pointer.len() > 256
        || count("(") > 4
        || count("[") > 8
        || filters > 1
        || descents > 1
        || filters + descents > 1
        || count("*") > 2
}

/// The usual pointer, `$.expanded[0]`, which needs no search.
fn index_in_expanded(pointer: &str) -> Option<usize> {
    let index = pointer.strip_prefix("$.expanded[")?.strip_suffix(']')?;
    let canonical = index == "0" || !index.starts_with(['0', '+']);
    index.parse().ok().filter(|_| canonical)
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
