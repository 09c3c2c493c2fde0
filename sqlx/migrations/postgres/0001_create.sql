-- The tables of tower-conductorone-sqlx. This file may be run any number of times.

-- One row for each delivery. `PostgresLedger` needs SELECT, INSERT, UPDATE and DELETE.
CREATE TABLE IF NOT EXISTS c1_deliveries (
    -- 48 bytes: the layer (8), the tenant (8) and a digest.
    delivery_key bytea PRIMARY KEY,
    -- The first 8 bytes of the key.
    layer        bytea NOT NULL,
    -- One JSON object: the stage, the run, the lease. No secrets.
    state        text NOT NULL,
    -- SECRET: the webhook with its callback URL, with which anyone can answer it.
    -- Only while the delivery is promised, its answer is not yet posted, or it is dead.
    delivery     bytea,
    -- SECRET: the response document.
    answer       bytea,
    -- 'promised': it was answered 202 and is not over. 'dead': it was, and was given up.
    listed       text COLLATE "C",
    -- When the lease or the pause ends; of a dead delivery: when it was given up.
    due_at       timestamptz NOT NULL,
    -- When the row may be deleted.
    expires_at   timestamptz NOT NULL,
    -- New with each change.
    revision     bigint NOT NULL
-- Room for the new versions of rows beside the old ones (heap-only tuples).
) WITH (fillfactor = 85);
CREATE INDEX IF NOT EXISTS c1_deliveries_due ON c1_deliveries (layer, due_at, expires_at)
    WHERE listed = 'promised';
CREATE INDEX IF NOT EXISTS c1_deliveries_dead ON c1_deliveries (delivery_key)
    WHERE listed = 'dead';
CREATE INDEX IF NOT EXISTS c1_deliveries_expiry ON c1_deliveries (expires_at);

-- One row for each token that was used. `PostgresReplayStore` needs SELECT, INSERT,
-- UPDATE and DELETE.
CREATE TABLE IF NOT EXISTS c1_tokens (
    tenant     text COLLATE "C" NOT NULL,
    -- The token's ID, which is not secret.
    jti        bytea NOT NULL,
    -- The request that used it.
    claimant   bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, jti)
);
CREATE INDEX IF NOT EXISTS c1_tokens_expiry ON c1_tokens (expires_at);
