package oci

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/version"
	"oras.land/oras-go/v2/registry"
)

// Reference names an artifact. One of Tag, Digest and Semver is set. If Digest
// is set, Tag may be set too, but only as a name.
type Reference struct {
	// Registry is host[:port], and Repository is the path in it.
	Registry, Repository string
	Tag                  string
	Digest               string // sha256:<64 hex>
	// Semver is a range of versions; the highest tag in it is read.
	Semver string
	// SemverFilter is a regular expression. Tags that do not match it are no
	// versions in the range; empty for all tags.
	SemverFilter string
	// Layer is the media type of the layer to read; empty for the default
	// choice of layers.
	Layer string
	// Copy is true for an artifact that is read as it is: one layer, from which
	// no file is left out.
	Copy bool
}

// Name returns the registry and the repository.
func (a Reference) Name() string { return a.Registry + "/" + a.Repository }

// String returns the reference as container tools write it.
func (a Reference) String() string {
	s := a.Name()
	if a.Tag != "" {
		s += ":" + a.Tag
	}
	if a.Digest != "" {
		s += "@" + a.Digest
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

// ParseReference parses registry/repository[:tag][@digest]. Its errors complete
// the sentence "the SOURCE …".
func ParseReference(reference string) (Reference, error) {
	name, digest, pinned := strings.Cut(reference, "@")
	host, path, _ := strings.Cut(name, "/")
	repository, tag, tagged := strings.Cut(path, ":")
	a := Reference{Registry: host, Repository: repository, Tag: tag, Digest: digest}
	switch {
	case (registry.Reference{Registry: host}).ValidateRegistry() != nil:
		return Reference{}, errors.New("has no valid registry: write oci://host[:port]/repository:tag")
	case (registry.Reference{Repository: repository}).ValidateRepository() != nil:
		return Reference{}, fmt.Errorf("repository %s is not valid: use lower-case letters and digits, with . _ - / between them", message.Printable(repository))
	case tagged && (registry.Reference{Reference: tag}).ValidateReferenceAsTag() != nil:
		return Reference{}, fmt.Errorf("tag %s is not valid: write oci://registry/repository:tag", message.Printable(tag))
	case pinned && !sha256Digest.MatchString(digest):
		return Reference{}, fmt.Errorf("digest %s is not valid: write @sha256: and 64 hexadecimal digits", message.Printable(digest))
	}
	return a, nil
}

var sha256Digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// other returns the same artifact at another ref, which comes from a caller.
func (a Reference) other(ref string) (Reference, error) {
	a.Tag, a.Digest, a.Semver = "", "", ""
	versions, ranged := strings.CutPrefix(ref, version.Prefix)
	switch {
	case ranged && version.CheckRange(versions) == nil:
		a.Semver = versions
	case sha256Digest.MatchString(ref):
		a.Digest = ref
	case (registry.Reference{Reference: ref}).ValidateReferenceAsTag() == nil:
		a.Tag = ref
	default:
		return Reference{}, message.InvalidRef(ref, "a tag, a digest as sha256: and 64 digits, or a range such as semver:>=1.0.0")
	}
	return a, nil
}
