//! A callback with the type of its event.

use std::fmt;
use std::marker::PhantomData;

use super::Callback;
use crate::event::Event;

/// A [`Callback`] of an event of type `E`, made by [`Callback::typed`].
/// [`CallbackClient::answer`](super::CallbackClient::answer) takes only an
/// `E::Reply` for it.
pub struct TypedCallback<E> {
    callback: Callback,
    event: PhantomData<fn() -> E>,
}

impl<E: Event> TypedCallback<E> {
    pub(super) fn new(callback: Callback) -> Option<Self> {
        (callback.event().rsplit('/').next() == Some(E::NAME)).then_some(Self {
            callback,
            event: PhantomData,
        })
    }
}

impl<E> TypedCallback<E> {
    /// The callback without the type, for instance to store it.
    #[must_use]
    pub fn untyped(&self) -> &Callback {
        &self.callback
    }
}

impl<E> Clone for TypedCallback<E> {
    fn clone(&self) -> Self {
        Self {
            callback: self.callback.clone(),
            event: PhantomData,
        }
    }
}

impl<E> fmt::Debug for TypedCallback<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedCallback")
            .field(&self.callback)
            .finish()
    }
}
