-- +goose Up

-- What snapshots consist of. A commit that touches one file of thousands has nearly all
-- parts in common with the one before, and each is kept once. A snapshot that was saved
-- before there were parts has none.
CREATE TABLE parts (
    digest TEXT PRIMARY KEY,
    data   BYTEA NOT NULL
);

CREATE TABLE snapshot_parts (
    snapshot TEXT NOT NULL REFERENCES snapshots (digest) ON DELETE CASCADE,
    place    BIGINT NOT NULL,
    part     TEXT NOT NULL REFERENCES parts (digest),
    PRIMARY KEY (snapshot, place)
);
CREATE INDEX snapshot_parts_by_part ON snapshot_parts (part);
