-- +goose Up

-- What became of what the log says of each cluster, as JSON documents; NULL stands
-- for nothing.
CREATE TABLE record_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    cluster    TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, cluster)
);
CREATE INDEX record_changes_by_cluster ON record_changes (cluster, generation);

-- What it says now, each by the change that made it so. The snapshot is that of
-- the release that an orphaned cluster is frozen on.
CREATE TABLE records (
    cluster    TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    snapshot   TEXT,
    FOREIGN KEY (generation, cluster) REFERENCES record_changes (generation, cluster)
);

CREATE TABLE token_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    token      TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, token)
);

-- Tokens as they are, by the change that made them so; the entry itself may be
-- pruned. Hashes, never tokens.
CREATE TABLE tokens (
    token      TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    role       TEXT NOT NULL,
    document   TEXT NOT NULL,
    hash       BYTEA NOT NULL UNIQUE,
    salt       BYTEA,
    proof      BYTEA,
    -- When it was revoked or expires; NULL for never.
    ends_at    BIGINT
);
CREATE INDEX tokens_by_generation ON tokens (generation);

-- Who leads, in one row, and how often the source was to be looked at.
CREATE TABLE lease (
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL,
    looks  BIGINT NOT NULL
);

CREATE TABLE polls (
    cluster    TEXT NOT NULL,
    input_set  TEXT NOT NULL,
    polled_at  BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    agent      TEXT NOT NULL,
    PRIMARY KEY (cluster, input_set)
);

CREATE TABLE token_uses (
    token   TEXT PRIMARY KEY,
    used_at BIGINT NOT NULL
);

INSERT INTO lease (holder, until, looks) VALUES ('', 0, 0);
