package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/tributary-gitops/tributary/fleet"
)

// WriteOptions are what every write may say beside what it is about.
type WriteOptions struct {
	// DryRun has all done but the change itself.
	DryRun bool
	// Reason is for the change log.
	Reason string
	// Confirm is the digest of the impact that is meant, of a write that was refused
	// with a fleet.GuardError.
	Confirm string
	// IfMatch is the tag of what must be there still, IfNoneMatch that of what must
	// not be ("*" for anything); where it is not so, the write is a fleet.ErrStale.
	IfMatch, IfNoneMatch string
}

// changing adds what every write says. None of it is repeated by itself, because
// a write without an answer may have been kept.
func (o WriteOptions) changing(q call, contentType string) call {
	q.header = http.Header{}
	set := func(name, value string) {
		if value != "" {
			q.header.Set(name, value)
		}
	}
	set("Content-Type", contentType)
	set("Tributary-Reason", o.Reason)
	set("If-Match", o.IfMatch)
	set("If-None-Match", o.IfNoneMatch)
	if o.DryRun {
		q = q.with("dryRun", "true")
	}
	return q.with("confirm", o.Confirm)
}

func (c *Client) change(ctx context.Context, q call) (*fleet.Result, error) {
	var result fleet.Result
	if _, err := c.do(ctx, q, &result); err != nil {
		return nil, err
	}
	return &result, nil
}

// PatchObject changes an object for one cluster.
func (c *Client) PatchObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName, p fleet.ObjectPatch) (*fleet.Result, error) {
	q := call{method: http.MethodPatch, path: []string{"clusters", cluster, "objects", name.Kind, name.Name}, query: narrowed(name), body: p.Body}
	return c.change(ctx, o.changing(q, string(p.Type)))
}

// DeleteObject takes an object away from one cluster.
func (c *Client) DeleteObject(ctx context.Context, o WriteOptions, cluster string, name fleet.ObjectName) (*fleet.Result, error) {
	q := call{method: http.MethodDelete, path: []string{"clusters", cluster, "objects", name.Kind, name.Name}, query: narrowed(name)}
	return c.change(ctx, o.changing(q, ""))
}

// PutDelta puts a document, YAML or JSON, in the place of the delta of an ID.
func (c *Client) PutDelta(ctx context.Context, o WriteOptions, id string, document []byte) (*fleet.Result, error) {
	return c.change(ctx, o.changing(call{method: http.MethodPut, path: deltaPath(id), body: document}, "application/yaml"))
}

// DeleteDelta drops the delta of an ID.
func (c *Client) DeleteDelta(ctx context.Context, o WriteOptions, id string) (*fleet.Result, error) {
	return c.change(ctx, o.changing(call{method: http.MethodDelete, path: deltaPath(id)}, ""))
}

// Rollback puts deltas back as they were at a generation: the one of an ID, or all
// of them where r names none.
func (c *Client) Rollback(ctx context.Context, o WriteOptions, r fleet.Rollback) (*fleet.Result, error) {
	asked := rollbackRequest{Generation: r.Generation}
	switch path := deltaPath(r.Delta); {
	case r.Delta == "":
	case path[0] == "clusters":
		asked.Cluster = path[1]
	default:
		asked.Delta = path[1]
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, o.changing(call{method: http.MethodPost, path: []string{"rollback"}, body: body}, "application/json"))
}
