//! The ledger that the flags name.

use tower_conductorone::ledger::Ledger;

use crate::{BoxError, usage};

type Opened = Result<Box<dyn Ledger>, BoxError>;

/// Where the ledger is.
#[derive(clap::Args)]
pub(super) struct StoreArgs {
    #[command(flatten)]
    url: Url,

    /// The prefix of the ledger's keys or tables [default: c1: in Redis, c1_ in a database]
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,

    /// The schema of the ledger's tables, in Postgres
    #[arg(long, value_name = "SCHEMA", conflicts_with = "redis_url")]
    schema: Option<String>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
#[allow(clippy::doc_markdown, reason = "it is shown as plain text")]
struct Url {
    /// The receiver's Redis or Valkey: redis://[USER:PASSWORD@]HOST:PORT, or rediss://…
    ///
    /// Set a password through the environment.
    #[arg(long, value_name = "URL", env = "C1_REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,

    /// The receiver's database: postgres://[USER:PASSWORD@]HOST:PORT/NAME, or
    /// sqlite://FILE
    ///
    /// Set a password through the environment.
    #[arg(
        long,
        value_name = "URL",
        env = "C1_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
}

// No message quotes a URL: it may hold a password.
impl StoreArgs {
    pub(super) async fn open(&self) -> Opened {
        if let Some(url) = &self.url.redis_url {
            return Ok(self.redis(url));
        }
        let url = self.url.database_url.as_deref().unwrap_or_default();
        match url.split_once("://") {
            Some(("postgres" | "postgresql", _)) => self.postgres(url).await,
            Some(("sqlite", _)) => self.sqlite(url).await,
            _ => usage("--database-url is neither postgres://… nor sqlite://FILE"),
        }
    }
}

#[cfg(feature = "redis")]
impl StoreArgs {
    fn redis(&self, url: &str) -> Box<dyn Ledger> {
        use tower_conductorone::redis::RedisLedger;

        let ledger = RedisLedger::at(url);
        let mut ledger = ledger.unwrap_or_else(|error| usage(format!("--redis-url: {error}")));
        if let Some(prefix) = &self.prefix {
            ledger = ledger.prefix(prefix);
        }
        Box::new(ledger)
    }
}

#[cfg(feature = "database")]
impl StoreArgs {
    async fn postgres(&self, url: &str) -> Opened {
        use std::time::Duration;

        use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
        use sqlx::{ConnectOptions, Connection};
        use tower_conductorone_sqlx::PostgresLedger;

        let options: PgConnectOptions = url.parse().unwrap_or_else(|_| {
            usage(
                "--database-url is no valid URL of a Postgres: is its port a number, its \
                 password percent-encoded, its sslmode a known one?",
            )
        });
        // A pool does not say why it cannot connect.
        let connection = tokio::time::timeout(Duration::from_secs(10), options.connect()).await;
        let connection = connection.map_err(|_| "Postgres does not answer within 10 s")?;
        connection?.close().await?;
        let pool = PgPoolOptions::new().max_connections(1);
        let mut ledger = PostgresLedger::new(pool.connect_lazy_with(options));
        if let Some(prefix) = &self.prefix {
            ledger = named("--prefix", ledger.prefix(prefix));
        }
        if let Some(schema) = &self.schema {
            ledger = named("--schema", ledger.schema(schema));
        }
        Ok(Box::new(ledger))
    }

    async fn sqlite(&self, url: &str) -> Opened {
        use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
        use tower_conductorone_sqlx::SqliteLedger;

        if self.schema.is_some() {
            usage("--schema is for Postgres");
        }
        let options: SqliteConnectOptions = url
            .parse()
            .unwrap_or_else(|error| usage(format!("--database-url: {error}")));
        let file = options.get_filename().display().to_string();
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect_with(options.create_if_missing(false)).await;
        let pool = pool.map_err(|error| format!("{file}: {error}"))?;
        let mut ledger = SqliteLedger::new(pool);
        if let Some(prefix) = &self.prefix {
            ledger = named("--prefix", ledger.prefix(prefix));
        }
        Ok(Box::new(ledger))
    }
}

#[cfg(feature = "database")]
fn named<T>(flag: &str, ledger: Result<T, tower_conductorone_sqlx::NameError>) -> T {
    ledger.unwrap_or_else(|error| usage(format!("{flag}: {error}")))
}

#[cfg(not(feature = "redis"))]
impl StoreArgs {
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn redis(&self, _url: &str) -> Box<dyn Ledger> {
        missing("redis")
    }
}

#[cfg(not(feature = "database"))]
#[allow(
    clippy::unused_self,
    clippy::unused_async,
    reason = "as with the feature"
)]
impl StoreArgs {
    async fn postgres(&self, _url: &str) -> Opened {
        missing("database")
    }

    async fn sqlite(&self, _url: &str) -> Opened {
        missing("database")
    }
}

#[cfg(not(all(feature = "redis", feature = "database")))]
fn missing(feature: &str) -> ! {
    usage(format!(
        "this c1 was built without the feature `{feature}`: \
         cargo install tower-conductorone-cli --features {feature}"
    ))
}
