package sources

import (
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/oci"
)

// ParseTarget parses oci://registry/repository:tag, to which something is
// pushed with the options. The tag is required, because leaving it out by
// mistake would replace latest.
func ParseTarget(reference string, o Options) (oci.Reference, error) {
	at, err := parseLocation(reference)
	if err != nil && hostLike.MatchString(reference) {
		return oci.Reference{}, message.Invalid("target is not an OCI artifact: write oci:// before it")
	}
	if err != nil { // The error is about the target, not about a SOURCE.
		return oci.Reference{}, message.Reword(err, "target"+strings.TrimPrefix(err.Error(), "SOURCE"))
	}
	a := at.artifact
	switch {
	case a == nil:
		err = message.Invalid("target %s is not an OCI artifact: write oci://registry/repository:tag", message.Printable(at.base()))
	case a.Digest != "":
		err = message.Invalid("target oci://%s names a digest, which follows from the content: write oci://%s:tag", a, a.Name())
	case a.Semver != "" || a.Layer != "" || a.Copy || at.path != "":
		err = message.Invalid("target oci://%s has parameters (?…), which are for reading: write oci://%s:tag", a.Name(), a.Name())
	case !strings.HasSuffix(reference, ":"+a.Tag):
		err = message.Invalid("target oci://%s names no tag: write oci://%s:tag", a.Name(), a.Name())
	default:
		return *a, o.check(at)
	}
	return oci.Reference{}, err
}

// ParseDirectory returns the absolute path of a SOURCE that must be a directory.
func ParseDirectory(ref string) (string, error) {
	at, err := parseLocation(ref)
	if err != nil || at.directory == "" {
		return "", message.Invalid("the source of a push must be a directory: name the one that contains fleet.yaml")
	}
	return at.directory, nil
}
