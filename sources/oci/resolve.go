package oci

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
	ociremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
)

// resolve returns the wanted manifest and its tag, which is empty if the SOURCE
// names a digest. For a range of versions, it asks for the tag that was highest
// before while it lists the tags. If nothing has changed, this takes only one
// round trip.
func (a Reference) resolve(ctx context.Context, from *ociremote.Repository, before string) (tag string, head ocispec.Descriptor, err error) {
	switch {
	case a.Digest != "":
		head, err = resolve(ctx, from, a.Digest)
		if errors.Is(err, errdef.ErrNotFound) {
			err = fmt.Errorf("digest %s: %w there; it may have been deleted", a.Digest, fleet.ErrNotFound)
		}
		return "", head, err
	case a.Semver != "" && before != "":
		var group errgroup.Group
		group.Go(func() (err error) {
			tag, err = a.highestTag(ctx, from)
			return err
		})
		head, headErr := resolve(ctx, from, before)
		if err := group.Wait(); err != nil || tag == before && headErr == nil {
			return tag, head, err
		}
	case a.Semver != "":
		tag, err = a.highestTag(ctx, from)
	default:
		tag = a.Tag
	}
	if err != nil {
		return "", head, err
	}
	head, err = resolve(ctx, from, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		err = tagNotFound(ctx, from, tag)
	}
	return tag, head, err
}

// resolve asks with HEAD, and with GET if the registry does not support HEAD, as
// Flux does. Some registries then answer that nothing was found.
func resolve(ctx context.Context, from *ociremote.Repository, reference string) (ocispec.Descriptor, error) {
	head, err := from.Resolve(ctx, reference)
	if err != nil && ctx.Err() == nil && !isFinal(err) {
		var body interface{ Close() error }
		if head, body, err = from.FetchReference(ctx, reference); err == nil {
			_ = body.Close() // The manifest is fetched later by its digest.
		}
	}
	if err == nil && !sha256Digest.MatchString(head.Digest.String()) {
		err = fmt.Errorf("the registry names the manifest %s, and only sha256 is supported", message.Clean(head.Digest.String()))
	}
	return head, err
}

// isFinal reports whether GET would return the same error as HEAD.
func isFinal(err error) bool {
	var (
		answer *errcode.ErrorResponse
		urlErr *url.Error
	)
	if errors.As(err, &answer) {
		return answer.StatusCode != http.StatusMethodNotAllowed && answer.StatusCode != http.StatusNotImplemented
	}
	return errors.As(err, &urlErr) || isCredentialError(err)
}

// chartLayer is Helm's media type. Its tags contain _ in place of the + in
// versions, because tags cannot contain +.
const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// highestTag returns the tag of the highest version in the range.
func (a Reference) highestTag(ctx context.Context, from *ociremote.Repository) (string, error) {
	tags, err := allTags(ctx, from)
	if err != nil {
		return "", err
	}
	found := len(tags)
	if a.SemverFilter != "" {
		filter, err := regexp.Compile(a.SemverFilter)
		if err != nil {
			return "", err
		}
		tags = slices.DeleteFunc(tags, func(tag string) bool { return !filter.MatchString(tag) })
	}
	if a.Layer == chartLayer {
		for i, tag := range tags {
			tags[i] = strings.ReplaceAll(tag, "_", "+")
		}
	}
	tag, ok := version.Highest(tags, a.Semver)
	switch {
	case !ok && a.SemverFilter != "":
		return "", fmt.Errorf("semver %s: %w: of the repository's %d tags, %d match semverFilter %s, and none of these is a version in that range", a.Semver, fleet.ErrNotFound, found, len(tags), a.SemverFilter)
	case !ok:
		return "", fmt.Errorf("semver %s: %w: none of the repository's %d tags is a version in that range", a.Semver, fleet.ErrNotFound, found)
	}
	return strings.ReplaceAll(tag, "+", "_"), nil
}

// allTags lists all valid tags and leaves out invalid ones.
func allTags(ctx context.Context, from *ociremote.Repository) (all []string, err error) {
	listed := 0
	err = from.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			if listed += len(tag); (registry.Reference{Reference: tag}).ValidateReferenceAsTag() == nil {
				all = append(all, tag)
			}
		}
		if len(all) > maxTags || listed > maxTagBytes {
			return errdef.ErrTooManyPages
		}
		return nil
	})
	switch {
	case errors.Is(err, errdef.ErrTooManyPages):
		return nil, fmt.Errorf("the repository lists more than %d tags, or more than %d pages or %s of them, too many to look for a version in; name a tag", maxTags, maxTagPages, message.Size(maxTagBytes))
	case IsNotFound(err):
		return nil, errRepository
	}
	return all, err
}

var errRepository = fmt.Errorf("%w; check the name of the repository, and that the credentials allow reading it", fleet.ErrNotFound)

// tagNotFound returns an error that lists some existing tags, if the registry
// does.
func tagNotFound(ctx context.Context, from *ociremote.Repository, tag string) error {
	var some []string
	enough := errors.New("enough")
	err := from.Tags(ctx, "", func(tags []string) error {
		some = tags
		return enough
	})
	switch {
	case IsNotFound(err):
		return errRepository
	case len(some) == 0:
		return fmt.Errorf("tag %s: %w there", tag, fleet.ErrNotFound)
	}
	return fmt.Errorf("tag %s: %w there; it has %s", tag, fleet.ErrNotFound, message.Summarize("tag", "tags", some))
}
