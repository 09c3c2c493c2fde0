//! What a ledger has to do.

use crate::ledger::Backlog;

/// What the ledger has to do for a layer. It is the same for all processes that share the
/// ledger, and each of them that recovers tells it.
#[derive(Clone, Copy, Debug)]
pub struct LayerBacklog<'a> {
    pub(crate) layer: &'a str,
    pub(crate) backlog: Backlog,
}

impl<'a> LayerBacklog<'a> {
    /// The layer's [name](crate::DeliverOnceBuilder::ledger): empty by default.
    #[must_use]
    pub fn layer(&self) -> &'a str {
        self.layer
    }

    /// What it has to do.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        self.backlog
    }
}
