-- +goose Up

-- Where the log stands, in one row that every change updates: that is what makes
-- two changes of one generation impossible.
CREATE TABLE head (
    generation BIGINT NOT NULL,
    -- The entry of the live release, and its snapshot.
    live       BIGINT,
    snapshot   TEXT,
    -- The newest change of deltas that was pruned, 0 if none was: how the deltas
    -- were before it cannot be told any more.
    horizon    BIGINT NOT NULL
);

-- Times are microseconds since 1970, UTC.
CREATE TABLE changes (
    generation BIGINT PRIMARY KEY,
    made_at    BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    -- Of a release that went live.
    revision   TEXT,
    snapshot   TEXT,
    clusters   BIGINT
);

-- What became of each delta, as JSON documents; NULL stands for none.
CREATE TABLE delta_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    delta      TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, delta)
);
CREATE INDEX delta_changes_by_delta ON delta_changes (delta, generation);

-- Which clusters a change was for. A release is for all of them, which the empty
-- name stands for.
CREATE TABLE change_clusters (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    cluster    TEXT NOT NULL,
    PRIMARY KEY (generation, cluster)
);
CREATE INDEX change_clusters_by_cluster ON change_clusters (cluster, generation);

-- The deltas in force, each by the change that made it what it is. The reference
-- keeps that change from being pruned.
CREATE TABLE deltas (
    delta      TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    FOREIGN KEY (generation, delta) REFERENCES delta_changes (generation, delta)
);

CREATE TABLE snapshots (
    digest   TEXT PRIMARY KEY,
    saved_at BIGINT NOT NULL,
    data     BYTEA NOT NULL
);

INSERT INTO head (generation, horizon) VALUES (0, 0);
