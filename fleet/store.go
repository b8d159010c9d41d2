package fleet

import (
	"context"
	"io/fs"
	"time"
)

// Store is the durable change log. Package sqlstore has one. Its methods may be called from many
// goroutines. An error that is none of the kinds named here means that the store cannot be used
// at the moment: it is an ErrStore, and an ErrStoreFull where it has no space left.
type Store interface {
	// Load returns what the log adds up to.
	Load(ctx context.Context) (*LogState, error)
	// Since returns the changes after a generation. It is an ErrNotFound where some of them have
	// been pruned, or where there are too many; Load then.
	Since(ctx context.Context, generation int64) (*LogChanges, error)
	// TokensSince returns the tokens that changed after a generation, as they are now, and the
	// present generation.
	TokensSince(ctx context.Context, generation int64) (changed []*Token, now int64, err error)
	// Append makes a change durable, with everything that it changes. Of a cluster that is
	// purged it drops the polls. The change's generation must be the next one: it is an
	// ErrConflict where another change has taken it, or where the change's Holder does not hold
	// the lease; nothing is kept then. It is an ErrNotFound where the snapshot of what goes
	// live, rolls out or is pinned is not in the store.
	Append(ctx context.Context, c *Change) error
	// Changes returns the entries that match, newest first. Their Releases, Rollout,
	// Candidate and Losses are left out.
	Changes(ctx context.Context, q ChangeQuery) ([]Change, error)
	// StateAt returns the deltas and the records as they were at a generation. It is an
	// ErrNotFound where the log does not have it: the generation is still to come, or Prune has
	// dropped what is needed.
	StateAt(ctx context.Context, generation int64) (*LogState, error)
	// Releases returns those that match, newest first by the generation at which they entered
	// their state; those of one generation are never split over two pages. Only the impacts of
	// held releases have their groups.
	Releases(ctx context.Context, q ReleaseQuery) ([]Release, error)
	// Release returns one by its ID, with the groups of its impact, or an ErrNotFound.
	Release(ctx context.Context, id string) (*Release, error)
	// SaveSnapshot keeps a packed snapshot by its digest, and those of its parts that are not
	// there yet. It is kept for an hour at least, and then for as long as something names it.
	SaveSnapshot(ctx context.Context, p *Packed) error
	// Snapshot returns a packed snapshot, or an ErrNotFound.
	Snapshot(ctx context.Context, digest string) (*Packed, error)
	// Prune drops entries that are older than before, tokens that ended before then, releases
	// that ended before then, and snapshots that were saved more than an hour ago. What explains
	// the present state stays: the entry of the live release, and for each delta, pin, record
	// and assignment the entry that made it what it is. So do the releases and snapshots that
	// live, an assignment or its Previous, a pin, the rollout, the candidate or a tombstone
	// names, that wait for a decision, and the ten that went live last. It returns how many
	// entries it dropped.
	Prune(ctx context.Context, before time.Time) (int64, error)
	// Generation returns that of the last change. It is cheap: it reports whether there is a newer
	// change, and whether the store can be reached.
	Generation(ctx context.Context) (int64, error)

	// Tries returns what counts the tries of releases.
	Tries() TryStore

	Lease
	PollStore
}

// TryStore counts the tries of releases that have begun and not ended, because the server ended
// before. It is not part of the log.
type TryStore interface {
	// Begin counts a try of a revision, unless most tries of it have begun before and not ended. It
	// returns those that had, as they were before the call; with most 0 it only returns them. Those
	// that began more than a day ago are forgotten.
	Begin(ctx context.Context, revision string, most int) (Tries, error)
	// End forgets the tries of a revision.
	End(ctx context.Context, revision string) error
}

// Tries are the tries of a release that have begun and not ended.
type Tries struct {
	Count int
	// Since is how long ago the last of them began, by the store's clock.
	Since time.Duration
}

// Lease lets one of several servers lead: the leader follows the source, puts releases live, and
// withdraws what has expired. Time is the store's, so that servers whose clocks differ agree on
// who leads.
type Lease interface {
	// Lead takes or renews the lease if no other server holds it, and reports whether it is
	// held. Looks counts the calls of RequestLook.
	Lead(ctx context.Context, holder string, ttl time.Duration) (held bool, looks int64, err error)
	// ReleaseLease gives the lease up.
	ReleaseLease(ctx context.Context, holder string) error
	// RequestLook asks the leader to look at the source now.
	RequestLook(ctx context.Context) error
	// Announce notifies listeners that the release of a revision may go live soon, and keeps its
	// snapshot as SaveSnapshot does, so that they can render it beforehand. A store that cannot
	// notify does nothing.
	Announce(ctx context.Context, revision string, p *Packed) error
	// Listen calls heard for each Notice until ctx ends or the connection is lost. A store that
	// cannot notify returns nil at once.
	Listen(ctx context.Context, heard func(Notice)) error
}

// Notice is what the servers of one log send each other: by default that there may be a new
// change.
type Notice struct {
	// Look reports that RequestLook was called.
	Look bool
	// Coming is the release that was announced; such a notice is about no change.
	Coming ReleaseRef
}

// PollStore keeps what is known of polls and of the use of tokens. It is not part of the log.
type PollStore interface {
	// SavePolls keeps polls, and when tokens were last used by ID. What is there and is later
	// stays.
	SavePolls(ctx context.Context, polls []Poll, uses map[string]time.Time) error
	// Polls returns the last polls that match, sorted by cluster and set.
	Polls(ctx context.Context, q PollQuery) ([]Poll, error)
	// Uses returns when tokens were last used, by ID.
	Uses(ctx context.Context) (map[string]time.Time, error)
}

// PollQuery chooses polls. The zero value chooses all.
type PollQuery struct {
	// Clusters chooses those of clusters, and Names those that were made by one of some dns names;
	// nil chooses all.
	Clusters, Names []string
}

// LogState is what a change log adds up to.
type LogState struct {
	// Generation is that of the last change; 0 where there was none.
	Generation int64
	// Live is the live release; nil where none has gone live.
	Live *LiveRelease
	// Assignments are sorted by cluster.
	Assignments []*Assignment
	// Rollout is the one in progress, or nil.
	Rollout *Rollout
	// Candidate is that of State.
	Candidate ReleaseRef
	// Records are sorted by cluster.
	Records []*ClusterRecord
	// Deltas are those in force, sorted by ID.
	Deltas []*Delta
	// Pins are those in force, sorted by name.
	Pins []*Pin
	// Losses are those of State, oldest first.
	Losses []*Losses
	// Tokens are those that have not been pruned, valid or not, sorted by ID.
	Tokens []*Token
	// Releases are the live one, that of the rollout and the candidate, as far as there are any,
	// without the groups of impacts.
	Releases []*Release
}

// LogChanges are the changes after a generation.
type LogChanges struct {
	// Changes are oldest first, with everything that [State.Apply] needs.
	Changes []Change
	// Tokens are those that the changes changed, as they are now, with their secrets' hashes.
	Tokens []*Token
	// Releases are as LogState has them, now.
	Releases []*Release
}

// ChangeQuery chooses entries of the change log. A zero field chooses all.
type ChangeQuery struct {
	// Generation chooses the one entry.
	Generation int64
	// Cluster chooses changes that were for it, among them all releases that went live.
	Cluster string
	Actor   string
	// Delta is the ID of a delta that changed.
	Delta string
	// Since and Until limit the time, both inclusive.
	Since, Until time.Time
	// After and Before limit the generation, exclusively. The next page is Before the last
	// generation of this one.
	After, Before int64
	// Limit is the largest number of entries; 0 stands for 100.
	Limit int
}

// ReleaseQuery chooses releases. A zero field chooses all.
type ReleaseQuery struct {
	// State chooses one state. Live includes RollingOut.
	State ReleaseState
	// Before limits the generation, exclusively.
	Before int64
	// Limit is the largest number of releases; 0 stands for 100. There may be a few more,
	// because those of one generation are never split: one goes live and supersedes another.
	Limit int
}

// Packed is a snapshot's tree as bytes, the same bytes for the same tree.
type Packed struct {
	// Digest is sha256:<64 hex> of what the tree holds.
	Digest string
	Data   []byte
	// Parts are what Data needs beside itself. Snapshots that are nearly equal share nearly all
	// of their parts, and a store keeps each part once.
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
