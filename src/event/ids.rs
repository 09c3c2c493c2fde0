//! Ids. Each has a type of its own, where mixing them up would do harm.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::place::{Place, Slot};
use super::wire::{Defaulted, Value};

macro_rules! ids {
    ($($(#[$doc:meta])+ $id:ident;)+) => {$(
        $(#[$doc])+
        ///
        /// An empty id means that there is none.
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $id(String);

        impl $id {
            /// The id with this text.
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }

            /// The id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether there is no id.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($id), "({:?})"), self.0)
            }
        }

        impl AsRef<str> for $id {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $id {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&str> for $id {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl Slot for $id {
            fn place(&mut self) -> Place<'_> {
                Place::Text(&mut self.0)
            }
        }

        impl Value for $id {
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.serialize(serializer)
            }
        }

        impl Defaulted for $id {}
    )+};
}

ids! {
    /// The id of a task.
    TaskId;
    /// The id of an app.
    AppId;
    /// The id of an account in an app.
    AppUserId;
    /// The id of a user of ConductorOne: a person or a service.
    UserId;
    /// The id of an entitlement of an app.
    EntitlementId;
    /// The id of a webhook, as an administrator configured it.
    WebhookConfigId;
    /// The id of one delivery of a webhook.
    DeliveryId;
}
