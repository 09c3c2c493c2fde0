//! Redis over TLS.

use std::fs;
use std::path::Path;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use redis::{Client, ConnectionInfo, TlsCertificates};
use tower_conductorone::ledger::Claimed;
use tower_conductorone::redis::RedisLedger;

use crate::{claim, start};
use support::redis_server::{RedisServer, free_port};

/// A server that speaks TLS on this port, with a certificate of its own.
fn server(port: u16, folder: &Path) -> (RedisServer, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    fs::create_dir_all(folder).expect("a folder");
    let (cert_file, key_file) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert_file, cert.pem()).expect("a file");
    fs::write(&key_file, signing_key.serialize_pem()).expect("a file");
    let server = RedisServer::start(&[
        &format!("tls-port {port}"),
        &format!("tls-cert-file {}", cert_file.display()),
        &format!("tls-key-file {}", key_file.display()),
        &format!("tls-ca-cert-file {}", cert_file.display()),
        "tls-auth-clients no",
    ]);
    (server, cert.pem())
}

fn trusting(port: u16, root: Option<String>) -> ConnectionInfo {
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: root.map(String::into_bytes),
    };
    let client = Client::build_with_tls(format!("rediss://127.0.0.1:{port}"), certificates);
    client.expect("a client").get_connection_info().clone()
}

#[tokio::test]
async fn a_server_is_spoken_to_over_tls_if_its_certificate_is_trusted() {
    let port = free_port();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-tls-{port}"));
    let (_server, root) = server(port, &folder);
    let ledger = RedisLedger::at(trusting(port, Some(root))).expect("a good URL");
    start(&ledger, 1).await;
    let again = claim(&ledger, 1).await.expect("a reply");
    assert!(matches!(again, Claimed::Standing(_)), "{again:?}");

    let ledger = RedisLedger::at(format!("rediss://127.0.0.1:{port}")).expect("a good URL");
    let error = claim(&ledger, 1)
        .await
        .expect_err("not trusted")
        .to_string();
    assert!(error.contains("certificate"), "{error}");
    fs::remove_dir_all(folder).expect("a folder");
}
