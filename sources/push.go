package sources

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// PushOptions say how a directory is pushed, and what is said of it. The zero
// value is fit for a registry that everybody may write to.
type PushOptions struct {
	// Options are those of a registry, and Limits.
	Options
	// Tags are put beside the one of the reference, after it.
	Tags []string
	// Source, Revision and Created are told in place of what the Git checkout
	// tells that the directory stands in.
	Source, Revision string
	Created          time.Time
	// Annotations are further ones of the manifest.
	Annotations map[string]string
	// Check is asked about what is to be pushed, before anything leaves; an error
	// of it is the Push's. Nil asks nobody.
	Check func(ctx context.Context, snapshot *fleet.Snapshot) error
	// Progress is called as bytes leave, and once at the end; nil tells nobody. It
	// is never called concurrently. What is sent again is counted again from where
	// it started.
	Progress func(done, total int64)
}

// Pushed is what became of a Push.
type Pushed struct {
	// Reference is registry/repository:tag@digest, as container tools take it.
	Reference string `json:"reference"`
	// Repository is registry/repository.
	Repository string `json:"repository"`
	// Digest is the manifest's.
	Digest string `json:"digest"`
	// Tags all lead to it now.
	Tags []string `json:"tags"`
	// Files is how many there are in it, and Size the bytes of it.
	Files int   `json:"files"`
	Size  int64 `json:"size"`
	// Source, Revision and Created are what is said of it; empty for nothing.
	Source   string `json:"source,omitempty"`
	Revision string `json:"revision,omitempty"`
	Created  string `json:"created,omitempty"`
	// Differ are the files that are not as in the commit which is checked out,
	// sorted; none where there is no checkout.
	Differ []string `json:"differ,omitempty"`
}

// Push reads a directory as a directory source does, and puts it into a registry
// as an artifact that Flux, oras and OCI sources take for the same tree. The same
// tree with the same things said of it has the same digest, wherever it is
// pushed from.
//
// The reference is oci://registry/repository:tag. One that is not, or options
// that cannot be, are a fleet.ErrInvalid, and a tree that cannot be pushed is a
// *fleet.RefusedError. Where an error follows after tags were put, it names them.
func Push(ctx context.Context, dir, reference string, o PushOptions) (Pushed, error) {
	at, err := parseTarget(reference)
	if err != nil {
		return Pushed{}, err
	}
	tags, err := o.check(at)
	if err != nil {
		return Pushed{}, err
	}
	d, err := directoryFor(dir, o.Limits)
	if err != nil {
		return Pushed{}, err
	}
	i, pushed, err := makeImage(ctx, d, o)
	if err != nil {
		return Pushed{}, err
	}
	if err := pushImage(ctx, at, i, tags, o); err != nil {
		return Pushed{}, err
	}
	at.digest = i.manifest.Digest.String()
	pushed.Reference, pushed.Repository = at.String(), at.name()
	pushed.Digest, pushed.Tags = at.digest, tags
	return pushed, nil
}

func directoryFor(dir string, limits Limits) (*directory, error) {
	at, err := parseLocation(dir)
	if err != nil || at.directory == "" {
		return nil, invalidOption("the source of a push must be a directory: name the one that contains fleet.yaml")
	}
	return newDirectory(at.directory, limits.orDefaults()), nil
}

// makeImage makes of a directory what is pushed, and asks o.Check about it.
func makeImage(ctx context.Context, d *directory, o PushOptions) (*image, Pushed, error) {
	if _, err := d.Fetch(ctx, ""); err != nil {
		return nil, Pushed{}, err
	}
	about, err := o.describe(d.path, d.last)
	if err != nil {
		return nil, Pushed{}, err
	}
	flat, err := flatten(ctx, d.last, d.limits)
	if err != nil {
		return nil, Pushed{}, fmt.Errorf("directory %s: %w", printable(d.path), asRefused("local", err))
	}
	if o.Check != nil {
		if err := o.Check(ctx, &fleet.Snapshot{Revision: localRevision(flat), Tree: flat}); err != nil {
			return nil, Pushed{}, err
		}
	}
	packed, err := newArchive(ctx, flat)
	if err != nil {
		return nil, Pushed{}, err
	}
	about.Files, about.Size = packed.files, int64(len(packed.data))
	i, err := newImage(packed, about.annotations(o.Annotations))
	return i, about, err
}

// describe puts together what is given and what the checkout tells. One that
// cannot be read is an error only where it is needed.
func (o PushOptions) describe(dir string, t *tree) (Pushed, error) {
	about, created := Pushed{Source: o.Source, Revision: o.Revision}, o.Created
	c, err := readCheckout(dir, t)
	switch {
	case err != nil && (o.Source == "" || o.Revision == ""):
		return Pushed{}, fmt.Errorf("git checkout of %s: %s; set --source and --revision instead", printable(dir), clean(err.Error()))
	case err == nil && c != nil:
		revision, committed := c.provenance()
		about.Source, about.Revision = cmp.Or(about.Source, c.source), cmp.Or(about.Revision, revision)
		about.Differ = c.differing
		if created.IsZero() {
			created = committed
		}
	}
	if !created.IsZero() {
		about.Created = created.UTC().Format(time.RFC3339)
	}
	return about, nil
}

// annotations are those that Flux and others look for, beside further ones.
func (p Pushed) annotations(further map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, further)
	for key, value := range map[string]string{sourceAnnotation: p.Source, revisionAnnotation: p.Revision, createdAnnotation: p.Created} {
		if value != "" {
			all[key] = value
		}
	}
	return all
}
