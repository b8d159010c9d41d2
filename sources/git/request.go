package git

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// want describes what to request from a server.
type want struct {
	// hashes are the commits and tags to request.
	hashes []plumbing.Hash
	// have is the commit that is already here, so that only differences are
	// sent; nil for none.
	have *commit
	// history is true if all commits are requested instead of only the last
	// one.
	history bool
	bounds  packBounds
}

// want returns the request for a commit. Servers give out what a ref points to,
// so an annotated tag is requested to get its commit. Most servers also give
// out other commits. If a server does not, all of its history is requested and
// the commit is looked up there.
func (r *remote) want(at remoteRef, have *commit, o readOptions) (want, error) {
	w := want{have: have, bounds: boundsOf(o.limits, o.path != "")}
	w.bounds.partial = have != nil && !have.complete
	switch {
	case !at.tip.IsZero() && at.tip != at.commit:
		w = want{hashes: []plumbing.Hash{at.tip}, history: true, bounds: boundsOf(o.limits, true)}
	case !at.tag.IsZero():
		w.hashes = []plumbing.Hash{at.tag}
	case at.ref != "":
		w.hashes = []plumbing.Hash{at.commit}
	case !r.hashLeadingTo(at.commit).IsZero():
		w.hashes = []plumbing.Hash{r.hashLeadingTo(at.commit)}
	case r.allowsAnyCommit():
		w.hashes = []plumbing.Hash{at.commit}
	default:
		w = want{hashes: r.allRefHashes(), history: true, bounds: boundsOf(o.limits, true)}
	}
	if len(w.hashes) == 0 {
		return want{}, commitNotFound(at)
	}
	return w, nil
}

// hashLeadingTo returns a listed hash that is the commit or is a tag of it;
// zero if there is none.
func (r *remote) hashLeadingTo(commit plumbing.Hash) (found plumbing.Hash) {
	for ref, hash := range r.refs.References {
		switch commit {
		case hash:
			return hash
		case r.peeled(ref):
			found = hash
		}
	}
	return found
}

// peeled returns the commit that an annotated tag points to. For any other ref
// it returns the ref's own hash.
func (r *remote) peeled(ref string) plumbing.Hash {
	if commit, ok := r.refs.Peeled[ref]; ok {
		return commit
	}
	return r.refs.References[ref]
}

// allowsAnyCommit reports whether the server gives out commits that no ref
// points to.
func (r *remote) allowsAnyCommit() bool {
	offered := r.refs.Capabilities
	return offered.Supports(capability.AllowReachableSHA1InWant) || offered.Supports("allow-any-sha1-in-want")
}

// digest returns a digest of the server's refs. It changes when any ref does.
func (r *remote) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, ref := range slices.Sorted(maps.Keys(r.refs.References)) {
		fmt.Fprintf(hash, "%s %s\n", r.refs.References[ref], ref)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// allRefHashes returns the hashes of all branches and tags.
func (r *remote) allRefHashes() []plumbing.Hash {
	var hashes []plumbing.Hash
	for ref, hash := range r.refs.References {
		if strings.HasPrefix(ref, branchPrefix) || strings.HasPrefix(ref, tagPrefix) {
			hashes = append(hashes, hash)
		}
	}
	plumbing.HashesSort(hashes)
	return slices.Compact(hashes)
}

func commitNotFound(at remoteRef) error {
	if at.ref != "" {
		return fmt.Errorf("commit %s: %w; the branch %s does not lead to it", at.commit, fleet.ErrNotFound, message.Printable(strings.TrimPrefix(at.ref, branchPrefix)))
	}
	return fmt.Errorf("commit %s: %w; no branch and no tag leads to it", at.commit, fleet.ErrNotFound)
}

// explainPackError explains a failed request. Git has no status for refusing a
// commit: the server only says so in text or closes the connection. Through a
// pipe, the closed connection may be noticed in the middle of the request,
// before the text.
func explainPackError(at remoteRef, err error) error {
	var line *pktline.ErrorLine
	if at.ref == "" && (errors.Is(err, errClosed) || errors.As(err, &line) && strings.Contains(line.Text, "not our ref")) {
		return commitNotFound(at)
	}
	return err
}
