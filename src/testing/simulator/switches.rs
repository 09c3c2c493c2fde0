/// A switch for each behaviour that ConductorOne's documentation leaves open.
///
/// By default all are off, which is the simplest sender. A receiver must work with
/// every combination: run its tests with [`all`](Self::all).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub struct Switches {
    /// Whether attempts reuse a token until it expires. A token is bound to its body,
    /// so the whole request stays the same meanwhile, whatever the other switches
    /// say. Otherwise each attempt has a new token.
    pub reuse_tokens: bool,
    /// Whether each attempt has a new callback URL. All of them lead to the same
    /// delivery, which is completed once.
    pub change_callback_urls: bool,
    /// Whether each attempt reorders the envelope's members and changes the white
    /// space.
    pub change_bodies: bool,
    /// Whether all deliveries of a simulator share one `webhookId`, that of the
    /// configured webhook. Otherwise each has its own.
    pub share_webhook_ids: bool,
    /// Whether a 2xx whose document does not answer the event is retried.
    /// Otherwise ConductorOne gives the delivery up.
    pub retry_bad_documents: bool,
    /// Whether a callback before a 202 is refused with 400. Otherwise it completes
    /// the delivery.
    pub refuse_early_callbacks: bool,
}

impl Switches {
    /// All combinations.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..1_u8 << 6).map(|bits| {
            let on = |switch: u8| bits & 1 << switch != 0;
            Self {
                reuse_tokens: on(0),
                change_callback_urls: on(1),
                change_bodies: on(2),
                share_webhook_ids: on(3),
                retry_bad_documents: on(4),
                refuse_early_callbacks: on(5),
            }
        })
    }
}
