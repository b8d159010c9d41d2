package sources

import (
	"strings"

	"github.com/Masterminds/semver/v3"
)

// highestVersion is the tag of the highest version in a range, as Flux chooses
// it: tags are strict semantic versions that may begin with a v, and pre-releases
// count only where the range names one. Two tags of one version, which Flux tells
// apart by when they were made, are told apart by their build metadata and then by
// their text, so that the choice never depends on anything but the tags.
func highestVersion(tags []string, versions string) (tag string, ok bool) {
	in, err := semver.NewConstraint(versions)
	if err != nil {
		return "", false // It was refused when the SOURCE was read.
	}
	var highest *semver.Version
	for _, tag := range tags {
		v, ok := parseVersion(tag)
		if ok && in.Check(v) && (highest == nil || compareVersions(v, highest) > 0) {
			highest = v
		}
	}
	if highest == nil {
		return "", false
	}
	return highest.Original(), true
}

func parseVersion(tag string) (*semver.Version, bool) {
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v")); err != nil {
		return nil, false // Else 2024 would be version 2024.0.0.
	}
	v, err := semver.NewVersion(tag)
	return v, err == nil
}

func compareVersions(a, b *semver.Version) int {
	if c := a.Compare(b); c != 0 {
		return c
	}
	if c := compareMetadata(a.Metadata(), b.Metadata()); c != 0 {
		return c
	}
	return strings.Compare(a.Original(), b.Original())
}

// compareMetadata puts build 10 over build 9, and any over none. Its order is
// that of pre-releases, part by part.
func compareMetadata(a, b string) int {
	if a == "" || b == "" {
		return strings.Compare(a, b)
	}
	return semver.New(0, 0, 0, a, "").Compare(semver.New(0, 0, 0, b, ""))
}
