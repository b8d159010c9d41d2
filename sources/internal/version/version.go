// Package version chooses among tags by a range of semantic versions.
package version

import (
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Prefix marks a range of versions in a ref.
const Prefix = "semver:"

// Highest returns the tag of the highest version in a range, chosen as
// Flux does: tags are strict semantic versions with an optional v prefix, and
// pre-releases count only if the range names one. Of two tags with the same
// version, Flux takes the newer one. Here the higher build metadata wins, and
// then the higher text, so the choice depends only on the tags.
func Highest(tags []string, versions string) (tag string, ok bool) {
	in, err := semver.NewConstraint(versions)
	if err != nil {
		return "", false // The SOURCE was checked when it was parsed.
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
		return nil, false // Otherwise, 2024 would be version 2024.0.0.
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

// compareMetadata compares build metadata like pre-releases, part by part, so
// build 10 is higher than build 9. Any metadata is higher than none.
func compareMetadata(a, b string) int {
	if a == "" || b == "" {
		return strings.Compare(a, b)
	}
	return semver.New(0, 0, 0, a, "").Compare(semver.New(0, 0, 0, b, ""))
}

// CheckRange returns an error that completes the sentence "the parameter …" if
// versions is not a range of semantic versions.
func CheckRange(versions string) error {
	if len(versions) > 256 {
		return errors.New("the range is longer than 256 bytes")
	}
	if _, err := semver.NewConstraint(versions); err != nil || strings.TrimSpace(versions) == "" {
		return fmt.Errorf("%s is not a range of versions: write >=1.0.0, 1.x, ~1.2 or >=1.0%%20<2.0", message.Printable(versions))
	}
	return nil
}
