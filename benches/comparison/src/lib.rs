//! The crate beside the alternatives that a user has, all completed to the
//! same [`job`], and beside the [`floor`] below which none of them can be.
//!
//! ```text
//! cargo run --release --bin accepted     # the time of each
//! cargo run --release --bin allocations  # their allocations
//! ```
//!
//! The programs are two, as the allocator that counts is slower.

mod axum_jwt_auth;
mod by_hand;
pub mod delivery;
pub mod floor;
pub mod job;
mod jwt_authorizer;
mod ours;
pub mod receiver;
mod tower_oauth2;

use tower_conductorone::testing::FakeTenant;

use crate::job::{Parsed, Raw};
use crate::receiver::{Receiver, at_once};

/// What is done with the receivers, one after another.
pub trait Visit {
    /// A receiver, and its name: who it is, and what it makes of the payload.
    fn visit(&mut self, name: &str, receiver: impl Receiver + 'static);
}

/// Shows all receivers of this tenant's deliveries to the visitor.
pub fn receivers(tenant: &FakeTenant, visitor: &mut impl Visit) {
    visitor.visit("tower-conductorone, alone", ours::alone(tenant));
    visitor.visit("tower-conductorone, raw", ours::raw(tenant));
    visitor.visit("tower-conductorone, typed", ours::typed(tenant));
    visitor.visit("tower-conductorone, Value", ours::value(tenant));
    visitor.visit("by hand, raw", by_hand::receiver::<Raw>(tenant));
    visitor.visit("by hand, Value", by_hand::receiver::<Parsed>(tenant));
    let receiver = at_once(jwt_authorizer::receiver::<Raw>(tenant));
    visitor.visit("jwt-authorizer, raw", receiver);
    let receiver = at_once(jwt_authorizer::receiver::<Parsed>(tenant));
    visitor.visit("jwt-authorizer, Value", receiver);
    visitor.visit("axum-jwt-auth, raw", axum_jwt_auth::receiver::<Raw>(tenant));
    visitor.visit(
        "axum-jwt-auth, Value",
        axum_jwt_auth::receiver::<Parsed>(tenant),
    );
    let receiver = at_once(tower_oauth2::receiver::<Raw>(tenant));
    visitor.visit("tower-oauth2-resource-server, raw", receiver);
    let receiver = at_once(tower_oauth2::receiver::<Parsed>(tenant));
    visitor.visit("tower-oauth2-resource-server, Value", receiver);
}
