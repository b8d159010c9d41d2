package git

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"golang.org/x/sync/semaphore"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// Repository is a Git repository as a source. Between fetches it keeps the last
// commit that was read, in memory and without history. A fetch names that
// commit to the server, which sends only what is new. There is no clone on disk
// that could grow, become stale or be corrupted.
type Repository struct {
	at     Config
	dialer dialer

	fetching *semaphore.Weighted
	// last is the result that was read last; nil at first. Only a Fetch that
	// holds the fetching mutex stores it; At loads it at any time.
	last atomic.Pointer[readResult]
	// missingIn is the digest of the server's refs when the whole history was
	// searched for a commit in vain; zero at first. While the refs stay the
	// same, the search is not repeated.
	missingIn [sha256.Size]byte
	// refused is the last revision with a permanent fault. It is remembered
	// because reading it again would fail in the same way and may cost as much
	// as the limits allow.
	refused refusedRevision
}

// commit is the content of one commit.
type commit struct {
	hash     plumbing.Hash
	tree     *tree.Tree
	objects  objects
	leafDirs leafDirs
	about    *fleet.Commit
	// complete is true if objects has all objects of the commit.
	complete bool
}

// readResult is a commit and the subject that it was verified for. It is
// immutable.
type readResult struct {
	commit  *commit
	subject subject
}

// refusedRevision is a revision and its fault.
type refusedRevision struct {
	revision string
	subject  subject
	err      error
}

// New returns a repository as a source. It connects to nothing yet.
func New(c Config) (*Repository, error) {
	d, err := newDialer(c)
	if err != nil {
		return nil, err
	}
	return &Repository{at: c, dialer: d, fetching: semaphore.NewWeighted(1)}, nil
}

// String returns the URL, with the ref if one was given.
func (r *Repository) String() string { return r.at.Name }

// Watch returns immediately, because Git servers send no notifications.
func (r *Repository) Watch(context.Context, func()) error { return nil }

// Close closes idle connections.
func (r *Repository) Close() error {
	r.dialer.close()
	return nil
}

// Fetch asks the server for its refs, and downloads a pack only if the ref has
// moved away from known. It takes as long as the server does; ctx bounds it.
func (r *Repository) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	if err := r.fetching.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.fetching.Release(1)
	snapshot, err := r.fetch(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", BaseURL(r.at.URL), explain(ctx, err))
	}
	return snapshot, nil
}

func (r *Repository) fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	verify, err := readVerifier(r.at.Options)
	if err != nil {
		return nil, err
	}
	if commit := r.at.Ref.commit; commit != "" && r.at.Ref.name == "" {
		// The content of a commit hash never changes, so the server need not be
		// asked.
		if answer, ok := r.cachedOutcome(pinnedCommit(commit), verify, known); ok {
			return answer.snapshot, answer.err
		}
	}
	remote, err := r.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	at, err := remote.resolve(r.at.Ref)
	if err != nil {
		return nil, err
	}
	if answer, ok := r.cachedOutcome(at, verify, known); ok {
		return answer.snapshot, answer.err
	}
	if (at.ref == "" || !at.tip.IsZero()) && r.missingIn == remote.digest() {
		return nil, commitNotFound(at) // Finding out again would mean reading the whole history.
	}
	if err := r.advance(ctx, remote, at, verify); err != nil {
		if (at.ref == "" || !at.tip.IsZero()) && errors.Is(err, fleet.ErrNotFound) {
			r.missingIn = remote.digest()
		}
		return nil, tree.Refused(at.revision(), err)
	}
	return r.snapshot(at), nil
}

func (r *Repository) snapshot(at remoteRef) *fleet.Snapshot {
	commit := r.last.Load().commit
	return &fleet.Snapshot{Revision: at.revision(), Tree: commit.tree, Commit: commit.about}
}

type fetchOutcome struct {
	snapshot *fleet.Snapshot
	err      error
}

// cachedOutcome returns the outcome for a ref that can be answered without
// downloading a pack.
func (r *Repository) cachedOutcome(at remoteRef, verify verifier, known string) (fetchOutcome, bool) {
	s, revision, last := verify.subject(at), at.revision(), r.last.Load()
	again := r.refused.revision == revision && r.refused.subject != s // The keys or the tag have changed.
	switch {
	case revision == known && !again:
		return fetchOutcome{err: r.reverify(at, verify)}, true
	case last != nil && last.subject == s:
		if again {
			r.refused = refusedRevision{} // The keys are the same again.
		}
		return fetchOutcome{snapshot: r.snapshot(at)}, true
	case r.refused.err != nil && r.refused.subject == s:
		return fetchOutcome{err: tree.Refused(revision, r.refused.err)}, true
	}
	return fetchOutcome{}, false
}

// reverify verifies the commit that the caller already has if the keys have
// changed since: after a key is removed, what it signed must be refused. It
// uses only what is in memory.
func (r *Repository) reverify(at remoteRef, verify verifier) error {
	s, last := verify.subject(at), r.last.Load()
	if last == nil || last.subject == s {
		return nil
	}
	before := last.subject
	before.keys = s.keys
	if before != s {
		return nil
	}
	if err := verify.verifyStored(at, last.commit.objects); err != nil {
		r.refused = refusedRevision{at.revision(), s, err}
		return tree.Refused(at.revision(), err)
	}
	r.last.Store(&readResult{last.commit, s})
	return nil
}

// advance reads the commit of a ref and stores it as the last one.
func (r *Repository) advance(ctx context.Context, remote *remote, at remoteRef, verify verifier) error {
	o := readOptions{limits: r.at.Limits, path: r.at.Path, verify: verify}
	have := r.have()
	next, err := readCommit(ctx, remote, at, have, o)
	if err != nil && have != nil && ctx.Err() == nil && blamesHave(err) {
		next, err = r.refetch(ctx, at, o)
	}
	if tree.IsPermanent(err) {
		r.refused = refusedRevision{at.revision(), verify.subject(at), err}
	}
	if err != nil {
		return err
	}
	if r.refused.revision == at.revision() {
		r.refused = refusedRevision{}
	}
	r.last.Store(&readResult{next, verify.subject(at)})
	return nil
}

// have returns the commit that was read last; nil at first.
func (r *Repository) have() *commit {
	if last := r.last.Load(); last != nil {
		return last.commit
	}
	return nil
}

// blamesHave reports whether an error may be caused by naming a commit that is
// already here: the server sent a pack that does not fit, or refused the
// request. Other errors, such as a broken connection or a request to slow down,
// must not be followed by an immediate retry.
func blamesHave(err error) bool {
	var (
		status    *statusError
		errorLine *pktline.ErrorLine
		network   net.Error
	)
	switch {
	case errors.As(err, &status):
		return status.StatusCode == http.StatusInternalServerError
	case errors.As(err, &errorLine), errors.Is(err, errAnswer):
		return true
	}
	return errors.Is(err, errPack) && !errors.As(err, &network)
}

// refetch reads the commit without naming an earlier one, over a new
// connection.
func (r *Repository) refetch(ctx context.Context, at remoteRef, o readOptions) (*commit, error) {
	remote, err := r.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	return readCommit(ctx, remote, at, nil, o)
}

// At fetches another branch, tag or commit, or the highest tag in a range, with
// the same options. It may run concurrently with Fetch and other calls of At.
// It starts from the commit that was read last, and does not change it.
func (r *Repository) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := otherGitRef(ref)
	if err != nil {
		return nil, err
	}
	other := &Repository{at: r.at, dialer: r.dialer, fetching: semaphore.NewWeighted(1)}
	other.at.Ref = want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

// otherGitRef parses a ref that comes from a caller instead of the SOURCE. It
// is only looked up among the refs that the server lists, and never sent
// anywhere.
func otherGitRef(ref string) (Ref, error) {
	want, err := ParseRef(ref)
	if err != nil || len(ref) > message.MaxRef {
		return Ref{}, message.InvalidRef(ref, "a branch, a tag, a commit by its 40 digits, or a range such as semver:>=1.0.0")
	}
	return want, nil
}
