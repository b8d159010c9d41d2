package sources

import (
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
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
		return gitRef{semver: versions}, checkRange("ref", versions)
	case commitHash.MatchString(ref):
		return gitRef{commit: strings.ToLower(ref)}, nil
	case !validRefName(ref):
		return gitRef{}, invalidSource("ref %s is not the name of a branch or tag: leave ref out for the default branch", printable(ref))
	}
	return gitRef{name: ref}, nil
}

func validRefName(name string) bool {
	if printable(name) != name {
		return false
	}
	if strings.HasPrefix(name, "refs/") {
		return plumbing.ReferenceName(name).Validate() == nil && strings.Count(name, "/") >= 2
	}
	return plumbing.NewBranchReferenceName(name).Validate() == nil
}

// checkRange returns an error if versions is not a range of semantic versions.
func checkRange(parameter, versions string) error {
	if len(versions) > 256 {
		return invalidSource("%s: the range is longer than 256 bytes", parameter)
	}
	if _, err := semver.NewConstraint(versions); err != nil || strings.TrimSpace(versions) == "" {
		return invalidSource("%s: %s is not a range of versions: write >=1.0.0, 1.x, ~1.2 or >=1.0%%20<2.0", parameter, printable(versions))
	}
	return nil
}
