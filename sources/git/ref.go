package git

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
)

// Ref is the parsed value of ?ref=. The zero value means the branch that the
// remote's HEAD names. At most one field is set, or name and commit.
type Ref struct {
	// name is a branch or a tag, or a full ref such as refs/pull/1/head.
	name string
	// commit is 40 lower-case hexadecimal digits. If there is a name, it is a
	// commit of that branch.
	commit string
	// semver is a range of versions; the highest tag in it is read.
	semver string
}

// String returns a text that parseGitRef parses to the same gitRef.
func (r Ref) String() string {
	if r.semver != "" {
		return version.Prefix + r.semver
	}
	return cmp.Or(r.name, r.commit)
}

// Within returns the commit within the branch that the ref names; "" for none.
func (r Ref) Within() string {
	if r.name == "" {
		return ""
	}
	return r.commit
}

// At returns the ref of a commit, which must be on the branch that r names. Its
// error completes the sentence "SOURCE …".
func (r Ref) At(commit string) (Ref, error) {
	switch {
	case !commitHash.MatchString(commit):
		return Ref{}, errors.New("commit is not a commit: write all of its 40 hexadecimal digits")
	case r.name == "" || strings.HasPrefix(r.name, tagPrefix):
		return Ref{}, errors.New("commit must be on a branch: name the branch with ref, or write ref=" + commit + " for a commit on any")
	}
	r.commit = strings.ToLower(commit)
	return r, nil
}

var commitHash = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)

// ParseRef parses the value of ?ref=. Its error completes the sentence
// "SOURCE …".
func ParseRef(ref string) (Ref, error) {
	versions, semantic := strings.CutPrefix(ref, version.Prefix)
	switch {
	case semantic:
		if err := version.CheckRange(versions); err != nil {
			return Ref{}, fmt.Errorf("ref: %w", err)
		}
		return Ref{semver: versions}, nil
	case commitHash.MatchString(ref):
		return Ref{commit: strings.ToLower(ref)}, nil
	case !validRefName(ref):
		return Ref{}, fmt.Errorf("ref %s is not the name of a branch or tag: leave ref out for the default branch", message.Printable(ref))
	}
	return Ref{name: ref}, nil
}

func validRefName(name string) bool {
	if message.Printable(name) != name {
		return false
	}
	if strings.HasPrefix(name, "refs/") {
		return plumbing.ReferenceName(name).Validate() == nil && strings.Count(name, "/") >= 2
	}
	return plumbing.NewBranchReferenceName(name).Validate() == nil
}
