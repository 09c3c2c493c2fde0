-- The tables of tower-conductorone-sqlx. This file may be run any number of times.
-- Times are milliseconds since 1970: datetime(due_at / 1000, 'unixepoch').

-- One row for each delivery.
CREATE TABLE IF NOT EXISTS c1_deliveries (
    -- 48 bytes: the layer (8), the tenant (8) and a digest.
    delivery_key BLOB PRIMARY KEY NOT NULL,
    -- The first 8 bytes of the key.
    layer        BLOB NOT NULL,
    -- One JSON object: the stage, the run, the lease. No secrets.
    state        TEXT NOT NULL,
    -- SECRET: the webhook with its callback URL, with which anyone can answer it.
    -- Only while the delivery is promised, its answer is not yet posted, or it is dead.
    delivery     BLOB,
    -- SECRET: the response document.
    answer       BLOB,
    -- 'promised': it was answered 202 and is not over. 'dead': it was, and was given up.
    listed       TEXT,
    -- When the lease or the pause ends; of a dead delivery: when it was given up.
    due_at       INTEGER NOT NULL,
    -- When the row may be deleted.
    expires_at   INTEGER NOT NULL,
    -- New with each change.
    revision     INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS c1_deliveries_due ON c1_deliveries (layer, due_at, expires_at)
    WHERE listed = 'promised';
CREATE INDEX IF NOT EXISTS c1_deliveries_dead ON c1_deliveries (delivery_key)
    WHERE listed = 'dead';
CREATE INDEX IF NOT EXISTS c1_deliveries_expiry ON c1_deliveries (expires_at);

-- One row for each token that was used.
CREATE TABLE IF NOT EXISTS c1_tokens (
    tenant     TEXT NOT NULL,
    -- The token's ID, which is not secret.
    jti        BLOB NOT NULL,
    -- The request that used it.
    claimant   BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS c1_tokens_expiry ON c1_tokens (expires_at);
