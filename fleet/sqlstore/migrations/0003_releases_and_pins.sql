-- +goose Up

-- Where the fleet is going, as a JSON document; NULL where no change has said so.
ALTER TABLE head ADD COLUMN lineup TEXT;

-- The releases that the lineup names, and their snapshots: the candidate, and what
-- clusters are on that a rollout has reached, and return to where it is aborted.
CREATE TABLE lineup_releases (
    release  TEXT PRIMARY KEY,
    snapshot TEXT
);

CREATE TABLE pin_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    pin        TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, pin)
);

-- The pins in force, each by the change that made it so, and what they pin to.
CREATE TABLE pins (
    pin        TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    release    TEXT,
    snapshot   TEXT,
    FOREIGN KEY (generation, pin) REFERENCES pin_changes (generation, pin)
);

-- The release whose snapshot a record has: the one that the cluster stays on, be it
-- orphaned or not.
ALTER TABLE records ADD COLUMN release TEXT;

-- Releases as they are, by the change that made them so; the entry itself may be
-- pruned.
CREATE TABLE releases (
    release    TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    state      TEXT NOT NULL,
    -- Of its tree; NULL where it has none.
    snapshot   TEXT,
    -- The change by which it went live last; NULL where it never has.
    went_live  BIGINT,
    document   TEXT NOT NULL,
    -- The digest of its impact; NULL for none.
    impact     TEXT
);
CREATE INDEX releases_by_generation ON releases (generation);

-- The groups of impacts. They may be long, and are asked for seldom.
CREATE TABLE impacts (
    digest   TEXT PRIMARY KEY,
    document TEXT NOT NULL
);

-- What a poll was given, how often the cluster comes, and how long this one came after
-- the one before, in microseconds; 0 where that is not known.
ALTER TABLE polls ADD COLUMN release TEXT NOT NULL DEFAULT '';
ALTER TABLE polls ADD COLUMN comes_every BIGINT NOT NULL DEFAULT 0;
ALTER TABLE polls ADD COLUMN gap BIGINT NOT NULL DEFAULT 0;
