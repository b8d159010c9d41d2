package server

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
)

// call is one request of a Client.
type call struct {
	method string
	path   []string // below /api/v1, not yet escaped
	query  url.Values
	header http.Header
	body   []byte
	strict bool // refuse what is not known, because it would be lost on the way back
	// keepsNothing tells that it changes nothing, whatever its method is.
	keepsNothing bool
}

func reading(path ...string) call { return call{method: http.MethodGet, path: path} }

// with adds a parameter, unless it is empty.
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

// do sends a call, decodes the answer and returns its ETag.
func (c *Client) do(ctx context.Context, q call, into any) (tag string, err error) {
	r, err := c.request(ctx, q)
	if err != nil {
		return "", err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return "", c.broken(q, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, longestAnswer+1))
	if err != nil {
		return "", c.broken(q, err)
	}
	if len(body) > longestAnswer {
		return "", fmt.Errorf("server %s: the answer has more than %d MiB; narrow it", c.base, longestAnswer>>20)
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusCreated {
		return "", c.refusal(answer, body)
	}
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != "application/json" {
		return "", fmt.Errorf("server %s: answers with %q, as no Tributary does; look at the URL", c.base, kind)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	if q.strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return "", fmt.Errorf("server %s: the answer cannot be read; is it of a later version? %w", c.base, err)
	}
	return answer.Header.Get("ETag"), nil
}

// longestAnswer bounds what is read of an answer, in bytes.
const longestAnswer = 256 << 20

// broken says that there is no answer. Of a write that may have reached the server
// it is not known then what became of it.
func (c *Client) broken(q call, err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	var op *net.OpError
	if dialing := errors.As(err, &op) && op.Op == "dial"; dialing || q.method == http.MethodGet || q.keepsNothing {
		return &unansweredError{err: fmt.Errorf("server %s: %w", c.base, err)}
	}
	return &unansweredError{err: fmt.Errorf("server %s: %w; the history tells whether the change was kept", c.base, err)}
}
