//! `c1 serve --ui`: the tenant as a page.
//!
//! - `page.html`, `page.css` and the scripts are the page; `api.rs` serves them, and what
//!   they ask for;
//! - `guard.rs` refuses what another site's page sends;
//! - `order.rs` reads what the form orders, and `run.rs` sends it;
//! - `history.rs` keeps the newest deliveries, `delivery.rs` is one of them, and `view.rs`
//!   writes what the page shows.

mod api;
mod delivery;
mod guard;
mod history;
mod order;
mod run;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tower_conductorone::testing::FakeTenant;

pub(crate) use self::history::History;
use crate::BoxError;
use crate::endpoint::Endpoint;
use crate::post::Client;

/// The most deliveries in flight: between their first attempt and their end.
const MAX_RUNNING: usize = 256;

/// The page's server.
#[derive(Clone)]
pub(crate) struct Ui {
    tenant: FakeTenant,
    endpoint: Endpoint,
    address: SocketAddr,
    /// The receiver's URL, to begin with.
    to: String,
    client: Client,
    history: Arc<History>,
    running: Arc<Semaphore>,
    /// Changes to stop all deliveries.
    stop: watch::Sender<()>,
}

impl Ui {
    /// The endpoint tells the same history of its requests.
    pub(crate) fn new(
        tenant: FakeTenant,
        endpoint: Endpoint,
        address: SocketAddr,
        to: String,
        history: Arc<History>,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            tenant,
            endpoint,
            address,
            to,
            client: Client::new()?,
            history,
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
            stop: watch::Sender::new(()),
        })
    }
}
