package sources

import (
	"cmp"
	"net/url"
	"regexp"
	"strings"

	"oras.land/oras-go/v2/registry"
)

// artifact is what an oci:// URL asks for. One of tag, digest and semver is
// set; a digest may have a tag beside it, which then only names it.
type artifact struct {
	// registry is host[:port], and repository the path there.
	registry, repository string
	tag                  string
	digest               string // sha256:<64 hex>
	// semver is a range; the highest tag in it is wanted.
	semver string
	// layer is the media type of the one layer that is wanted; empty for all
	// that hold files.
	layer string
}

const defaultTag = "latest"

// name is the repository, without what is wanted from there.
func (a artifact) name() string { return a.registry + "/" + a.repository }

// String is the reference as container tools write it.
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

// revisionName is what Flux puts before the digest in a revision: the tag; a
// digest that was asked for stands alone.
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

// parseArtifact reads registry/repository[:tag][@digest].
func parseArtifact(reference string) (artifact, error) {
	name, digest, pinned := strings.Cut(reference, "@")
	host, path, _ := strings.Cut(name, "/")
	repository, tag, tagged := strings.Cut(path, ":")
	a := artifact{registry: host, repository: repository, tag: tag, digest: digest}
	switch {
	case (registry.Reference{Registry: host}).ValidateRegistry() != nil:
		return artifact{}, invalidSource("has no valid registry: write oci://host[:port]/repository:tag")
	case (registry.Reference{Repository: repository}).ValidateRepository() != nil:
		return artifact{}, invalidSource("repository %s is not valid: use lower-case letters and digits, with . _ - / between them", printable(repository))
	case tagged && (registry.Reference{Reference: tag}).ValidateReferenceAsTag() != nil:
		return artifact{}, invalidSource("tag %s is not valid: write oci://registry/repository:tag", printable(tag))
	case pinned && !sha256Digest.MatchString(digest):
		return artifact{}, invalidSource("digest %s is not valid: write @sha256: and 64 hexadecimal digits", printable(digest))
	}
	return a, nil
}

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// take takes over the parameters, and the default tag where nothing is named.
func (a *artifact) take(values map[string]string) error {
	if versions, ok := values["semver"]; ok {
		if a.tag != "" || a.digest != "" {
			return invalidSource("has both a tag or digest and semver: remove one of them")
		}
		a.semver = versions
		if err := checkRange("semver", versions); err != nil {
			return err
		}
	}
	if layer, ok := values["layer"]; ok {
		if !mediaType.MatchString(layer) {
			return invalidSource("layer %s is not a media type: write application/vnd.cncf.flux.content.v1.tar+gzip", printable(layer))
		}
		a.layer = layer
	}
	if a.digest == "" && a.semver == "" {
		a.tag = cmp.Or(a.tag, defaultTag)
	}
	return nil
}
