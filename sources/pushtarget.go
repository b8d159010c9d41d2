package sources

import (
	"slices"
	"strings"

	"github.com/tributary-gitops/tributary/sources/internal/message"
	"oras.land/oras-go/v2/registry"
)

// parseTarget parses oci://registry/repository:tag. The tag is required,
// because leaving it out by mistake would replace latest.
func parseTarget(reference string) (artifact, error) {
	at, err := parseLocation(reference)
	if err != nil { // The error is about the target, not about a SOURCE.
		return artifact{}, message.Reword(err, "target"+strings.TrimPrefix(err.Error(), "SOURCE"))
	}
	switch a := at.artifact; {
	case a == nil:
		return artifact{}, message.Invalid("target %s is not an OCI artifact: write oci://registry/repository:tag", message.Printable(at.base()))
	case a.digest != "":
		return artifact{}, message.Invalid("target oci://%s names a digest, which follows from the content: write oci://%s:tag", a, a.name())
	case a.semver != "" || a.layer != "" || at.path != "":
		return artifact{}, message.Invalid("target oci://%s has parameters (?…), which are for reading: write oci://%s:tag", a.name(), a.name())
	case !strings.HasSuffix(reference, ":"+a.tag):
		return artifact{}, message.Invalid("target oci://%s names no tag: write oci://%s:tag", a.name(), a.name())
	default:
		return *a, nil
	}
}

// check returns all tags, without duplicates.
func (o PushOptions) check(at artifact) ([]string, error) {
	if err := o.Options.check(location{artifact: &at}); err != nil {
		return nil, err
	}
	for key := range o.Annotations {
		switch key {
		case "":
			return nil, message.Invalid("an annotation has no name: write name=value")
		case sourceAnnotation, revisionAnnotation, createdAnnotation:
			return nil, message.Invalid("annotation %s: use --%s instead", key, key[strings.LastIndex(key, ".")+1:])
		}
	}
	tags := []string{at.tag}
	for _, tag := range o.Tags {
		if (registry.Reference{Reference: tag}).ValidateReferenceAsTag() != nil {
			return nil, message.Invalid("tag %s is not valid: use at most 128 letters, digits and . _ -", message.Printable(tag))
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}
