//! The client: what it sends, and how fast it is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::wire::Wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::cpu_each;
use crate::server::Server;

/// What came of a round of the closed loop.
#[derive(Debug)]
pub(crate) struct Speed {
    per_second: f64,
    /// Microseconds, as all times here.
    median: f64,
    p99: f64,
    cpu: Option<f64>,
}

impl Speed {
    pub(crate) fn is_better(&self, other: &Self) -> bool {
        self.per_second > other.per_second
    }

    /// Its numbers, beside those of a server without the layer.
    pub(crate) fn numbers(&self, bare: &Self) -> Vec<(&'static str, f64)> {
        let mut numbers = vec![
            ("requests/s", self.per_second),
            ("% of bare", self.per_second / bare.per_second * 100.0),
            ("p50 µs", self.median),
            ("p99 µs", self.p99),
        ];
        if let (Some(cpu), Some(bare)) = (self.cpu, bare.cpu) {
            numbers.extend([("CPU µs", cpu), ("CPU µs over bare", cpu - bare)]);
        }
        numbers
    }
}

/// So many callers share the requests, and each waits for its answer before it sends
/// another.
pub(crate) async fn closed_loop(
    server: &Server,
    callers: usize,
    requests: Arc<[Vec<u8>]>,
) -> Speed {
    let next = Arc::new(AtomicUsize::new(0));
    let connections = connect(server, callers).await;
    let cpu = server.cpu();
    let start = Instant::now();
    let mut calls = JoinSet::new();
    for mut wire in connections {
        let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
        calls.spawn(async move {
            let mut times = Vec::new();
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let start = Instant::now();
                wire.write(request).await;
                let status = wire.read().await.status;
                times.push(start.elapsed());
                assert_eq!(status, 200);
            }
            times
        });
    }
    let mut times = calls.join_all().await.concat();
    let elapsed = start.elapsed();
    let cpu = cpu_each(cpu, server.cpu(), times.len());
    times.sort_unstable();
    let count = u32::try_from(times.len()).expect("not so many");
    Speed {
        per_second: f64::from(count) / elapsed.as_secs_f64(),
        median: microseconds(times[times.len() / 2]),
        p99: microseconds(times[times.len() * 99 / 100]),
        cpu,
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) async fn connect(server: &Server, count: usize) -> Vec<Wire> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Wire::connect(server.address).await);
    }
    connections
}

/// Long enough for a server to take all that was sent.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

/// Sends some requests, whatever is answered, so that the server has in its memory what it
/// needs for each.
pub(crate) async fn warm_up(server: &Server, requests: Vec<Vec<u8>>) {
    for request in requests {
        exchange(server.address, &request).await;
    }
}

/// Sends each request on a connection of its own, up to its last byte, which comes when the
/// server has taken all the rest of all. Gives the number of requests.
pub(crate) async fn accept_at_once(server: &Server, requests: Vec<Vec<u8>>) -> usize {
    let count = requests.len();
    let mut begun = JoinSet::new();
    for (mut wire, request) in connect(server, count).await.into_iter().zip(requests) {
        begun.spawn(async move {
            let (last, most) = request.split_last().expect("a request");
            wire.write(most).await;
            (wire, *last)
        });
    }
    let begun = begun.join_all().await;
    pause().await;
    let mut ended = JoinSet::new();
    for (mut wire, last) in begun {
        ended.spawn(async move {
            wire.write([last]).await;
            wire.read().await.status
        });
    }
    for status in ended.join_all().await {
        assert_eq!(status, 200);
    }
    count
}

/// Opens so many connections, sends the forged request on all of them at once, and gives
/// the number of answers that arrived: a reset may come first.
pub(crate) async fn flood(server: &Server, connections: usize, forged: &Arc<[u8]>) -> usize {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(TcpStream::connect(server.address).await.expect("open"));
    }
    let mut sent = JoinSet::new();
    for stream in open {
        let forged = Arc::clone(forged);
        sent.spawn(async move { send(stream, &forged).await });
    }
    let answers = sent.join_all().await;
    let answered = answers.iter().filter(|answer| !answer.is_empty());
    answered
        .inspect(|answer| assert!(answer.starts_with(b"HTTP/1.1 401"), "not refused"))
        .count()
}

async fn exchange(server: SocketAddr, request: &[u8]) {
    let stream = TcpStream::connect(server).await.expect("a listener");
    send(stream, request).await;
}

/// Sends what the server takes, and gives what it answers.
async fn send(mut stream: TcpStream, request: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let write = async {
        if writer.write_all(request).await.is_ok() {
            let _ = writer.shutdown().await;
        }
    };
    // A reset is an end, too.
    let ((), _) = tokio::join!(write, reader.read_to_end(&mut answer));
    answer
}
