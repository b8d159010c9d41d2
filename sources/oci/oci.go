// Package oci reads an OCI artifact from a registry, as Flux and oras do.
//
//	artifact := oci.New(oci.Config{Reference: reference, Limits: limits})
//	defer artifact.Close()
//	snapshot, err := artifact.Fetch(ctx, known)
//
// Fetch asks for the digest of the tag, and pulls the layers only if it has
// moved. They are unpacked into a tree in memory as they arrive, bounded and
// verified against their digests. oras-go speaks to the registry.
package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"
	"oras.land/oras-go/v2/content"
	ociremote "oras.land/oras-go/v2/registry/remote"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/message"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/internal/tree"
	"github.com/tributary-gitops/tributary/sources/oci/cloud"
	"github.com/tributary-gitops/tributary/sources/oci/cosign"
)

var _ fleet.RefFetcher = (*Artifact)(nil)

// Artifact is an OCI artifact as a source. Between fetches it keeps the
// tree in memory. Layers are streamed into it, and nothing is stored on disk.
type Artifact struct {
	at     Config
	client *Client

	fetching *semaphore.Weighted
	// last is the artifact that was read last; its digest is empty at first.
	// Only a Fetch that holds the fetching mutex stores it; At loads it at any time.
	last atomic.Pointer[pulled]
	// tag is the tag under which the artifact was found last.
	tag string
	// refused is the last manifest with a permanent fault, which would occur
	// again. A missing signature is not remembered, because an artifact may be
	// signed later.
	refused struct {
		digest digest.Digest
		err    error
	}
}

// pulled is the tree of an artifact and the digest of its manifest. It is
// immutable.
type pulled struct {
	digest digest.Digest
	tree   *tree.Tree
	about  *fleet.Commit
}

// Config is what an artifact is read from, and how.
type Config struct {
	// Name is the SOURCE.
	Name      string
	Reference Reference
	// Path is the fleet repo's directory in the artifact, in the form of
	// fs.ValidPath; empty for the root.
	Path      string
	Limits    tree.Limits
	TLS       transport.TLS
	Proxy     transport.Proxy
	PlainHTTP bool
	Options   Options
}

// Options say how to authenticate to a registry and which signatures are
// trusted.
type Options struct {
	// ConfigFile is a Docker config.json, or a mounted Kubernetes secret of
	// type kubernetes.io/dockerconfigjson; "" means Docker's default location.
	// It may name credential helpers, which are then run.
	ConfigFile string
	// Provider is the cloud provider whose registry it is. If it is named, the
	// workload's identity is used in place of ConfigFile.
	Provider cloud.Provider
	// Signers are whose signatures are trusted. If there are any, only what one
	// of them has signed is read.
	Signers cosign.Signers
}

// New returns an artifact as a source. It connects to nothing yet.
func New(c Config) *Artifact {
	r := &Artifact{at: c, client: NewClient(c), fetching: semaphore.NewWeighted(1)}
	r.last.Store(&pulled{})
	return r
}

// String returns the URL with its tag, digest and parameters.
func (r *Artifact) String() string { return r.at.Name }

// Watch returns immediately, because registries send no notifications.
func (r *Artifact) Watch(context.Context, func()) error { return nil }

// Close closes idle connections.
func (r *Artifact) Close() error {
	r.client.Close()
	return nil
}

// Fetch asks the registry for the digest, and downloads the artifact only if
// the digest differs from known. It takes as long as the registry does; ctx
// bounds it.
func (r *Artifact) Fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	if err := r.fetching.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.fetching.Release(1)
	snapshot, err := r.fetch(ctx, known)
	if err != nil {
		return nil, fmt.Errorf("oci artifact oci://%s: %w", r.at.Reference.Name(), r.client.Explain(ctx, err))
	}
	return snapshot, nil
}

// At fetches another tag or digest, or the highest tag in a range, with the
// same options. It may run concurrently with Fetch and other calls of At.
func (r *Artifact) At(ctx context.Context, ref string) (*fleet.Snapshot, error) {
	want, err := r.at.Reference.other(ref)
	if err != nil {
		return nil, err
	}
	other := &Artifact{at: r.at, client: r.client, fetching: semaphore.NewWeighted(1)}
	other.at.Reference = want
	other.last.Store(r.last.Load())
	return other.Fetch(ctx, "")
}

func (r *Artifact) fetch(ctx context.Context, known string) (*fleet.Snapshot, error) {
	if pinned := r.at.Reference.Digest; pinned != "" && revisionName("", pinned) == known {
		return nil, nil
	}
	from, err := r.client.Dial()
	if err != nil {
		return nil, err
	}
	tag, head, err := r.at.Reference.resolve(ctx, from, r.tag)
	if err != nil {
		return nil, err
	}
	r.tag = tag
	revision := revisionName(tag, head.Digest.String())
	if revision == known {
		return nil, nil
	}
	if err := r.advance(ctx, from, head); err != nil {
		return nil, tree.Refused(revision, err)
	}
	last := r.last.Load()
	return &fleet.Snapshot{Revision: revision, Tree: last.tree, Commit: last.about}, nil
}

// advance reads the artifact of a manifest and stores it as the last one.
func (r *Artifact) advance(ctx context.Context, from *ociremote.Repository, head ocispec.Descriptor) error {
	if err := r.verify(ctx, from, head); err != nil {
		return err
	}
	switch head.Digest {
	case r.last.Load().digest:
		return nil
	case r.refused.digest:
		return r.refused.err
	}
	next, about, err := r.pull(ctx, from, head)
	if tree.IsPermanent(err) {
		r.refused.digest, r.refused.err = head.Digest, err
	}
	if err != nil {
		return err
	}
	r.last.Store(&pulled{head.Digest, next, about})
	return nil
}

func (r *Artifact) verify(ctx context.Context, from *ociremote.Repository, head ocispec.Descriptor) error {
	if r.at.Options.Signers.None() {
		return nil
	}
	return r.at.Options.Signers.Verify(ctx, from, head)
}

func (r *Artifact) pull(ctx context.Context, from *ociremote.Repository, head ocispec.Descriptor) (*tree.Tree, *fleet.Commit, error) {
	m, err := readImage(ctx, from, head)
	if err != nil {
		return nil, nil, err
	}
	layers, err := m.selectLayers(r.at.Reference)
	if err != nil {
		return nil, nil, err
	}
	if err := checkLayers(layers, r.at.Limits); err != nil {
		return nil, nil, err
	}
	b := tree.NewBuilder(r.at.Limits, r.at.Path, r.last.Load().tree)
	for _, d := range layers {
		if err := (layer{d, len(layers) == 1, r.at.Reference.Copy}).pull(ctx, from, b); err != nil {
			return nil, nil, err
		}
	}
	t, err := b.Tree()
	if err != nil {
		return nil, nil, err
	}
	if !r.at.Reference.Copy {
		t, _ = t.Ignore(nil, tree.IgnoreFile)
	}
	return t, describe(m.Annotations), nil
}

// describe returns what the annotations in a manifest say of where the artifact comes from; nil for
// nothing.
func describe(text json.RawMessage) *fleet.Commit {
	annotations := map[string]string{}
	_ = json.Unmarshal(text, &annotations) // they say nothing then
	c := &fleet.Commit{Author: annotations[ocispec.AnnotationAuthors], Subject: annotations[ocispec.AnnotationTitle]}
	c.At, _ = time.Parse(time.RFC3339, annotations[ocispec.AnnotationCreated]) // zero if it says nothing
	if approved := annotations[fleet.ApproveTrailer]; approved != "" {
		c.Approves = []string{approved}
	}
	if c.Author == "" && c.Subject == "" && c.At.IsZero() && c.Approves == nil {
		return nil
	}
	return c
}

// readImage reads the manifest of an image. If head is an index, it reads the
// index first.
func readImage(ctx context.Context, from *ociremote.Repository, head ocispec.Descriptor) (manifest, error) {
	m, err := readManifest(ctx, from, head)
	if err != nil || !m.isIndex() {
		return m, err
	}
	image, err := m.image()
	if err != nil {
		return m, err
	}
	if m, err = readManifest(ctx, from, image); err == nil && m.isIndex() {
		err = errNestedIndex
	}
	return m, err
}

func readManifest(ctx context.Context, from *ociremote.Repository, d ocispec.Descriptor) (manifest, error) {
	switch {
	case d.Digest.Validate() != nil || d.Size < 0:
		return manifest{}, tree.NewFault("", "the index names an image with an invalid digest or size; push it again")
	case d.Size > maxManifest:
		return manifest{}, tree.NewFault("", "the manifest is larger than %s; push the artifact again with fewer layers", message.Size(maxManifest))
	}
	body, err := from.Manifests().Fetch(ctx, d)
	if err != nil {
		return manifest{}, fmt.Errorf("manifest %s: %w", d.Digest, explainSizeError(err, d))
	}
	defer body.Close()
	text, err := content.ReadAll(body, d)
	if err != nil {
		return manifest{}, fmt.Errorf("manifest %s: %w", d.Digest, explainVerifyError(err))
	}
	return parseManifest(text)
}
