//! What it costs to refuse a request: the time that the verifying layer adds to a
//! service that answers at once, the allocations, and how often the body is polled.
//!
//! ```text
//! cargo bench --bench refusals
//! ```

use std::alloc::System;
use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::bench::Bench;
use support::body::{Script, data};
use support::refused::refused;
use support::{DOMAIN, receiver};
use tokio::runtime::Runtime;
use tower::{Layer, Service, service_fn};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::FakeTenant;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::default())
}

fn allocations<F: Future>(runtime: &Runtime, call: impl FnOnce() -> F) -> usize {
    let region = Region::new(MEMORY);
    drop(runtime.block_on(async { call().await }));
    let change = region.change();
    change.allocations + change.reallocations
}

fn main() {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let layer = receiver(&tenant);
    let mut bench = Bench::new("refusals");
    for refused in refused(&tenant) {
        let request = || refused.request.clone();
        let mut without = service_fn(answer);
        let mut with = layer.layer(service_fn(answer));

        let body = Script::new([data("a body")]);
        let seen = body.seen();
        let status = bench.runtime().block_on(async {
            let response = with.call(request().map(|_| body)).await;
            response.expect("infallible").status()
        });
        assert_eq!(status, refused.status, "{}", refused.name);
        let polls = seen.polls();
        let input = request();
        let allocations = allocations(bench.runtime(), || with.call(input));

        bench
            .group(refused.name)
            .case_async_with("without the layer", request, async |request| {
                without.call(request).await
            })
            .case_async_with("with the layer", request, async |request| {
                with.call(request).await
            })
            .note("allocations", u32::try_from(allocations).expect("few"))
            .note("polls", u32::try_from(polls).expect("few"))
            .measure("without the layer");
    }
    bench.finish();
}
