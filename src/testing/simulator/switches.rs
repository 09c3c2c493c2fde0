/// What ConductorOne's documentation leaves open, each to be had both ways.
///
/// The default is the plainest sender: each switch off. A receiver should be
/// right whatever they say: run its tests with [`all`](Self::all).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
pub struct Switches {
    /// Whether an attempt is sent with the token of the one before it, until
    /// that expires. A token is bound to its body: as long as it is used, the
    /// whole request stays the same, whatever the other switches say. Otherwise
    /// each attempt has a token of its own.
    pub reuse_tokens: bool,
    /// Whether each attempt names another callback URL. They all lead to the
    /// same delivery, which is completed once.
    pub change_callback_urls: bool,
    /// Whether each attempt has the envelope's members in another order, with
    /// other white space.
    pub change_bodies: bool,
    /// Whether all deliveries of a simulator have one `webhookId`, that of the
    /// configured webhook. Otherwise each has its own.
    pub share_webhook_ids: bool,
    /// Whether a 2xx whose document does not answer the event is retried.
    /// Otherwise the delivery has failed for good.
    pub retry_bad_documents: bool,
    /// Whether a callback is refused with 400 as long as no 202 was received.
    /// Otherwise it completes the delivery.
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
