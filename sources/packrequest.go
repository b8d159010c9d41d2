package sources

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/tributary-gitops/tributary/fleet"
)

// want is what is asked of a server.
type want struct {
	// hashes are of commits and tags.
	hashes []plumbing.Hash
	// have is a commit of which only the differences are sent; nil for none.
	have *commit
	// history is true where all commits are sent, and not the last one alone.
	history bool
	bounds  packBounds
}

// want is how to come by a commit. Servers give what a ref points to, so that an
// annotated tag is the way to its commit; most give other commits too. Where a
// server does not, all of its history is read, and the commit looked up there.
func (r *remote) want(at remoteRef, have *commit, o readOptions) (want, error) {
	w := want{have: have, bounds: boundsOf(o.limits, o.path != "")}
	switch {
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
		return want{}, commitNotFound(at.commit)
	}
	return w, nil
}

// listed is a hash that a ref points to and that leads to a commit; zero where
// there is none.
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

// peeled is the commit that an annotated tag leads to, and no hash of any object
// where the ref is none.
func (r *remote) peeled(ref string) plumbing.Hash {
	if commit, ok := r.refs.Peeled[ref]; ok {
		return commit
	}
	return r.refs.References[ref]
}

// givesAnyCommit tells whether commits can be had that no ref points to.
func (r *remote) allowsAnyCommit() bool {
	offered := r.refs.Capabilities
	return offered.Supports(capability.AllowReachableSHA1InWant) || offered.Supports("allow-any-sha1-in-want")
}

// sum is another one where the server lists anything else.
func (r *remote) digest() [sha256.Size]byte {
	hash := sha256.New()
	for _, ref := range slices.Sorted(maps.Keys(r.refs.References)) {
		fmt.Fprintf(hash, "%s %s\n", r.refs.References[ref], ref)
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// everything is what branches and tags point to.
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

func commitNotFound(hash plumbing.Hash) error {
	return fmt.Errorf("commit %s: %w; no branch and no tag leads to it", hash, fleet.ErrNotFound)
}

// notGiven is what becomes of a request that failed. Git has no other way to say
// that it will not give a commit; and through a pipe that it has hung up, in the
// middle of the request, may be seen before what it said.
func explainPackError(at remoteRef, err error) error {
	says := func(text string) bool { return strings.Contains(err.Error(), text) }
	hungUp := says("sending upload-req message: ") || says("sending haves message: ") || says("sending done message: ")
	if at.ref == "" && (hungUp || says("not our ref")) {
		return commitNotFound(at.commit)
	}
	return err
}
