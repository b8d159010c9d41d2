package server

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/tributary-gitops/tributary/fleet"
)

// DeclareCluster declares a cluster through the API; its fields are those of a
// cluster file in one mapping, as JSON or YAML.
func (c *Client) DeclareCluster(ctx context.Context, o WriteOptions, fields []byte) (*fleet.Result, error) {
	q := call{method: http.MethodPost, path: []string{"clusters"}, body: fields}
	return c.change(ctx, o.changing(q, "application/yaml"))
}

// PatchCluster changes fields of a cluster that was declared so, by a merge patch.
func (c *Client) PatchCluster(ctx context.Context, o WriteOptions, name string, patch []byte) (*fleet.Result, error) {
	q := call{method: http.MethodPatch, path: []string{"clusters", name}, body: patch}
	return c.change(ctx, o.changing(q, string(fleet.MergePatch)))
}

// Decommission has every set of a cluster be empty from now on, or with purge
// forgets a cluster that was decommissioned before.
func (c *Client) Decommission(ctx context.Context, o WriteOptions, name string, purge bool) (*fleet.Result, error) {
	q := call{method: http.MethodDelete, path: []string{"clusters", name}}
	if purge {
		q = q.with("purge", "true")
	}
	return c.change(ctx, o.changing(q, ""))
}

// Register registers the cluster that asks, or where the client's token is the
// cluster's own, takes another in its place. A request that is repeated with the
// same idempotency key, of 20 to 128 printable characters, has the same answer.
func (c *Client) Register(ctx context.Context, request RegisterRequest, idempotencyKey string) (answer RegisterAnswer, err error) {
	q, err := posting(request, "register")
	if err != nil {
		return answer, err
	}
	if idempotencyKey != "" {
		q.header.Set("Idempotency-Key", idempotencyKey)
	}
	_, err = c.do(ctx, q, &answer)
	return answer, err
}

// Bootstrap returns what a cluster's Flux needs beside a token.
func (c *Client) Bootstrap(ctx context.Context) (answer BootstrapAnswer, err error) {
	_, err = c.do(ctx, reading("bootstrap"), &answer)
	return answer, err
}

// posting is a call with a body in JSON.
func posting(v any, path ...string) (call, error) {
	body, err := json.Marshal(v)
	header := http.Header{"Content-Type": {"application/json"}}
	return call{method: http.MethodPost, path: path, header: header, body: body}, err
}
