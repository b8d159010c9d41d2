package sources

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	ociremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/tributary-gitops/tributary/fleet"
)

// pushImage pushes an image to a registry, and then sets its tags in order.
func pushImage(ctx context.Context, at artifact, i *image, tags []string, o PushOptions) error {
	client := newRegistry(at, o.Options)
	defer client.close()
	u := &imagePusher{image: i, meter: &meter{total: i.size(), report: o.Progress}}
	to, err := client.dial()
	if err == nil {
		err = u.push(ctx, to, tags)
	}
	if err == nil {
		u.meter.end()
		return nil
	}
	err = fmt.Errorf("oci artifact oci://%s:%s: %w", at.name(), tags[len(u.tagged)], explainPush(ctx, client, err))
	if len(u.tagged) > 0 {
		err = fmt.Errorf("%w (tags pushed before: %s)", err, strings.Join(u.tagged, ", "))
	}
	return err
}

type imagePusher struct {
	image *image
	to    *ociremote.Repository
	meter *meter
	// tagged are the tags that have been set so far.
	tagged []string
}

func (u *imagePusher) push(ctx context.Context, to *ociremote.Repository, tags []string) error {
	u.to = to
	if c, ok := to.Client.(*auth.Client); ok {
		once := uploadTransport{c.Client.Transport, u.meter, sendStallTimeout}
		c.Client.Transport = pushTransport{once, &retry.Transport{Base: once, Policy: func() retry.Policy { return pushPolicy{} }}}
	}
	// Otherwise, the registry would be asked for a token twice: first to read,
	// and then to write.
	ctx = auth.AppendRepositoryScope(ctx, to.Reference, auth.ActionPull, auth.ActionPush)
	for _, tag := range tags {
		there, err := u.hasTag(ctx, tag)
		if err == nil && !there {
			err = u.putTag(ctx, tag)
		}
		if err != nil {
			return err
		}
		u.tagged = append(u.tagged, tag)
	}
	return nil
}

// hasTag reports whether a tag points to the image already. Some registries
// refuse to set a tag again, even to the same image.
func (u *imagePusher) hasTag(ctx context.Context, tag string) (bool, error) {
	there, err := u.to.Manifests().Resolve(ctx, tag)
	if isNotFound(err) {
		return false, nil
	}
	return there.Digest == u.image.manifest.Digest, err
}

func (u *imagePusher) putTag(ctx context.Context, tag string) error {
	if len(u.tagged) == 0 {
		for _, b := range []stored{u.image.layer, u.image.config} {
			if err := u.storeBlob(ctx, b); err != nil {
				return err
			}
		}
	}
	m := u.image.manifest
	return u.to.Manifests().PushReference(ctx, m.Descriptor, bytes.NewReader(m.data), tag)
}

// storeBlob sends a blob if the registry does not have it. A transfer that was
// interrupted starts over in a new upload, because the old one may be gone or
// complete.
func (u *imagePusher) storeBlob(ctx context.Context, b stored) error {
	for attempt := 0; ; attempt++ {
		err := u.tryStoreBlob(ctx, b)
		wait, again := retryDelay(attempt, err)
		if !again {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

func (u *imagePusher) tryStoreBlob(ctx context.Context, b stored) error {
	there, err := u.to.Blobs().Exists(ctx, b.Descriptor)
	if err == nil && !there {
		err = u.to.Blobs().Push(ctx, b.Descriptor, bytes.NewReader(b.data))
	}
	if err == nil {
		u.meter.finishBlob(b.Size)
	}
	return err
}

func explainPush(ctx context.Context, client *registryClient, err error) error {
	if status(err) == http.StatusForbidden && ctx.Err() == nil && client.answered(err) {
		return fmt.Errorf("%w: the credentials for %s in %s may not write to %s; name a Docker config with other credentials with --registry-config%s",
			fleet.ErrForbidden, client.at.Registry, client.configName(), client.at.Repository, registryMessage(err))
	}
	return client.explain(ctx, err)
}
