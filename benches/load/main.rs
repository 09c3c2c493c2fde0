//! A server with the verifying layer under load, beside the same server without it: over
//! loopback, for less than a minute.
//!
//! ```text
//! cargo bench --all-features --bench load
//! ```
//!
//! The servers are processes of their own, each with one thread. This process is the
//! client, with one thread as well, and makes all requests before the clock starts. What a
//! server takes is read from `/proc`: without it, only the speed is measured.

mod client;
mod process;
mod requests;
mod server;

use std::sync::Arc;

use support::DOMAIN;
use support::bench::Bench;
use tokio::runtime::Runtime;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::FakeTenant;

use client::Speed;
use requests::{accepted, forged};
use server::Server;

const SMALL: usize = 1024;
const LARGE: usize = 256 * 1024;

/// Connections that each wait for an answer before they send the next request, and the
/// requests in a round. A replay store has room for those of all rounds.
const CALLERS: [(usize, usize); 2] = [(1, 5_000), (32, 20_000)];
const ROUNDS: usize = 3;

/// Connections that send large bodies.
const CONNECTIONS: usize = 200;

/// How often each of them is opened anew in a flood.
const WAVES: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("server") {
        let kind = arguments.next().expect("the kind of server");
        return server::run(&kind);
    }
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
    let mut bench = Bench::new("load");
    // A few are enough to see whether it runs.
    let is_trial = std::env::var_os("BENCH_ROUNDS").is_some();
    for (callers, requests) in CALLERS {
        let requests = if is_trial { requests / 10 } else { requests };
        speed(&mut bench, &tenant, callers, requests);
    }
    if process::memory(std::process::id()).is_none() {
        println!("The system has no /proc/PID/status: no memory is measured.");
    } else {
        accept_at_once(&mut bench, &tenant);
        flood(&mut bench, &tenant);
    }
    bench.finish();
}

/// Closed loop: the servers take turns, and the best round of each counts.
fn speed(bench: &mut Bench, tenant: &FakeTenant, callers: usize, count: usize) {
    let kinds = ["bare", "layer"];
    let servers = kinds.map(|kind| Server::start(kind, tenant));
    let mut best: [Option<Speed>; 2] = [None, None];
    for round in 0..ROUNDS {
        let requests: Arc<[_]> = accepted(tenant, SMALL).take(count).collect();
        for turn in 0..kinds.len() {
            let at = (round + turn) % kinds.len();
            let calls = client::closed_loop(&servers[at], callers, Arc::clone(&requests));
            let speed = bench.runtime().block_on(calls);
            if best[at].as_ref().is_none_or(|best| speed.is_better(best)) {
                best[at] = Some(speed);
            }
        }
    }
    let [bare, layer] = best.map(|best| best.expect("several rounds"));
    let group = format!("1 KB, connections: {callers}");
    for (kind, speed) in kinds.into_iter().zip([&bare, &layer]) {
        bench.row(&group, kind, &speed.numbers(&bare));
    }
}

/// Many large bodies that are all in flight at once.
fn accept_at_once(bench: &mut Bench, tenant: &FakeTenant) {
    let group = format!("{CONNECTIONS} accepted bodies of 256 KB at once");
    for kind in ["bare", "layer"] {
        let requests = accepted(tenant, LARGE).take(CONNECTIONS).collect();
        let numbers = memory(bench.runtime(), kind, tenant, async |server| {
            client::accept_at_once(server, requests).await
        });
        bench.row(&group, kind, &numbers);
    }
}

/// Forged tokens with large bodies. `refuse` is a server that knows nothing of tokens and
/// answers 401 at once: what it takes is the HTTP server's own.
fn flood(bench: &mut Bench, tenant: &FakeTenant) {
    let group = format!("flood of forged 256 KB, {CONNECTIONS} connections");
    let forged: Arc<[u8]> = forged(tenant, LARGE).into();
    for kind in ["refuse", "layer"] {
        let numbers = memory(bench.runtime(), kind, tenant, async |server| {
            let mut answered = 0;
            for _ in 0..WAVES {
                answered += client::flood(server, CONNECTIONS, &forged).await;
            }
            assert!(answered > 0, "{kind}: no forged request was answered");
            CONNECTIONS * WAVES
        });
        bench.row(&group, kind, &numbers);
    }
}

/// What a new server takes for a load that returns its number of requests.
fn memory(
    runtime: &Runtime,
    kind: &str,
    tenant: &FakeTenant,
    load: impl AsyncFnOnce(&Server) -> usize,
) -> Vec<(&'static str, f64)> {
    let server = Server::start(kind, tenant);
    let few = accepted(tenant, SMALL).take(20).collect();
    runtime.block_on(async {
        client::warm_up(&server, few).await;
        let idle = server.memory().expect("checked by main");
        let connections = client::connect(&server, CONNECTIONS).await;
        client::pause().await;
        let connected = server.memory().expect("checked by main");
        drop(connections);
        client::pause().await;

        let before = server.cpu();
        let requests = load(&server).await;
        let peak = server.memory().expect("checked by main").peak;
        let mut numbers = vec![
            ("idle MB", idle.now),
            ("idle connections +MB", connected.now - idle.now),
            ("peak +MB", peak - idle.now),
        ];
        if let Some(cpu) = process::cpu_each(before, server.cpu(), requests) {
            numbers.push(("CPU µs", cpu));
        }
        numbers
    })
}
