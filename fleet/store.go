package fleet

import (
	"context"
	"io/fs"
	"time"
)

// Store is the durable change log. Package sqlstore has one. Its methods may be
// called from many goroutines. An error that is none of the kinds below means
// that the store cannot be used for now: it is an ErrStore, and an ErrStoreFull
// where it has no room.
type Store interface {
	// Load returns what the log adds up to.
	Load(ctx context.Context) (*LogState, error)
	// Since returns what came after a generation. It is an ErrNotFound where not all of
	// it is there any more, or it is too much: Load anew.
	Since(ctx context.Context, generation int64) (*LogChanges, error)
	// TokensSince returns the tokens that changed after a generation, as they are now,
	// and the generation that is now.
	TokensSince(ctx context.Context, generation int64) (changed []*Token, now int64, err error)
	// Append makes a change durable, and what it does to deltas, records, tokens, pins,
	// releases and the lineup; of a cluster that is purged it forgets the polls. Its
	// generation must be the next one: it is an ErrConflict where another change has
	// taken that, or its Holder does not hold the lease, and nothing is kept. It is an
	// ErrNotFound where the snapshot of what goes live, or of a pin, is not in the store.
	Append(ctx context.Context, c *Change) error
	// Changes returns the entries that match, newest first.
	Changes(ctx context.Context, q ChangeQuery) ([]Change, error)
	// StateAt returns the deltas and the records as they were at a generation. It is
	// an ErrNotFound where the log does not reach there: the generation is yet to
	// come, or so old that Prune has dropped what it would take to tell.
	StateAt(ctx context.Context, generation int64) (*LogState, error)
	// Releases returns those that match, newest first by the generation that they came
	// to be in their state at; those of one generation are never parted. Of their impact
	// only those that are held have the groups.
	Releases(ctx context.Context, q ReleaseQuery) ([]Release, error)
	// Release returns one by its ID, with the groups of its impact, or an ErrNotFound.
	Release(ctx context.Context, id string) (*Release, error)
	// SaveSnapshot keeps a packed snapshot by its digest, and those of its parts that are
	// not there yet; one that is there already is kept as it is. Until it is part of a release that goes live it is
	// kept for an hour at least.
	SaveSnapshot(ctx context.Context, p *Packed) error
	// Snapshot returns a packed snapshot, or an ErrNotFound.
	Snapshot(ctx context.Context, digest string) (*Packed, error)
	// Prune drops entries that are older than before, tokens that ended before then,
	// releases that came to their end before then, and snapshots that were saved more
	// than an hour ago. What it takes to explain what is served now stays: the entry of
	// the live release, and for each delta, pin and record the entry that made it what it
	// is. So do the snapshots and releases that a cluster is on or is pinned to, that the
	// lineup names or that wait for a decision, and the ten that went live last. It
	// returns how many entries it dropped.
	Prune(ctx context.Context, before time.Time) (int64, error)
	// Generation is that of the last change, for who wants to know whether there is
	// another, or whether the store can be reached.
	Generation(ctx context.Context) (int64, error)

	Lease
	Tracker
}

// Lease lets one of several servers lead: it follows the source, puts releases
// live, and withdraws what has expired. Time is the store's, so that servers
// whose clocks differ agree on who leads.
type Lease interface {
	// Lead takes the lease for a while, or keeps it, if nobody else holds it, and
	// tells whether that was so. Looks counts how often AskLook was called.
	Lead(ctx context.Context, holder string, ttl time.Duration) (held bool, looks int64, err error)
	// Resign gives the lease up.
	Resign(ctx context.Context, holder string) error
	// AskLook asks whoever leads to look at the source now.
	AskLook(ctx context.Context) error
	// Announce tells those who Listen that the release of a revision may go live soon,
	// and keeps its snapshot as SaveSnapshot does, so that they can make it ready. A store
	// that cannot tell does nothing.
	Announce(ctx context.Context, revision string, p *Packed) error
	// Listen calls heard for each Notice until ctx ends or it cannot hear any more. A
	// store that cannot tell returns nil at once.
	Listen(ctx context.Context, heard func(Notice)) error
}

// Notice is what servers of one log tell each other: that there may be another change,
// or more.
type Notice struct {
	// Look tells that AskLook was called.
	Look bool
	// Coming is the revision of a release that may go live soon, and Snapshot the digest
	// of its tree. Such a notice tells of no change.
	Coming, Snapshot string
}

// Tracker keeps what is known of those who poll. It is no part of the log.
type Tracker interface {
	// SavePolls keeps polls, and when tokens were last used by ID. What is there and
	// is later stays.
	SavePolls(ctx context.Context, polls []Poll, uses map[string]time.Time) error
	// Polls returns the last polls of clusters, of all where they are nil, sorted by
	// cluster and set.
	Polls(ctx context.Context, clusters []string) ([]Poll, error)
	// Uses returns when tokens were last used, by ID.
	Uses(ctx context.Context) (map[string]time.Time, error)
}

// LogState is what a change log adds up to.
type LogState struct {
	// Generation is that of the last change; 0 where there was none.
	Generation int64
	// Deltas are those in force, sorted by ID.
	Deltas []*Delta
	// Records are what it says of clusters, sorted by name.
	Records []*ClusterRecord
	// Tokens are all that have not been pruned, valid or not, sorted by ID.
	Tokens []*Token
	// Live is the change by which the live release went live, nil where none has.
	Live *Change
	// Lineup is where the fleet is going, never nil, and Releases are the live one, that of its
	// rollout and its candidate, as far as there are any, without the groups of impacts.
	Lineup   *Lineup
	Releases []*Release
	// Pins are those in force, sorted by name.
	Pins []*Pin
}

// LogChanges are what came after a generation.
type LogChanges struct {
	// Changes are oldest first, with their Deltas, Records and Pins.
	Changes []Change
	// Tokens are those that they changed, as they are now, with what History does not show.
	Tokens []*Token
	// Lineup and Releases are as LogState has them, now.
	Lineup   *Lineup
	Releases []*Release
}

// ChangeQuery chooses entries of the change log. A zero field chooses all.
type ChangeQuery struct {
	// Generation chooses that one entry.
	Generation int64
	// Cluster chooses changes that were for it: those of deltas that were, and
	// all releases.
	Cluster string
	Actor   string
	// Delta is the ID of one that changed.
	Delta string
	// Since and Until bound the time, both inclusive.
	Since, Until time.Time
	// After and Before bound the generation, exclusively; the page after one ends
	// before its last.
	After, Before int64
	// Limit is the most entries; 0 stands for 100.
	Limit int
}

// Packed is a snapshot's tree as bytes, which say the same for the same tree.
type Packed struct {
	// Digest is sha256:<64 hex> of what the tree holds.
	Digest string
	Data   []byte
	// Parts are what Data needs beside itself. Snapshots that are nearly the same have
	// nearly all of them in common, and a store keeps each once.
	Parts []PackedPart
}

// PackedPart is a part of packed snapshots.
type PackedPart struct {
	// Digest is sha256:<64 hex> of what it holds.
	Digest string
	Data   []byte
}

// Archive packs and unpacks trees. Package sources has one.
type Archive interface {
	Pack(ctx context.Context, tree fs.FS) (*Packed, error)
	// Unpack returns the tree, or an error where the bytes are not those of the digest.
	Unpack(ctx context.Context, p *Packed) (fs.FS, error)
}
