package sources

import (
	"cmp"
	"net/url"
	"regexp"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
	"oras.land/oras-go/v2/registry"
)

// artifact is a parsed oci:// URL. One of tag, digest and semver is set. If
// digest is set, tag may be set too, but only as a name.
type artifact struct {
	// registry is host[:port], and repository is the path in it.
	registry, repository string
	tag                  string
	digest               string // sha256:<64 hex>
	// semver is a range of versions; the highest tag in it is read.
	semver string
	// layer is the media type of the layer to read; empty for the default
	// choice of layers.
	layer string
}

const defaultTag = "latest"

// name returns the registry and the repository.
func (a artifact) name() string { return a.registry + "/" + a.repository }

// String returns the reference as container tools write it.
func (a artifact) String() string {
	s := a.name()
	if a.tag != "" {
		s += ":" + a.tag
	}
	if a.digest != "" {
		s += "@" + a.digest
	}
	return s
}

// revisionName returns the revision as Flux writes it: tag@digest, or only the
// digest if the SOURCE names one.
func revisionName(tag, digest string) string {
	if tag == "" {
		return digest
	}
	return tag + "@" + digest
}

var mediaType = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$`)

func parseArtifactURL(u *url.URL) (location, error) {
	if u.Host == "" || strings.Trim(u.Path, "/") == "" {
		return location{}, invalidSource("names no artifact: write oci://registry/repository:tag")
	}
	values, err := parseQuery(u.RawQuery, "semver", "path", "layer")
	if err != nil {
		return location{}, err
	}
	a, err := parseArtifact(u.Host + u.Path)
	if err != nil {
		return location{}, err
	}
	if err := a.take(values); err != nil {
		return location{}, err
	}
	path, err := parsePath(values)
	return location{artifact: &a, path: path}, err
}

// parseArtifact parses registry/repository[:tag][@digest].
func parseArtifact(reference string) (artifact, error) {
	name, digest, pinned := strings.Cut(reference, "@")
	host, path, _ := strings.Cut(name, "/")
	repository, tag, tagged := strings.Cut(path, ":")
	a := artifact{registry: host, repository: repository, tag: tag, digest: digest}
	switch {
	case (registry.Reference{Registry: host}).ValidateRegistry() != nil:
		return artifact{}, invalidSource("has no valid registry: write oci://host[:port]/repository:tag")
	case (registry.Reference{Repository: repository}).ValidateRepository() != nil:
		return artifact{}, invalidSource("repository %s is not valid: use lower-case letters and digits, with . _ - / between them", message.Printable(repository))
	case tagged && (registry.Reference{Reference: tag}).ValidateReferenceAsTag() != nil:
		return artifact{}, invalidSource("tag %s is not valid: write oci://registry/repository:tag", message.Printable(tag))
	case pinned && !sha256Digest.MatchString(digest):
		return artifact{}, invalidSource("digest %s is not valid: write @sha256: and 64 hexadecimal digits", message.Printable(digest))
	}
	return a, nil
}

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// take sets the URL's parameters, and the default tag if nothing is named.
func (a *artifact) take(values map[string]string) error {
	if versions, ok := values["semver"]; ok {
		if a.tag != "" || a.digest != "" {
			return invalidSource("has both a tag or digest and semver: remove one of them")
		}
		a.semver = versions
		if err := version.CheckRange(versions); err != nil {
			return invalidSource("semver: %s", err)
		}
	}
	if layer, ok := values["layer"]; ok {
		if !mediaType.MatchString(layer) {
			return invalidSource("layer %s is not a media type: write application/vnd.cncf.flux.content.v1.tar+gzip", message.Printable(layer))
		}
		a.layer = layer
	}
	if a.digest == "" && a.semver == "" {
		a.tag = cmp.Or(a.tag, defaultTag)
	}
	return nil
}
