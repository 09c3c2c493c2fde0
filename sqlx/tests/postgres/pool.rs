//! Databases of the tests' own.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use support::postgres_server::PostgresServer;

/// A pool on a new database of this server.
pub(crate) async fn pool_on(server: &PostgresServer, options: PgPoolOptions) -> PgPool {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("test{}", MADE.fetch_add(1, Ordering::Relaxed));
    let connect = async |options: PgPoolOptions, database: &str| {
        let to: PgConnectOptions = server.url(database).parse().expect("a URL");
        options.connect_with(to).await.expect("a connection")
    };
    let admin = connect(PgPoolOptions::new(), "postgres").await;
    let made = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")));
    made.execute(&admin).await.expect("a database");
    admin.close().await;
    connect(options, &name).await
}
