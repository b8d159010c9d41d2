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

// upload puts an image into a registry, and then its tags in their order.
func upload(ctx context.Context, at artifact, i *image, tags []string, o PushOptions) error {
	client := newRegistry(at, o.Options)
	defer client.close()
	u := &uploader{image: i, meter: &meter{total: i.size(), report: o.Progress}}
	to, err := client.dial()
	if err == nil {
		err = u.push(ctx, to, tags)
	}
	if err == nil {
		u.meter.end()
		return nil
	}
	err = fmt.Errorf("oci artifact oci://%s:%s: %w", at.name(), tags[len(u.put)], explainPush(ctx, client, err))
	if len(u.put) > 0 {
		err = fmt.Errorf("%w (tags that were put before: %s)", err, strings.Join(u.put, ", "))
	}
	return err
}

type uploader struct {
	image *image
	to    *ociremote.Repository
	meter *meter
	// put are the tags that lead to the image so far.
	put []string
}

func (u *uploader) push(ctx context.Context, to *ociremote.Repository, tags []string) error {
	u.to = to
	if c, ok := to.Client.(*auth.Client); ok {
		once := sendingTransport{c.Client.Transport, u.meter, longestStop}
		c.Client.Transport = pushTransport{once, &retry.Transport{Base: once, Policy: func() retry.Policy { return pushPolicy{} }}}
	}
	// Else credentials would be asked for first to look, and then to write.
	ctx = auth.AppendRepositoryScope(ctx, to.Reference, auth.ActionPull, auth.ActionPush)
	for _, tag := range tags {
		there, err := u.tagged(ctx, tag)
		if err == nil && !there {
			err = u.tag(ctx, tag)
		}
		if err != nil {
			return err
		}
		u.put = append(u.put, tag)
	}
	return nil
}

// tagged asks before anything is put, because some registries let nobody put a
// tag twice, even if it leads to the same.
func (u *uploader) tagged(ctx context.Context, tag string) (bool, error) {
	there, err := u.to.Manifests().Resolve(ctx, tag)
	if isNotFound(err) {
		return false, nil
	}
	return there.Digest == u.image.manifest.Digest, err
}

func (u *uploader) tag(ctx context.Context, tag string) error {
	if len(u.put) == 0 {
		for _, b := range []stored{u.image.layer, u.image.config} {
			if err := u.store(ctx, b); err != nil {
				return err
			}
		}
	}
	m := u.image.manifest
	return u.to.Manifests().PushReference(ctx, m.Descriptor, bytes.NewReader(m.data), tag)
}

// store sends what the registry does not have. What was cut off is sent from the
// start, in an upload of its own: the one that was begun may be gone, or whole.
func (u *uploader) store(ctx context.Context, b stored) error {
	for attempt := 0; ; attempt++ {
		err := u.storeOnce(ctx, b)
		wait, again := waitAfter(attempt, err)
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

func (u *uploader) storeOnce(ctx context.Context, b stored) error {
	there, err := u.to.Blobs().Exists(ctx, b.Descriptor)
	if err == nil && !there {
		err = u.to.Blobs().Push(ctx, b.Descriptor, bytes.NewReader(b.data))
	}
	if err == nil {
		u.meter.finish(b.Size)
	}
	return err
}

func explainPush(ctx context.Context, client *registryClient, err error) error {
	if status(err) == http.StatusForbidden && ctx.Err() == nil && client.answered(err) {
		return fmt.Errorf("%w: whoever pushes with the credentials for %s in %s may not write to %s; name a Docker config with others with --registry-config%s",
			fleet.ErrForbidden, client.at.Registry, client.configName(), client.at.Repository, told(err))
	}
	return client.explain(ctx, err)
}
