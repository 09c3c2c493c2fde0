//! The server: HTTP/1.1 and HTTP/2 on one port, with a graceful stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tower::ServiceExt;
use tracing::{debug, info, warn};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves HTTP/1.1 and HTTP/2 until the first signal, then answers open requests.
pub(crate) async fn serve(listener: TcpListener, app: Router, mut stops: watch::Receiver<u32>) {
    let (count, mut in_flight) = watch::channel(0_usize);
    let app = app.layer(middleware::from_fn_with_state(
        Arc::new(count),
        count_in_flight,
    ));
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20));
    let connections = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Most likely out of file descriptors, which is temporary.
                    warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = is_signalled(&mut stops) => break,
        };
        // hyper's time limit on a head starts once the protocol is known, which a
        // client that sends too little never reveals.
        let requested = Arc::new(Notify::new());
        let service = {
            let requested = Arc::clone(&requested);
            app.clone().map_request(move |request: Request<Incoming>| {
                requested.notify_one();
                request
            })
        };
        let service = TowerToHyperService::new(service);
        let connection = http
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => if let Err(error) = ended {
                    debug!(%error, "connection failed");
                },
                Err(_) = timeout(HEAD_TIMEOUT, requested.notified()) => {
                    debug!("connection closed: no request came");
                }
            }
        });
    }
    drop(listener);
    info!("stopping: answering open requests");
    // A client may neither send nor hang up: the stop waits ten seconds after the
    // last answer for a new request, not longer.
    let all_answered = async {
        loop {
            let _ = in_flight.wait_for(|count| *count == 0).await;
            let pause = Duration::from_secs(10);
            if timeout(pause, in_flight.changed()).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = connections.shutdown() => {}
        () = all_answered => warn!("closing the connections of idle clients"),
    }
}

async fn is_signalled(stops: &mut watch::Receiver<u32>) {
    let _ = stops.wait_for(|times| *times > 0).await;
}

async fn count_in_flight(
    State(count): State<Arc<watch::Sender<usize>>>,
    request: Request,
    next: Next,
) -> Response {
    count.send_modify(|count| *count += 1);
    // Also counts down when the client hangs up and this future is dropped.
    let _guard = Decrement(count);
    next.run(request).await
}

struct Decrement(Arc<watch::Sender<usize>>);

impl Drop for Decrement {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The number of SIGTERM and SIGINT signals that this process has received.
pub(crate) fn stops() -> io::Result<watch::Receiver<u32>> {
    let (count, receiver) = watch::channel(0);
    #[cfg(unix)]
    let told = {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        async move || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    };
    #[cfg(not(unix))]
    let told = async || {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::spawn(async move {
        let mut told = told;
        loop {
            told().await;
            count.send_modify(|times| *times += 1);
        }
    });
    Ok(receiver)
}
