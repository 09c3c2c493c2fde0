//! What handlers take and return.

use std::error::Error;

use http::Extensions;

use crate::deliver_once::{DeliveryHandle, DeliveryRun};
use crate::event::{Acknowledgement, ApprovalReply, Event, Outcome, ProvisionReply, WorkflowReply};
use crate::future::BoxFuture;
use crate::typed::Typed;

/// What a handler answers, or why it cannot.
pub(super) type Answering = BoxFuture<'static, Result<Outcome, Box<dyn Error + Send + Sync>>>;

/// What a handler may return for an input of type `I`: an [`Outcome`]; for a
/// [`Typed`] event also the event's own reply; or a `Result` with one of them.
///
/// An error is logged and answered 500. ConductorOne then tries again.
///
/// ```compile_fail,E0277
/// # use tower_conductorone::event::{ApprovalReply, Comment, ProvisionStep};
/// # use tower_conductorone::{EventRouter, Typed};
/// let builder = EventRouter::builder().on(async |_: Typed<ProvisionStep>| {
///     ApprovalReply::approve(Comment::none()) // of another event
/// });
/// ```
pub trait IntoOutcome<I> {
    /// The outcome.
    ///
    /// # Errors
    /// If the handler has failed.
    fn into_outcome(self) -> Result<Outcome, Box<dyn Error + Send + Sync>>;
}

impl<I> IntoOutcome<I> for Outcome {
    fn into_outcome(self) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
        Ok(self)
    }
}

impl<I, T, E> IntoOutcome<I> for Result<T, E>
where
    T: IntoOutcome<I>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn into_outcome(self) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
        self.map_err(Into::into)?.into_outcome()
    }
}

macro_rules! replies {
    ($($reply:ident),+) => {$(
        impl<E: Event<Reply = Self>> IntoOutcome<Typed<E>> for $reply {
            fn into_outcome(self) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
                Ok(Outcome::replied(self.into()))
            }
        }
    )+};
}

replies!(
    Acknowledgement,
    ApprovalReply,
    ProvisionReply,
    WorkflowReply
);

/// An async function from an input of type `I` to an answer ([`IntoOutcome`]): a
/// handler of an [`EventRouter`](super::EventRouter).
///
/// It takes the input alone, or also the [`DeliveryRun`] or the [`DeliveryHandle`]. The
/// input is a [`Typed`] event, or the [`Webhook`](crate::Webhook) in a fallback. `A`
/// stands for the arguments and is inferred. The trait is sealed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for `{I}`",
    label = "not a handler",
    note = "a handler is an async function from a `Typed` event (a fallback: from a `Webhook`), \
            and from a `DeliveryRun` or a `DeliveryHandle` if it asks for one",
    note = "it returns an `Outcome`, the `Typed` event's own reply, or a `Result` with one of them"
)]
pub trait EventHandler<I, A>: sealed::Handle<I, A> {}

#[diagnostic::do_not_recommend]
impl<H: sealed::Handle<I, A>, I, A> EventHandler<I, A> for H {}

mod sealed {
    use super::{Answering, DeliveryHandle, DeliveryRun, Extensions, IntoOutcome};

    pub trait Handle<I, A>: Send + Sync + 'static {
        /// Calls the handler, unless it takes a part of the delivery and there is none.
        fn handle(&self, input: I, extensions: &Extensions) -> Option<Answering>;
    }

    /// What [`DeliverOnce`](crate::DeliverOnce) tells a handler.
    pub trait OfDelivery: Clone + Send + Sync + 'static {}

    impl OfDelivery for DeliveryRun {}
    impl OfDelivery for DeliveryHandle {}

    impl<F, I, Fut> Handle<I, (I,)> for F
    where
        F: Fn(I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoOutcome<I>> + Send + 'static,
    {
        fn handle(&self, input: I, _: &Extensions) -> Option<Answering> {
            let answer = self(input);
            Some(Box::pin(async move { answer.await.into_outcome() }))
        }
    }

    impl<F, I, D, Fut> Handle<I, (I, D)> for F
    where
        F: Fn(I, D) -> Fut + Send + Sync + 'static,
        D: OfDelivery,
        Fut: Future<Output: IntoOutcome<I>> + Send + 'static,
    {
        fn handle(&self, input: I, extensions: &Extensions) -> Option<Answering> {
            let answer = self(input, extensions.get::<D>()?.clone());
            Some(Box::pin(async move { answer.await.into_outcome() }))
        }
    }
}
