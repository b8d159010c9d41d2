-- +goose Up

-- The change log, and the state that it adds up to.
--
-- Each change takes the next generation and writes three kinds of rows: its entry in changes;
-- one row for each thing that it changed, in the ledgers (the tables named *_changes); and the
-- present state of those things, in the tables named after them. The present state is the fold
-- of the ledgers: it is stored so that a start need not read the whole log.
--
-- Times are microseconds since 1970, UTC. Documents are JSON.

-- Where the log stands, in one row that every change updates. The update is what makes two
-- changes of one generation impossible.
CREATE TABLE head (
    generation   BIGINT NOT NULL,
    -- The change by which the live release went live, and the release; NULL before the first.
    live         BIGINT,
    live_release BIGINT,
    -- The newest release that the fleet is not going to; NULL where there is none.
    candidate    BIGINT,
    -- The rollout in progress, an id of rollout_waves, and its fleet.RolloutProgress, which each
    -- step replaces; NULL where there is none.
    rollout      BIGINT,
    progress     TEXT,
    -- The newest change of deltas or records that was pruned; 0 where none was. What they were
    -- before it is no longer known.
    horizon      BIGINT NOT NULL,
    -- The last id that a row of assignment_values or rollout_waves got. No id is used again.
    last_id      BIGINT NOT NULL
);
INSERT INTO head (generation, horizon, last_id) VALUES (0, 0, 0);

-- The names of releases. Every other table has the id, here and in documents, because a revision
-- with its digest is a hundred bytes long and a whole fleet may be on it. An id of 0 stands for
-- no release. Rows are never dropped: the history goes on naming a release that is gone.
CREATE TABLE release_refs (
    id       BIGINT PRIMARY KEY,
    revision TEXT NOT NULL,
    -- The digest of the snapshot; empty where nothing is stored.
    snapshot TEXT NOT NULL,
    -- What the source says about the revision (fleet.Commit); NULL where it says nothing.
    commit_info TEXT,
    UNIQUE (revision, snapshot)
);

-- The entries of the log.
CREATE TABLE changes (
    generation       BIGINT PRIMARY KEY,
    made_at          BIGINT NOT NULL,
    kind             TEXT NOT NULL,
    actor            TEXT NOT NULL,
    reason           TEXT NOT NULL,
    -- Whether the change was for every cluster whose assignment it changed. change_clusters does
    -- not repeat them then.
    for_assigned     BOOLEAN NOT NULL,
    -- What happened to a release (fleet.ReleaseEvent); all are NULL where nothing did. The pause
    -- and the decision are documents.
    release          BIGINT,
    release_clusters BIGINT,
    from_state       TEXT,
    to_state         TEXT,
    wave             TEXT,
    pause            TEXT,
    decision         TEXT,
    -- What became of the rollout: started, progress or ended; NULL where nothing did. Where it
    -- started, waves is the id in rollout_waves. Progress is the fleet.RolloutProgress after it.
    rollout          TEXT,
    waves            BIGINT,
    progress         TEXT,
    -- The candidate after the change; 0 where there is none any more, NULL where it stayed.
    candidate        BIGINT,
    -- What clusters lost by the change without an approval (fleet.Losses); NULL where they lost nothing.
    losses           TEXT
);

-- The changes whose losses count, until they end: those whose end is later than each change since.
-- The reference keeps the entries, which have the losses, from being pruned.
CREATE TABLE losses (
    generation BIGINT PRIMARY KEY REFERENCES changes (generation),
    ends_at    BIGINT NOT NULL
);

-- The other clusters that a change was for. A release that goes live is for all of them, which the
-- empty name stands for.
CREATE TABLE change_clusters (
    generation BIGINT NOT NULL,
    cluster    TEXT NOT NULL,
    PRIMARY KEY (generation, cluster)
);
CREATE INDEX change_clusters_by_cluster ON change_clusters (cluster, generation);

-- The ledgers of deltas, records, pins and tokens: what a thing was before a change and what it
-- is after it, as documents; NULL where there is none. A table of the present state names the
-- change that made the thing what it is. The reference keeps that change from being pruned.

CREATE TABLE delta_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    delta      TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, delta)
);
CREATE INDEX delta_changes_by_delta ON delta_changes (delta, generation);

CREATE TABLE deltas (
    delta      TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    FOREIGN KEY (generation, delta) REFERENCES delta_changes (generation, delta)
);

-- Records are what the API knows of clusters: declarations and tombstones.
CREATE TABLE record_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    cluster    TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, cluster)
);
CREATE INDEX record_changes_by_cluster ON record_changes (cluster, generation);

CREATE TABLE records (
    cluster    TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    -- The releases that the assignment in a tombstone names, itself and by its previous one.
    release    BIGINT NOT NULL,
    previous   BIGINT NOT NULL,
    FOREIGN KEY (generation, cluster) REFERENCES record_changes (generation, cluster)
);

CREATE TABLE pin_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    pin        TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, pin)
);

CREATE TABLE pins (
    pin        TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    release    BIGINT NOT NULL,
    FOREIGN KEY (generation, pin) REFERENCES pin_changes (generation, pin)
);

CREATE TABLE token_changes (
    generation BIGINT NOT NULL REFERENCES changes (generation) ON DELETE CASCADE,
    token      TEXT NOT NULL,
    was        TEXT,
    became     TEXT,
    PRIMARY KEY (generation, token)
);

-- Tokens have their document here, because their entries may be pruned: an old token is as good
-- as a new one. The table has hashes, never tokens.
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

-- Assignments say which clusters are not simply on the live release. A pin, a wave or an abort
-- may write one for every cluster of a large fleet, nearly all with the same content. So the
-- content is a row of its own, which the clusters that one change assigns alike share, and the
-- ledger is nothing but numbers beside the cluster's name.
--
-- The three tables, and change_clusters, have no foreign keys: checking one is a look-up for each
-- row, which on PostgreSQL takes longer than everything else about the row. Prune keeps
-- what they would keep.

CREATE TABLE assignment_values (
    id       BIGINT PRIMARY KEY,
    -- The releases that the document names: that of the assignment, and of its previous one.
    release  BIGINT NOT NULL,
    previous BIGINT NOT NULL,
    document TEXT NOT NULL
);

-- The values before and after a change; NULL where there is no assignment. The one before is
-- stored, although an earlier row of the ledger has it, because that row may be pruned; as a
-- number it costs next to nothing.
CREATE TABLE assignment_changes (
    generation BIGINT NOT NULL,
    cluster    TEXT NOT NULL,
    was        BIGINT,
    became     BIGINT,
    PRIMARY KEY (generation, cluster)
);
CREATE INDEX assignment_changes_by_cluster ON assignment_changes (cluster, generation);

CREATE TABLE assignments (
    cluster    TEXT PRIMARY KEY,
    generation BIGINT NOT NULL,
    value      BIGINT NOT NULL
);

-- The clusters of rollouts, wave by wave. They are written when a rollout starts, and again where
-- a purge takes a cluster out of the one in progress; steps do not touch them.
CREATE TABLE rollout_waves (
    id       BIGINT PRIMARY KEY,
    release  BIGINT NOT NULL,
    document TEXT NOT NULL
);

-- Releases as they are now, by the change that made them so; the entry itself may be pruned. A revision
-- that the source goes back to after it was superseded has another row from then on.
CREATE TABLE releases (
    -- The ID of the release in the API, which follows from its revision.
    release    TEXT NOT NULL,
    ref        BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    -- When it entered its state.
    changed_at BIGINT NOT NULL,
    state      TEXT NOT NULL,
    -- The change by which it last went live; NULL where it never has.
    went_live  BIGINT,
    document   TEXT NOT NULL,
    -- The digest of its impact; NULL for none.
    impact     TEXT,
    PRIMARY KEY (release, generation)
);
CREATE INDEX releases_by_generation ON releases (generation);

-- The groups of impacts. They may be long, and are seldom asked for.
CREATE TABLE impacts (
    digest   TEXT PRIMARY KEY,
    document TEXT NOT NULL
);

-- The releases that the state needs, by their ids in release_refs. Neither their documents nor
-- their snapshots are pruned. Whatever comes to name a release in the state is added here.
CREATE VIEW releases_in_use AS
    SELECT live_release AS ref FROM head WHERE live_release IS NOT NULL
    UNION SELECT candidate FROM head WHERE candidate IS NOT NULL
    UNION SELECT release FROM rollout_waves WHERE id IN (SELECT rollout FROM head)
    UNION SELECT release FROM pins
    UNION SELECT release FROM records
    UNION SELECT previous FROM records
    UNION SELECT release FROM assignment_values WHERE id IN (SELECT value FROM assignments)
    UNION SELECT previous FROM assignment_values WHERE id IN (SELECT value FROM assignments);

-- Packed trees, and the parts that they need beside their own data. Each part is kept once: a
-- commit that touches one file of thousands has nearly all parts in common with the one before.
CREATE TABLE snapshots (
    digest   TEXT PRIMARY KEY,
    saved_at BIGINT NOT NULL,
    data     BYTEA NOT NULL
);

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

-- What is not part of the log.

-- The server that leads, in one row, and how often a look at the source was asked for.
CREATE TABLE lease (
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL,
    looks  BIGINT NOT NULL
);
INSERT INTO lease (holder, until, looks) VALUES ('', 0, 0);

-- The source of the fleet, in one row; empty before the first server. Branches and tags are left out.
CREATE TABLE fleet_source (
    source TEXT NOT NULL
);
INSERT INTO fleet_source (source) VALUES ('');

-- The tries of releases that have begun and not ended, by revision, and when the last one began.
CREATE TABLE tries (
    revision TEXT PRIMARY KEY,
    tries    BIGINT NOT NULL,
    begun_at BIGINT NOT NULL
);

-- The last poll of each input set by each cluster: the dns by which it polled, empty for its name,
-- the generation and the release that it was answered with, how often the cluster polls, and the
-- time since the poll before, both in microseconds and 0 where they are not known. A row without a
-- cluster is the last poll of a list of clusters, and its input set is the selector. The last poll
-- by hand has a row of its own, with by_hand = 1 and the name of the credential.
CREATE TABLE polls (
    cluster     TEXT NOT NULL,
    input_set   TEXT NOT NULL,
    polled_at   BIGINT NOT NULL,
    generation  BIGINT NOT NULL,
    release     TEXT NOT NULL,
    polls_every BIGINT NOT NULL,
    gap         BIGINT NOT NULL,
    agent       TEXT NOT NULL,
    dns         TEXT NOT NULL,
    polled_by   TEXT NOT NULL,
    by_hand     BIGINT NOT NULL,
    PRIMARY KEY (cluster, input_set, by_hand)
);
CREATE INDEX polls_by_dns ON polls (dns) WHERE dns <> '';

CREATE TABLE token_uses (
    token   TEXT PRIMARY KEY,
    used_at BIGINT NOT NULL
);
