package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// call is one request.
type call struct {
	method   string
	path     []string // below /api/v1, not yet escaped
	query    url.Values
	header   http.Header
	body     []byte
	strict   bool // reject unknown fields in the answer: writing it back would lose them
	readOnly bool // changes nothing, whatever its method
}

func get(path ...string) call {
	return call{method: http.MethodGet, path: path, readOnly: true}
}

// post returns a call with v as its body.
func post(v any, path ...string) (call, error) {
	body, err := json.Marshal(v)
	header := http.Header{"Content-Type": {"application/json"}}
	return call{method: http.MethodPost, path: path, header: header, body: body}, err
}

// with adds a query parameter, unless it is empty.
func (q call) with(name, value string) call {
	if value == "" {
		return q
	}
	if q.query == nil {
		q.query = url.Values{}
	}
	q.query.Set(name, value)
	return q
}

// WriteOptions are the options that every write has.
type WriteOptions struct {
	// DryRun does everything but the change itself.
	DryRun bool
	// Reason is kept in the change log.
	Reason string
	// Confirm is the digest of the impact to confirm, from the fleet.GuardError of a
	// write that was refused.
	Confirm string
	// IfMatch is the tag that the resource must still have, and IfNoneMatch the one
	// that it must not have ("*" for any). Otherwise the write is a fleet.ErrStale.
	IfMatch, IfNoneMatch string
}

// apply adds the options to a call.
func (o WriteOptions) apply(q call, contentType string) call {
	q.header = http.Header{}
	for name, value := range map[string]string{
		"Content-Type": contentType, "Tributary-Reason": o.Reason, "If-Match": o.IfMatch, "If-None-Match": o.IfNoneMatch,
	} {
		if value != "" {
			q.header.Set(name, value)
		}
	}
	if o.DryRun {
		q = q.with("dryRun", "true")
	}
	return q.with("confirm", o.Confirm)
}

// write sends a call whose answer is a fleet.Result.
func (c *Client) write(ctx context.Context, q call) (*fleet.Result, error) {
	var result fleet.Result
	if _, err := c.do(ctx, q, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// pages reads a list page by page, until it ends or has at least enough items
// (0: all of them).
func pages[T any](ctx context.Context, c *Client, q call, enough int) ([]T, error) {
	all := []T{}
	for {
		var page api.List[T]
		if _, err := c.do(ctx, q, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.Next == "" || enough > 0 && len(all) >= enough {
			return all, nil
		}
		q = q.with("cursor", page.Next)
	}
}

func (c *Client) request(ctx context.Context, q call) (*http.Request, error) {
	address := c.base + "/api/v1"
	for _, name := range q.path {
		address += "/" + url.PathEscape(name)
	}
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	if q.header != nil {
		r.Header = q.header
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r, nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 256 << 20

// do sends a call, decodes the answer and returns its ETag.
func (c *Client) do(ctx context.Context, q call, into any) (tag string, err error) {
	r, err := c.request(ctx, q)
	if err != nil {
		return "", err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return "", c.noAnswer(q, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return "", c.noAnswer(q, err)
	}
	if len(body) > maxAnswer {
		return "", fmt.Errorf("server %s: the answer has more than %d MiB; ask for less", c.base, maxAnswer>>20)
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusCreated {
		return "", c.refusal(answer, body)
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != "application/json" {
		return "", fmt.Errorf("server %s: answers with %q, which is not a Tributary server's answer; check the URL", c.base, kind)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if q.strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return "", c.unreadable("the answer", err)
	}
	return answer.Header.Get("ETag"), nil
}

// unreadable reports that what the server sent is not what the client knows, without the names of
// Go types.
func (c *Client) unreadable(what string, err error) error {
	reason := "it is not JSON"
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		reason = fmt.Sprintf("the field %q has a %s", wrongType.Field, wrongType.Value)
	} else if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		reason = "it has the unknown field " + field
	}
	return fmt.Errorf("server %s: %s cannot be read: %s; is the server newer than this client?", c.base, what, reason)
}

// noAnswer reports that no answer came. Whether a write that may have reached the
// server was kept is then unknown.
func (c *Client) noAnswer(q call, err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	var op *net.OpError
	if notSent := errors.As(err, &op) && op.Op == "dial"; notSent || q.readOnly {
		return &unansweredError{err: fmt.Errorf("server %s: %w", c.base, err)}
	}
	return &unansweredError{err: fmt.Errorf("server %s: %w; the history shows whether the change was kept", c.base, err)}
}
