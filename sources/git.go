package sources

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/tributary-gitops/tributary/fleet"
)

// repository is a Git repository as a source. What it keeps between fetches is
// the last commit, in memory and without its history: the server is told of it
// and sends only what is new. There is no clone on disk, so none can grow, go
// stale or be corrupted.
type repository struct {
	at      location
	options Options
	dialer  dialer

	fetching fetchMutex
	// last is what was read last; nil at first. Whoever has the turn sets it, and
	// At reads it at any time.
	last atomic.Pointer[readResult]
	// absent is what the refs were when a commit that no ref points to was looked for
	// in all of the history, in vain; empty at first.
	missingIn [sha256.Size]byte
	// refused is one that breaks the rules, and why. It would break them again,
	// and reading it may cost as much as the limits allow.
	refused refusedRevision
}

// commit is the content of one commit.
type commit struct {
	hash     plumbing.Hash
	tree     *tree
	objects  objects
	leafDirs leafDirs
}

// reading is a commit, and what it was read for. Neither ever changes.
type readResult struct {
	commit  *commit
	subject subject
}

// refusal is the fault of a revision.
type refusedRevision struct {
	revision string
	subject  subject
	err      error
}

func newRepository(at location, o Options) (*repository, error) {
	d, err := newDialer(at.repository, o)
	if err != nil {
		return nil, err
	}
	return &repository{at: at, options: o, dialer: d, fetching: newFetchMutex()}, nil
}

// String is the URL with the branch, if one was named.
func (r *repository) String() string { return r.at.String() }

// Watch returns at once: Git servers do not call.
func (r *repository) Watch(context.Context, func()) error { return nil }

// Close lets go of idle connections.
func (r *repository) Close() error {
	r.dialer.close()
	return nil
}

// Fetch asks the server where the ref is, and for what is new only if that is
// elsewhere than known. It takes as long as the server does; ctx bounds it.
func (r *repository) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	if err := r.fetching.lock(ctx); err != nil {
		return nil, err
	}
	defer r.fetching.unlock()
	snapshot, err := r.fetch(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", r.at.base(), explain(ctx, err))
	}
	return snapshot, nil
}

func (r *repository) fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	verify, err := readVerifier(r.options.Git)
	if err != nil {
		return nil, err
	}
	if commit := r.at.ref.commit; commit != "" {
		// What a hash stands for never moves, so that nobody needs to be asked.
		if answer, ok := r.cachedOutcome(pinnedCommit(commit), verify, known); ok {
			return answer.snapshot, answer.err
		}
	}
	remote, err := r.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	at, err := remote.resolve(r.at.ref)
	if err != nil {
		return nil, err
	}
	if answer, ok := r.cachedOutcome(at, verify, known); ok {
		return answer.snapshot, answer.err
	}
	if at.ref == "" && r.missingIn == remote.digest() {
		return nil, commitNotFound(at.commit) // All of the history would have to be read to find out again.
	}
	if err := r.advance(ctx, remote, at, verify); err != nil {
		if at.ref == "" && errors.Is(err, fleet.ErrNotFound) {
			r.missingIn = remote.digest()
		}
		return nil, asRefused(at.revision(), err)
	}
	return r.snapshot(at), nil
}

func (r *repository) snapshot(at remoteRef) *fleet.Snapshot {
	return &fleet.Snapshot{Revision: at.revision(), Tree: r.last.Load().commit.tree}
}

type fetchOutcome struct {
	snapshot *fleet.Snapshot
	err      error
}

// settled is what becomes of a tip, where no pack is needed to tell.
func (r *repository) cachedOutcome(at remoteRef, verify verifier, known string) (fetchOutcome, bool) {
	s, revision, last := verify.subject(at), at.revision(), r.last.Load()
	again := r.refused.revision == revision && r.refused.subject != s // There are other keys now, or another tag.
	switch {
	case revision == known && !again:
		return fetchOutcome{err: r.reverify(at, verify)}, true
	case last != nil && last.subject == s:
		if again {
			r.refused = refusedRevision{} // The keys are back.
		}
		return fetchOutcome{snapshot: r.snapshot(at)}, true
	case r.refused.err != nil && r.refused.subject == s:
		return fetchOutcome{err: asRefused(revision, r.refused.err)}, true
	}
	return fetchOutcome{}, false
}

// verifyAgain holds the commit that is known against the keys, where these have
// become others: who takes a key away must see what it signed. That takes nothing
// from the server.
func (r *repository) reverify(at remoteRef, verify verifier) error {
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
		return asRefused(at.revision(), err)
	}
	r.last.Store(&readResult{last.commit, s})
	return nil
}

// advance makes the commit of a tip the last one.
func (r *repository) advance(ctx context.Context, remote *remote, at remoteRef, verify verifier) error {
	o := readOptions{limits: r.options.Limits, path: r.at.path, verify: verify}
	have := r.have()
	next, err := readCommit(ctx, remote, at, have, o)
	if err != nil && have != nil && ctx.Err() == nil && blamesHave(err) {
		next, err = r.refetch(ctx, at, o)
	}
	if isPermanent(err) {
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

// have is the commit that was read last; nil at first.
func (r *repository) have() *commit {
	if last := r.last.Load(); last != nil {
		return last.commit
	}
	return nil
}

// blamesClaim tells whether what went wrong may be that the server was told of a
// commit that is had: it sent a pack that does not fit, or refused. Where the way
// to it is broken or it wants to be left alone, asking again at once does harm.
func blamesHave(err error) bool {
	var (
		status  *githttp.Err
		told    *pktline.ErrorLine
		network net.Error
	)
	err = unwrapUnexpected(err)
	switch {
	case errors.As(err, &status):
		return status.Response.StatusCode == http.StatusInternalServerError
	case errors.As(err, &told), strings.HasPrefix(err.Error(), uploadPackRefused):
		return true
	}
	return errors.Is(err, errPack) && !errors.As(err, &network)
}

// startOver reads the commit as if nothing were known, over a connection of its own.
func (r *repository) refetch(ctx context.Context, at remoteRef, o readOptions) (*commit, error) {
	remote, err := r.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	return readCommit(ctx, remote, at, nil, o)
}
