// Package push publishes a directory as an OCI artifact that Flux, oras and
// tributary read as the same tree.
//
//	result, err := push.Push(ctx, "fleet", "oci://ghcr.io/acme/fleet:v1", push.Options{})
//
// In a Git checkout, git lists the files to push, so that nothing which Git
// ignores is published, and describes where they come from.
package push

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
	"github.com/tributary-gitops/tributary/sources/dir"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
)

// Options say how a directory is pushed and described. The zero value works
// for a registry that anyone may write to.
type Options struct {
	// Options are the registry's options, and Limits.
	sources.Options
	// Tags are additional tags, set after the one of the reference.
	Tags []string
	// Source, Revision and Created replace the values of the Git checkout that
	// contains the directory.
	Source, Revision string
	Created          time.Time
	// Annotations are additional annotations of the manifest.
	Annotations map[string]string
	// Check, if not nil, checks the snapshot before anything is sent. Its error
	// becomes the error of Push.
	Check func(ctx context.Context, snapshot *fleet.Snapshot) error
	// Progress, if not nil, is called as bytes are sent, and once at the end.
	// It is never called concurrently. When a request is sent again, done
	// returns to the request's start.
	Progress func(done, total int64)
}

// Result is the result of a Push.
type Result struct {
	// Reference is registry/repository:tag@digest, as container tools write it.
	Reference string `json:"reference"`
	// Repository is registry/repository.
	Repository string `json:"repository"`
	// Digest is the digest of the manifest.
	Digest string `json:"digest"`
	// Tags are the tags that now point to the digest.
	Tags []string `json:"tags"`
	// Files is the number of files, and Size the size of the archive in bytes.
	Files int   `json:"files"`
	Size  int64 `json:"size"`
	// Source, Revision and Created are the recorded annotations; empty if
	// unknown.
	Source   string `json:"source,omitempty"`
	Revision string `json:"revision,omitempty"`
	Created  string `json:"created,omitempty"`
	// Differ lists the files that differ from the commit that is checked out,
	// sorted; empty if there is no checkout.
	Differ []string `json:"differ,omitempty"`
	// Ignored lists the files and directories that are not in the artifact,
	// because Git ignores them, .sourceignore names them or Flux leaves them out
	// by default; sorted.
	Ignored []string `json:"ignored,omitempty"`
	// Unusable lists the faults of files and directories that are not in the
	// artifact, because of their size or name.
	Unusable []string `json:"unusable,omitempty"`
	// Warning says why annotations of the checkout are missing, if git cannot
	// read it.
	Warning string `json:"warning,omitempty"`
}

// Push reads a directory as a directory source does, and pushes it to a
// registry as an artifact that Flux, oras and OCI sources read as the same
// tree. The same tree with the same annotations always has the same digest.
//
// The reference is oci://registry/repository:tag. An invalid reference or
// option is a fleet.ErrInvalid, and a tree that cannot be pushed is a
// *fleet.RefusedError. An error after some tags were pushed names them.
func Push(ctx context.Context, directory, reference string, o Options) (Result, error) {
	at, err := sources.ParseTarget(reference, o.Options)
	if err != nil {
		return Result{}, err
	}
	tags, err := o.tags(at.Tag)
	if err != nil {
		return Result{}, err
	}
	if directory, err = sources.ParseDirectory(directory); err != nil {
		return Result{}, err
	}
	i, pushed, err := o.image(ctx, directory)
	if err != nil {
		return Result{}, err
	}
	if err := send(ctx, at, i, tags, o); err != nil {
		return Result{}, err
	}
	at.Digest = i.manifest.Digest.String()
	pushed.Reference, pushed.Repository = at.String(), at.Name()
	pushed.Digest, pushed.Tags = at.Digest, tags
	return pushed, nil
}

// tags checks the options and returns all tags, without duplicates.
func (o Options) tags(first string) ([]string, error) {
	for key := range o.Annotations {
		switch key {
		case "":
			return nil, message.Invalid("an annotation has no name: write name=value")
		case ocispec.AnnotationSource, ocispec.AnnotationRevision, ocispec.AnnotationCreated:
			return nil, message.Invalid("annotation %s: use --%s instead", key, key[strings.LastIndex(key, ".")+1:])
		}
	}
	tags := []string{first}
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

// image makes the image of a directory and calls o.Check.
func (o Options) image(ctx context.Context, directory string) (*image, Result, error) {
	about := Result{Source: o.Source, Revision: o.Revision}
	var keep func(name string) bool
	ignoreFiles := []string{tree.IgnoreFile, ".gitignore"}
	c, err := openCheckout(ctx, directory)
	if err == nil && c != nil {
		kept, err := c.files()
		if err != nil {
			return nil, about, err
		}
		keep = func(name string) bool {
			if !kept[name] {
				about.Ignored = append(about.Ignored, name)
			}
			return kept[name]
		}
		ignoreFiles = ignoreFiles[:1] // Git tracks files although .gitignore names them.
	}
	read, ignored, err := dir.New(directory, o.Limits, keep).Read(ctx, ignoreFiles...)
	if err != nil {
		return nil, about, err
	}
	about.Ignored = append(about.Ignored, ignored...)
	slices.Sort(about.Ignored) // A directory that changes is read several times.
	about.Ignored = slices.Compact(about.Ignored)
	o.describe(&about, c)
	flat, err := flatten(ctx, read, o.Limits.OrDefaults())
	if err != nil {
		return nil, about, fmt.Errorf("directory %s: %w", message.Printable(directory), tree.Refused("local", err))
	}
	if o.Check != nil {
		if err := o.Check(ctx, &fleet.Snapshot{Revision: dir.Revision(flat), Tree: flat}); err != nil {
			return nil, about, err
		}
	}
	packed, err := pack(ctx, flat)
	if err != nil {
		return nil, about, err
	}
	about.Unusable = packed.unusable
	about.Files, about.Size = packed.files, int64(len(packed.data))
	i, err := newImage(packed, about.annotations(o.Annotations))
	return i, about, err
}

// describe completes what the options say with what the checkout says, which
// may be nil. What it does not say is left out.
func (o Options) describe(about *Result, c *checkout) {
	created := o.Created
	if c != nil {
		found, err := c.provenance()
		if err != nil {
			about.Warning = fmt.Sprintf("git checkout of %s: %s", message.Printable(c.directory), message.Clean(err.Error()))
		}
		about.Source, about.Revision = cmp.Or(about.Source, found.source), cmp.Or(about.Revision, found.revision)
		about.Differ = found.differing
		if created.IsZero() {
			created = found.created
		}
	}
	if !created.IsZero() {
		about.Created = created.UTC().Format(time.RFC3339)
	}
}

// annotations returns the annotations that Flux and other tools use, and
// further ones.
func (p Result) annotations(further map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, further)
	for key, value := range map[string]string{ocispec.AnnotationSource: p.Source, ocispec.AnnotationRevision: p.Revision, ocispec.AnnotationCreated: p.Created} {
		if value != "" {
			all[key] = value
		}
	}
	return all
}
