package sources

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/tributary-gitops/tributary/fleet"
)

// repository is a Git repository as a source. What it keeps between fetches is
// the last commit, in memory and without its history: the server is told of it
// and sends only what is new. There is no clone on disk, so none can grow, go
// stale or be corrupted.
type repository struct {
	at     location
	limits Limits
	dialer dialer

	turn turn
	// last is the commit that was read last; nil at first.
	last *commit
	// refused is a commit that breaks the rules, and why. It would break them
	// again, and reading it may cost as much as the limits allow.
	refused struct {
		hash plumbing.Hash
		err  error
	}
}

// commit is the content of one commit.
type commit struct {
	hash    plumbing.Hash
	tree    *tree
	objects objects
}

func newRepository(at location, limits Limits) *repository {
	return &repository{at: at, limits: limits, dialer: newDialer(at.repository, limits), turn: newTurn()}
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

// Fetch asks the server where the branch is, and for what is new only if that
// is elsewhere than known. It takes as long as the server does; ctx bounds it.
func (r *repository) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	if err := r.turn.take(ctx); err != nil {
		return nil, err
	}
	defer r.turn.give()
	snapshot, err := r.fetch(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("git repository %s: %w", r.at.site(), explain(ctx, err))
	}
	return snapshot, nil
}

func (r *repository) fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	remote, err := r.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	tip, err := remote.branch(r.at.branch)
	if err != nil {
		return nil, err
	}
	switch {
	case tip.revision() == known:
		return nil, nil
	case r.last != nil && r.last.hash == tip.hash:
	case r.refused.hash == tip.hash:
		return nil, refused(tip.revision(), r.refused.err)
	default:
		if err := r.advance(ctx, remote, tip.hash); err != nil {
			return nil, refused(tip.revision(), err)
		}
	}
	return &fleet.Snapshot{Revision: tip.revision(), Tree: r.last.tree}, nil
}

// advance makes the commit of that hash the last one.
func (r *repository) advance(ctx context.Context, remote *remote, hash plumbing.Hash) error {
	next, err := readCommit(ctx, remote, hash, r.last, r.limits)
	var broken *fault
	if err != nil && r.last != nil && !errors.As(err, &broken) && ctx.Err() == nil {
		// It may be what we claimed to have that went wrong.
		next, err = r.startOver(ctx, hash)
	}
	if errors.As(err, &broken) {
		r.refused.hash, r.refused.err = hash, err
	}
	if err != nil {
		return err
	}
	r.last = next
	return nil
}

// startOver reads the commit as if nothing were known, over a connection of its own.
func (r *repository) startOver(ctx context.Context, hash plumbing.Hash) (*commit, error) {
	remote, err := r.dialer.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	return readCommit(ctx, remote, hash, nil, r.limits)
}
