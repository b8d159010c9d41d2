package sources

import (
	"context"
	"strings"

	"golang.org/x/sync/semaphore"
	"oras.land/oras-go/v2/registry"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/git"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
)

var (
	_ fleet.Referrer = (*git.Repository)(nil)
	_ fleet.Referrer = (*registryArtifact)(nil)
)

// At fetches another tag or digest, or the highest tag in a range, with the
// same options. It may run concurrently with Fetch and other calls of At.
func (r *registryArtifact) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := r.at.artifact.other(ref)
	if err != nil {
		return nil, err
	}
	other := &registryArtifact{at: r.at, limits: r.limits, keys: r.keys, client: r.client, fetching: semaphore.NewWeighted(1)}
	other.at.artifact = &want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

// other returns the same artifact at another ref, which comes from a caller.
func (a artifact) other(ref string) (artifact, error) {
	a.tag, a.digest, a.semver = "", "", ""
	versions, ranged := strings.CutPrefix(ref, version.Prefix)
	switch {
	case ranged && version.CheckRange(versions) == nil:
		a.semver = versions
	case sha256Digest.MatchString(ref):
		a.digest = ref
	case (registry.Reference{Reference: ref}).ValidateReferenceAsTag() == nil:
		a.tag = ref
	default:
		return artifact{}, message.InvalidRef(ref, "a tag, a digest as sha256: and 64 digits, or a range such as semver:>=1.0.0")
	}
	return a, nil
}
