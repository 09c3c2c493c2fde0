//! A Prometheus of the tests' own, on loopback.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::{env, fs};

use serde_json::Value;
use support::wire::{Protocol, within};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::process::get;

const MISSING: &str = "is Prometheus installed? (apt-get install prometheus)";

/// Where the dashboard and the rules are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../observability")
}

pub(crate) async fn promtool(arguments: &[&str]) -> Output {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(folder());
    let output = within("promtool", command.output()).await;
    output.unwrap_or_else(|error| panic!("promtool: {error}: {MISSING}"))
}

/// A running Prometheus, which ends with its test.
pub(crate) struct Prometheus {
    address: SocketAddr,
    folder: PathBuf,
    process: Child,
}

impl Prometheus {
    /// It asks these receivers for their metrics every 400 ms, and evaluates the rules every
    /// 200 ms. `name` is that of the test.
    pub(crate) async fn start(name: &str, receivers: &[SocketAddr], rules: &str) -> Self {
        let folder = env::temp_dir().join(format!("c1-prometheus-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        let targets: Vec<_> = receivers.iter().map(ToString::to_string).collect();
        let settings = format!(
            "global: {{scrape_interval: 400ms, scrape_timeout: 400ms, evaluation_interval: 200ms}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: receiver, static_configs: [{{targets: {targets:?}}}]}}]\n"
        );
        fs::write(folder.join("prometheus.yml"), settings).expect("a file");
        fs::write(folder.join("rules.yml"), rules).expect("a file");
        let process = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = process.unwrap_or_else(|error| panic!("prometheus: {error}: {MISSING}"));
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut told = String::new();
        let address = loop {
            let line = within("Prometheus", log.next_line()).await.expect("text");
            let line = line.unwrap_or_else(|| panic!("Prometheus has ended: {told}"));
            if let Some((_, address)) = line.split_once(r#"msg="Listening on" address="#) {
                break address.trim().parse().expect("an address");
            }
            let _ = writeln!(told, "{line}");
        };
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let prometheus = Self {
            address,
            folder,
            process,
        };
        let ready = async {
            while get(Protocol::Http1, address, "/-/ready").await.status != 200 {
                tokio::task::yield_now().await;
            }
        };
        within("Prometheus", ready).await;
        prometheus
    }

    async fn data(&self, path: &str) -> Value {
        let answer = get(Protocol::Http1, self.address, path).await;
        let body = answer.json();
        assert_eq!(body["status"], "success", "{path}: {body}");
        body["data"].clone()
    }

    /// What an expression gives now.
    pub(crate) async fn query(&self, expression: &str) -> Vec<Value> {
        let mut path = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            let _ = write!(path, "%{byte:02X}");
        }
        let data = self.data(&path).await;
        data["result"].as_array().expect("a list").clone()
    }

    /// The labels of each alert that fires.
    pub(crate) async fn firing(&self) -> Vec<Value> {
        let data = self.data("/api/v1/alerts").await;
        let alerts = data["alerts"].as_array().expect("a list");
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"].clone()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.start_kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
