package sources

import (
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
)

// gitRef is the parsed value of ?ref=. The zero value means the branch that the
// remote's HEAD names. At most one field is set.
type gitRef struct {
	// name is a branch or a tag, or a full ref such as refs/pull/1/head.
	name string
	// commit is 40 lower-case hexadecimal digits.
	commit string
	// semver is a range of versions; the highest tag in it is read.
	semver string
}

const semverPrefix = "semver:"

// String returns a text that parseGitRef parses to the same gitRef.
func (r gitRef) String() string {
	if r.semver != "" {
		return semverPrefix + r.semver
	}
	return r.name + r.commit
}

var commitHash = regexp.MustCompile(`^[0-9a-fA-F]{40}$`)

func parseGitRef(values map[string]string) (gitRef, error) {
	ref, ok := values["ref"]
	versions, semantic := strings.CutPrefix(ref, semverPrefix)
	switch {
	case !ok:
		return gitRef{}, nil
	case semantic:
		if err := version.CheckRange(versions); err != nil {
			return gitRef{}, invalidSource("ref: %s", err)
		}
		return gitRef{semver: versions}, nil
	case commitHash.MatchString(ref):
		return gitRef{commit: strings.ToLower(ref)}, nil
	case !validRefName(ref):
		return gitRef{}, invalidSource("ref %s is not the name of a branch or tag: leave ref out for the default branch", message.Printable(ref))
	}
	return gitRef{name: ref}, nil
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
