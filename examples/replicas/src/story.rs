//! The show: a Redis, three receivers, and a fake tenant.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use axum::http::{Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tower::service_fn;
use tower_conductorone::event::{Event, ProvisionStep};
use tower_conductorone::testing::{FakeTenant, Simulator};

use crate::{BoxError, TENANT};

pub(crate) async fn tell() -> Result<(), BoxError> {
    let redis = Redis::start().await?;
    let tenant = FakeTenant::new(TENANT);
    let jwks = tenant.serve().await?;
    let conductorone = Simulator::new(&tenant);
    let callbacks = conductorone.callbacks().serve().await?;
    let replica = async |number, work, answer_within| {
        let settings = [
            ("REPLICA", number),
            ("WORK_SECONDS", work),
            ("ANSWER_WITHIN_SECONDS", answer_within),
            ("REDIS_URL", &*redis.url),
            ("C1_JWKS_URL", &*jwks.url()),
            ("C1_CALLBACK_ORIGIN", &*callbacks.origin()),
        ];
        Replica::start(&settings).await
    };
    let mut one = replica("1", "3600", "1").await?;
    let (two, three) = (
        replica("2", "0", "25").await?,
        replica("3", "0", "25").await?,
    );

    println!("ConductorOne sends a webhook to replica 1, which is slow:");
    let (answers, mut answered) = mpsc::unbounded_channel();
    let address = one.address;
    let receiver = service_fn(move |request| {
        let answers = answers.clone();
        async move {
            let answer = send(address, request).await?;
            answers.send(answer.status())?;
            Ok::<_, BoxError>(answer)
        }
    });
    let delivery = tenant.delivery(ProvisionStep::NAME);
    let delivered = tokio::spawn(conductorone.deliver(receiver, delivery));
    while answered.recv().await.ok_or("no answer")? != StatusCode::ACCEPTED {}
    println!("  it answers 202");
    one.process.kill().await?;
    println!("  it is killed");
    let report = delivered.await?;
    let document = report.document().ok_or("the delivery was lost")?;
    let document = String::from_utf8_lossy(document.as_bytes());
    println!("  the callback brings {document}");

    println!("ConductorOne sends another webhook to replica 2, and tries again with replica 3:");
    let first = tenant.delivery(ProvisionStep::NAME);
    let retry = first.retried();
    for (what, replica, delivery) in [
        ("the first attempt", &two, &first),
        ("the retry, with a new token", &three, &retry),
        ("the same token again", &three, &retry),
    ] {
        let (parts, body) = send(replica.address, delivery.request())
            .await?
            .into_parts();
        let body = body.collect().await?.to_bytes();
        let answer = String::from_utf8_lossy(&body);
        println!("  {what}: {} {answer}", parts.status.as_u16());
    }
    Ok(())
}

/// Posts the request to the receiver at this address.
async fn send(
    address: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let uri = format!("http://{address}{}", request.uri().path());
    *request.uri_mut() = uri.parse::<Uri>()?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (parts, body) = client.request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// A receiver, in a process of its own. It is killed when this is dropped.
struct Replica {
    process: Child,
    address: SocketAddr,
}

impl Replica {
    async fn start(settings: &[(&str, &str)]) -> Result<Self, BoxError> {
        let mut process = Command::new(env::current_exe()?)
            .arg("receiver")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().ok_or("no output")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let address = line
            .as_deref()
            .and_then(|line| line.strip_prefix("listening on "));
        let address = address.ok_or("the receiver does not start")?.parse()?;
        Ok(Self { process, address })
    }
}

/// A Redis that keeps nothing. It is killed when this is dropped.
struct Redis {
    url: String,
    _process: Child,
    _log: Lines<BufReader<ChildStdout>>,
}

impl Redis {
    async fn start() -> Result<Self, BoxError> {
        // Another process may take the port first: then Redis ends, and the next one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                .local_addr()?
                .port();
            let mut process = Command::new("redis-server")
                .args([
                    "--bind",
                    "127.0.0.1",
                    "--port",
                    &port.to_string(),
                    "--save",
                    "",
                ])
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| format!("redis-server: {error}"))?;
            let mut log = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
            while let Some(line) = log.next_line().await? {
                if line.contains("Ready to accept connections") {
                    return Ok(Self {
                        url: format!("redis://127.0.0.1:{port}"),
                        _process: process,
                        _log: log,
                    });
                }
            }
        }
        Err("redis-server does not start".into())
    }
}
