package git

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
)

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

// remoteRef is a ref of the server and its commit.
type remoteRef struct {
	// ref is the full name; empty if the commit was given by its hash.
	ref    string
	commit plumbing.Hash
	// tag is the annotated tag that points to the commit; zero if there is
	// none.
	tag plumbing.Hash
	// tip is the last commit of the branch if the commit may be an earlier one;
	// zero otherwise.
	tip plumbing.Hash
}

// revision returns the revision as Flux writes it, such as main@sha1:....
func (t remoteRef) revision() string { return Revision(t.ref, t.commit) }

// Revision returns the revision of a commit that was found by the full name of
// a ref, or by its hash if that is empty.
func Revision(ref string, commit plumbing.Hash) string {
	name := strings.TrimPrefix(strings.TrimPrefix(ref, branchPrefix), tagPrefix)
	if name != "" {
		name += "@"
	}
	return name + "sha1:" + commit.String()
}

// resolve finds the wanted ref among those that the server lists. It refuses a
// name that cannot be printed, because the name becomes part of the revision,
// which appears in metrics, logs and answers.
func (r *remote) resolve(want Ref) (remoteRef, error) {
	at, err := r.find(want)
	if err == nil && want.Within() != "" {
		if !at.tag.IsZero() || strings.HasPrefix(at.ref, tagPrefix) {
			return remoteRef{}, fmt.Errorf("ref %s: %w: it is a tag, and commit must be on a branch", message.Printable(at.ref), fleet.ErrInvalid)
		}
		at.tip, at.commit = at.commit, plumbing.NewHash(want.commit)
	}
	if err == nil && message.Printable(at.ref) != at.ref {
		return remoteRef{}, fmt.Errorf("ref %s: %w: its name contains characters that cannot be printed; rename it", message.Printable(at.ref), fleet.ErrInvalid)
	}
	return at, err
}

func (r *remote) find(want Ref) (remoteRef, error) {
	switch {
	case want.commit != "" && want.name == "":
		return pinnedCommit(want.commit), nil
	case want.semver != "":
		return r.highestTag(want.semver)
	case strings.HasPrefix(want.name, "refs/"):
		return r.ref(want.name)
	case want.name != "":
		return r.branchOrTag(want.name)
	}
	return r.head()
}

// pinnedCommit returns a commit that is given by its hash, without a ref.
func pinnedCommit(commit string) remoteRef { return remoteRef{commit: plumbing.NewHash(commit)} }

func (r *remote) head() (remoteRef, error) {
	if r.refs.Head == nil {
		return remoteRef{}, fmt.Errorf("default branch: %w; name one with ?ref=, %s", fleet.ErrNotFound, r.describeRefs())
	}
	for _, link := range r.refs.Capabilities.Get(capability.SymRef) {
		if ref, ok := strings.CutPrefix(link, "HEAD:"); ok && strings.HasPrefix(ref, branchPrefix) {
			return remoteRef{ref: ref, commit: *r.refs.Head}, nil
		}
	}
	return remoteRef{ref: "HEAD", commit: *r.refs.Head}, nil // HEAD is detached, or the server does not say where it points.
}

func (r *remote) branchOrTag(name string) (remoteRef, error) {
	_, branch := r.refs.References[branchPrefix+name]
	_, tag := r.refs.References[tagPrefix+name]
	switch {
	case branch && tag:
		return remoteRef{}, fmt.Errorf("ref %s: %w: there is a branch and a tag of that name; write ?ref=%s%[1]s or ?ref=%[4]s%[1]s",
			message.Printable(name), fleet.ErrConflict, branchPrefix, tagPrefix)
	case tag:
		return r.ref(tagPrefix + name)
	case branch:
		return r.ref(branchPrefix + name)
	}
	return remoteRef{}, r.notFound(name)
}

// ref finds a ref by its full name.
func (r *remote) ref(name string) (remoteRef, error) {
	hash, ok := r.refs.References[name]
	if !ok {
		return remoteRef{}, r.notFound(name)
	}
	if commit, annotated := r.refs.Peeled[name]; annotated {
		return remoteRef{ref: name, commit: commit, tag: hash}, nil
	}
	return remoteRef{ref: name, commit: hash}, nil
}

func (r *remote) highestTag(versions string) (remoteRef, error) {
	tag, ok := version.Highest(r.names(tagPrefix), versions)
	if !ok {
		return remoteRef{}, fmt.Errorf("tag in semver:%s: %w; %s", message.Printable(versions), fleet.ErrNotFound, r.describeRefs())
	}
	return r.ref(tagPrefix + tag)
}

// shortHash matches an abbreviated commit hash, as people copy it from a log.
var shortHash = regexp.MustCompile(`^[0-9a-fA-F]{7,39}$`)

func (r *remote) notFound(name string) error {
	if shortHash.MatchString(name) {
		return fmt.Errorf("branch or tag %s: %w; if it is a commit, write all 40 digits", name, fleet.ErrNotFound)
	}
	return fmt.Errorf("ref %s: %w; %s", message.Printable(name), fleet.ErrNotFound, r.describeRefs())
}

// names returns the names of the refs under a prefix, sorted.
func (r *remote) names(prefix string) []string {
	var names []string
	for _, ref := range slices.Sorted(maps.Keys(r.refs.References)) {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// describeRefs lists a few branches and tags, as a hint for a misspelled name.
// Tags are listed from the last name backward, because newer tags are more
// likely to be wanted.
func (r *remote) describeRefs() string {
	branches, tags := r.names(branchPrefix), r.names(tagPrefix)
	slices.Reverse(tags)
	return "the repository has " + message.Summarize("branch", "branches", branches) + " and " + message.Summarize("tag", "tags", tags)
}
