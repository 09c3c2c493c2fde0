//! The names of the tables, and the statements about them.

use std::sync::Arc;

use crate::NameError;
#[cfg(feature = "postgres")]
use crate::start::Start;

/// A row may stay for 1 hour longer, in milliseconds, than it has to: an update that does
/// not change its time of expiry need not write to the indexes.
const KEPT_LONGER: u32 = 60 * 60 * 1_000;

/// Where the tables are.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    schema: Option<String>,
    prefix: String,
}

/// The statements about the tables, in the words of one database.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Parameters: key, state, delivery, answer, listed, due in ms, expires in ms,
    /// revision, layer.
    pub(crate) insert: Arc<str>,
    /// Parameters: key, state, whether delivery stays, delivery, whether answer stays,
    /// answer, listed, due in ms, expires in ms, revision; and the expected state.
    pub(crate) update_if_state: Arc<str>,
    /// The same; and the expected revision.
    pub(crate) update_if_revision: Arc<str>,
    /// Parameters: key, whether the delivery is read, whether the answer is read.
    pub(crate) select: Arc<str>,
    /// Parameters: layer, the longest lease in ms, skip.
    pub(crate) due: Arc<str>,
    /// Parameter: the key after which they begin.
    pub(crate) dead: Arc<str>,
    /// Parameters: layer, the most rows of a kind to count, the layer's last key.
    pub(crate) counts: Arc<str>,
    pub(crate) sweep: Sweep,
    /// Parameters: tenant, jti, claimant, life in ms.
    pub(crate) put_token: Arc<str>,
    /// Parameters: tenant, jti.
    pub(crate) find_token: Arc<str>,
    pub(crate) sweep_tokens: Sweep,
}

/// Deletes expired rows of a table.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// Parameter, in Postgres: the time in ms at which the search begins.
    pub(crate) sql: Arc<str>,
    #[cfg(feature = "postgres")]
    pub(crate) start: Start,
}

/// How a database says it.
pub(crate) struct Dialect {
    /// The time at which the statement began.
    pub(crate) now: &'static str,
    /// Before and after a parameter: the time in so many milliseconds.
    pub(crate) after: (&'static str, &'static str),
    /// Before and after a time: milliseconds since 1970.
    pub(crate) millis: (&'static str, &'static str),
    /// Deletes some expired rows of the table. SQLite finds them by this key.
    pub(crate) sweep: fn(table: &str, key: &str) -> String,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            schema: None,
            prefix: "c1_".to_owned(),
        }
    }
}

impl Tables {
    #[cfg(feature = "postgres")]
    pub(crate) fn in_schema(&mut self, schema: &str) -> Result<(), NameError> {
        self.schema = Some(checked(schema)?);
        Ok(())
    }

    pub(crate) fn with_prefix(&mut self, prefix: &str) -> Result<(), NameError> {
        self.prefix = checked(prefix)?;
        Ok(())
    }

    fn table(&self, name: &str) -> String {
        let Self { schema, prefix } = self;
        match schema {
            Some(schema) => format!("\"{schema}\".\"{prefix}{name}\""),
            None => format!("\"{prefix}{name}\""),
        }
    }

    /// A migration, for these names instead of the default ones.
    pub(crate) fn migration(&self, sql: &str) -> String {
        let Self { prefix, .. } = self;
        let mut sql = sql.to_owned();
        for table in ["deliveries", "tokens"] {
            sql = sql
                .replace(
                    &format!("EXISTS c1_{table} "),
                    &format!("EXISTS {} ", self.table(table)),
                )
                .replace(
                    &format!("ON c1_{table} "),
                    &format!("ON {} ", self.table(table)),
                );
        }
        sql.replace("EXISTS c1_", &format!("EXISTS {prefix}"))
    }

    pub(crate) fn statements(&self, dialect: &Dialect) -> Statements {
        let (deliveries, tokens) = (self.table("deliveries"), self.table("tokens"));
        let Dialect { now, .. } = dialect;
        let after = |length: &str| format!("{}{length}{}", dialect.after.0, dialect.after.1);
        let millis = |time: &str| format!("{}{time}{}", dialect.millis.0, dialect.millis.1);
        let (expiry, latest) = (after("$9"), after(&format!("($9 + {KEPT_LONGER})")));
        let update = format!(
            "UPDATE {deliveries} SET state = $2, \
             delivery = CASE WHEN $3 THEN delivery ELSE $4 END, \
             answer = CASE WHEN $5 THEN answer ELSE $6 END, listed = $7, \
             due_at = COALESCE({}, due_at), expires_at = CASE WHEN expires_at BETWEEN {expiry} \
             AND {latest} THEN expires_at ELSE COALESCE({expiry}, expires_at) END, \
             revision = $10 WHERE delivery_key = $1",
            after("$8"),
        );
        // Two ranges of an index, since OR would read all of it.
        let due = |range: &str| {
            format!(
                "SELECT * FROM (SELECT delivery_key, due_at FROM {deliveries} \
                 WHERE listed = 'promised' AND layer = $1 AND {range} ORDER BY due_at LIMIT 20 + $3) AS due"
            )
        };
        let sweep = |table: &str, key: &str| Sweep {
            sql: (dialect.sweep)(table, key).into(),
            #[cfg(feature = "postgres")]
            start: Start::default(),
        };
        Statements {
            insert: format!(
                "INSERT INTO {deliveries} (delivery_key, state, delivery, answer, listed, \
                 due_at, expires_at, revision, layer) \
                 VALUES ($1, $2, $3, $4, $5, {}, {}, $8, $9) ON CONFLICT (delivery_key) DO NOTHING",
                after("$6"),
                after("$7"),
            )
            .into(),
            update_if_state: format!("{update} AND state = $11 AND expires_at > {now}").into(),
            update_if_revision: format!("{update} AND revision = $11").into(),
            select: format!(
                "SELECT state, CASE WHEN $2 THEN delivery END, CASE WHEN $3 THEN answer END, \
                 {}, {}, revision, {} FROM {deliveries} WHERE delivery_key = $1",
                millis("due_at"),
                millis("expires_at"),
                millis(now),
            )
            .into(),
            due: format!(
                "SELECT delivery_key FROM ({} UNION ALL {}) AS due \
                 ORDER BY due_at, delivery_key LIMIT 20 OFFSET $3",
                due(&format!("due_at <= {now}")),
                due(&format!("due_at > {}", after("$2"))),
            )
            .into(),
            dead: format!(
                "SELECT delivery_key FROM {deliveries} \
                 WHERE listed = 'dead' AND delivery_key > $1 ORDER BY delivery_key LIMIT 100"
            )
            .into(),
            // All that it reads of promised rows is in their index.
            counts: format!(
                "SELECT promised, {} - {}, (SELECT count(*) FROM (SELECT 1 FROM {deliveries} \
                 WHERE listed = 'dead' AND delivery_key BETWEEN $1 AND $3 \
                 AND expires_at > {now} LIMIT $2) AS dead) \
                 FROM (SELECT count(*) AS promised, min(expires_at) AS first_end \
                 FROM (SELECT expires_at FROM {deliveries} WHERE listed = 'promised' \
                 AND layer = $1 AND expires_at > {now} ORDER BY due_at LIMIT $2) AS open) AS counted",
                millis("first_end"),
                millis(now),
            )
            .into(),
            sweep: sweep(&deliveries, "rowid"),
            put_token: format!(
                "INSERT INTO {tokens} AS known (tenant, jti, claimant, expires_at) \
                 VALUES ($1, $2, $3, {}) ON CONFLICT (tenant, jti) DO UPDATE \
                 SET claimant = excluded.claimant, expires_at = excluded.expires_at \
                 WHERE known.expires_at <= {now}",
                after("$4"),
            )
            .into(),
            find_token: format!("SELECT claimant FROM {tokens} WHERE tenant = $1 AND jti = $2")
                .into(),
            sweep_tokens: sweep(&tokens, "tenant, jti"),
        }
    }
}

/// A name that needs no escape, short enough for Postgres with a table's name.
fn checked(name: &str) -> Result<String, NameError> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    if starts_well && name.len() <= 40 && name.bytes().all(is_word) {
        return Ok(name.to_owned());
    }
    Err(NameError)
}
