package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	ociremote "oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/internal/transport"
	"github.com/tributary-gitops/tributary/sources/oci"
)

// pushRetries are for pushes, which somebody waits for.
var pushRetries = transport.Retries{Most: 5, Longest: time.Minute}

// sendStallTimeout is how long a registry may accept no data. A push need not
// have a deadline of its own.
const sendStallTimeout = time.Minute

var errSendStalled = errors.New("the registry stopped accepting data; try again")

// send sends an image to a registry, and then sets its tags in order.
func send(ctx context.Context, at oci.Reference, i *image, tags []string, o Options) error {
	client := oci.NewClient(oci.Config{Reference: at, TLS: o.TLS, Proxy: o.Proxy, PlainHTTP: o.PlainHTTP, Options: o.OCI})
	client.Retries = pushRetries
	defer client.Close()
	to, err := client.Dial()
	if err != nil {
		return err
	}
	// Otherwise, the registry would be asked for a token twice: first to read,
	// and then to write.
	u := newUpload(auth.AppendRepositoryScope(ctx, to.Reference, auth.ActionPull, auth.ActionPush), i, o.Progress, sendStallTimeout)
	for n, tag := range tags {
		if err := u.put(to, tag); err != nil {
			err = fmt.Errorf("oci artifact oci://%s:%s: %w", at.Name(), tag, client.ExplainPush(ctx, err))
			if n > 0 {
				err = fmt.Errorf("%w (tags pushed before: %s)", err, strings.Join(tags[:n], ", "))
			}
			return err
		}
	}
	u.end()
	return nil
}

// upload is an image that oras-go copies to a registry. What oras-go reads of
// it is as much as the registry has accepted.
type upload struct {
	ctx    context.Context
	image  *image
	report func(done, total int64)
	// stalled ends ctx if nothing is read for the time limit.
	stalled *time.Timer
	limit   time.Duration

	mu   sync.Mutex
	sent map[digest.Digest]int64
}

func newUpload(ctx context.Context, i *image, report func(done, total int64), limit time.Duration) *upload {
	ctx, cancel := context.WithCancelCause(ctx)
	u := &upload{ctx: ctx, image: i, report: report, limit: limit, sent: map[digest.Digest]int64{}}
	u.stalled = time.AfterFunc(limit, func() { cancel(errSendStalled) })
	u.stalled.Stop()
	return u
}

// put sends what the registry does not have, and sets a tag. Some registries
// refuse to set a tag again, even to the same image. A transfer that was
// interrupted starts over in a new upload, because the old one may be gone or
// complete.
func (u *upload) put(to *ociremote.Repository, tag string) error {
	for attempt := 0; ; attempt++ {
		there, err := to.Manifests().Resolve(u.ctx, tag)
		if err == nil && there.Digest == u.image.manifest.Digest {
			return nil
		}
		if err == nil || oci.IsNotFound(err) {
			_, err = oras.Copy(u.ctx, u, tag, to, tag, oras.CopyOptions{CopyGraphOptions: oras.CopyGraphOptions{Concurrency: 1}})
		}
		if errors.Is(context.Cause(u.ctx), errSendStalled) {
			return errSendStalled
		}
		if err == nil || attempt == pushRetries.Most || !wasInterrupted(err) {
			return err
		}
		select {
		case <-u.ctx.Done():
			return err
		case <-time.After(retry.DefaultBackoff(attempt, nil)):
		}
	}
}

// wasInterrupted reports whether the image may be sent again after an error.
func wasInterrupted(err error) bool {
	var throttled *fleet.RetryError
	var network *net.OpError
	code := oci.Status(err)
	switch {
	case errors.As(err, &throttled):
		return throttled.After == 0
	case code != 0:
		return code >= http.StatusInternalServerError || code == http.StatusNotFound
	case errors.As(err, &network):
		return network.Op == "read" || network.Op == "write"
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Resolve, Exists and Fetch implement oras.ReadOnlyTarget.
func (u *upload) Resolve(context.Context, string) (ocispec.Descriptor, error) {
	return u.image.manifest.Descriptor, nil
}

func (u *upload) Exists(context.Context, ocispec.Descriptor) (bool, error) { return true, nil }

func (u *upload) Fetch(_ context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	for _, s := range []stored{u.image.manifest, u.image.config, u.image.layer} {
		if s.Digest == d.Digest {
			u.set(d.Digest, 0)
			u.stalled.Reset(u.limit)
			return &uploadBody{u, d.Digest, bytes.NewReader(s.data)}, nil
		}
	}
	return nil, fmt.Errorf("%s is not in the image", d.Digest)
}

// set records how much of a blob or manifest has been sent. A request that is
// repeated begins at 0 again.
func (u *upload) set(part digest.Digest, n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sent[part] = n
	if u.report != nil {
		var done int64
		for _, n := range u.sent {
			done += n
		}
		u.report(done, u.image.size())
	}
}

// end reports that all is at the registry, where some of it may have been
// before.
func (u *upload) end() {
	if u.report != nil {
		u.report(u.image.size(), u.image.size())
	}
}

type uploadBody struct {
	upload *upload
	part   digest.Digest
	data   *bytes.Reader
}

func (b *uploadBody) Read(p []byte) (int, error) {
	n, err := b.data.Read(p)
	b.upload.set(b.part, b.data.Size()-int64(b.data.Len()))
	if b.upload.stalled.Reset(b.upload.limit); err != nil {
		b.upload.stalled.Stop() // The time for the answer is limited elsewhere.
	}
	return n, err
}

func (b *uploadBody) Close() error {
	b.upload.stalled.Stop()
	return nil
}
