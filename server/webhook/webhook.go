// Package webhook receives the webhooks of Git hosts and registries. A webhook means
// one thing, that the source may have changed, so the source is read now rather than at
// the next interval. Nothing else is taken from it.
//
//	secrets := webhook.NewSecrets("/etc/tributary/webhook-secret") // loaded with Use
//	receiver := webhook.NewReceiver(secrets)
//	result, err := receiver.Receive(webhook.GitHub, request, false)
//	if err == nil && result == webhook.Look {
//		lookAtTheSource()
//	}
//
// The whole body is read and its proof verified before anything in it is looked at. A
// body costs no memory beyond its first 16 KiB. To support another provider, add a
// Provider and a route for it.
package webhook

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/tributary-gitops/tributary/fleet"
)

// Result is what a webhook leads to, as metrics count it.
type Result string

// The results of a webhook that was accepted.
const (
	Look     Result = "look"     // the source may have changed
	Ignored  Result = "ignored"  // such an event changes no source
	Repeated Result = "repeated" // the same delivery came before
)

var errNoSecret = fmt.Errorf("%w: webhooks must be signed, and this server has no secret: start it with --webhook-secret-file",
	fleet.ErrForbidden)

// Receiver verifies webhooks.
type Receiver struct {
	secrets *Secrets // nil where there is no secret file
	replays replayCache
}

// NewReceiver returns a receiver of webhooks that prove one of the secrets. With nil
// secrets it accepts only what Receive is told to accept unsigned.
func NewReceiver(secrets *Secrets) *Receiver { return &Receiver{secrets: secrets} }

// Receive reads a webhook of a provider and returns what it leads to. Where there are
// no secrets, it accepts the webhook only if allowUnsigned is true.
func (rc *Receiver) Receive(p *Provider, r *http.Request, allowUnsigned bool) (Result, error) {
	var start prefix
	signature, err := rc.verify(p, r, io.TeeReader(r.Body, &start), allowUnsigned)
	if err != nil {
		return "", err
	}
	// The signature is recorded whatever the event is, since the event's name is not signed.
	before := ""
	if signature != nil {
		before = rc.replays.add(signature, p.Name)
	}
	switch {
	case !p.movesSource(r.Header, start):
		return Ignored, nil
	case before != "" && (before != p.Name || p != Generic): // scripts sign the same body each time
		return Repeated, nil
	}
	return Look, nil
}

// verify reads the body to its end. It returns the signature, or nil for a webhook
// without one.
func (rc *Receiver) verify(p *Provider, r *http.Request, body io.Reader, allowUnsigned bool) ([]byte, error) {
	if rc.secrets == nil {
		if !allowUnsigned {
			return nil, errNoSecret
		}
		return nil, readAll(body, io.Discard)
	}
	proof, err := p.proof(r)
	if err != nil {
		return nil, err
	}
	return proof.verify(body, *rc.secrets.current.Load())
}

// prefix is the beginning of a webhook's body. Whether the source can have changed is
// in the first few hundred bytes.
type prefix []byte

// maxPrefix bounds what a webhook costs in memory and in parsing, in bytes.
const maxPrefix = 16 << 10

// Write implements io.Writer. It keeps what there is room for.
func (b *prefix) Write(p []byte) (int, error) {
	*b = append(*b, p[:min(len(p), maxPrefix-len(*b))]...)
	return len(p), nil
}

// decode parses the body into v and reports whether it could. A body that was cut off
// is not JSON.
func (b prefix) decode(v any) bool { return json.Unmarshal(b, v) == nil }

// replayCache remembers the signatures of the last webhooks, so that one which is sent
// again, by its sender or by whoever overheard it, has no effect. Its memory is bounded:
// a signature that was forgotten costs one look at the source when it comes again.
type replayCache struct {
	mu    sync.Mutex
	known map[digest]string // signature to provider
	order [1024]digest      // the signatures in known, as a ring
	next  int               // the oldest in order
}

// add records a signature. It returns the provider that the signature was recorded for
// before, or "" if it is new.
func (c *replayCache) add(signature []byte, provider string) string {
	sum := sha256.Sum256(signature)
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.known[sum]; before != "" {
		return before
	}
	if c.known == nil {
		c.known = map[digest]string{}
	}
	delete(c.known, c.order[c.next])
	c.known[sum], c.order[c.next] = provider, sum
	c.next = (c.next + 1) % len(c.order)
	return ""
}
