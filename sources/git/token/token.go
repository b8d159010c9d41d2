// Package token gets short-lived tokens for Git hosts, with which no long-lived
// secret of a person is needed.
//
//	app := &token.GitHubApp{ID: "1234", KeyFile: "app.pem", Repository: u}
//	tokens := token.NewCache(app)
//	t, err := tokens.Get(ctx, client)
//
// A token is kept until shortly before it expires.
package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tributary-gitops/tributary/sources/internal/message"
)

// Token is what a request for a repository is sent with.
type Token struct {
	Secret string
	// Username is sent with it; empty for a bearer token.
	Username string
	Expires  time.Time
}

// Issuer issues tokens.
type Issuer interface {
	Issue(ctx context.Context, client *http.Client) (Token, error)
	// String names the tokens in errors.
	String() string
}

// Cache keeps the token that was issued last. It is safe for concurrent use.
type Cache struct {
	Issuer

	mu   sync.Mutex
	last Token
}

// NewCache returns a cache without a token.
func NewCache(i Issuer) *Cache { return &Cache{Issuer: i} }

// spare is how long a token must be valid, so that a fetch can end.
const spare = 5 * time.Minute

// Get returns a token that is valid for some minutes.
func (c *Cache) Get(ctx context.Context, client *http.Client) (Token, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Until(c.last.Expires) > spare {
		return c.last, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	issued, err := c.Issue(ctx, client)
	if err != nil {
		return Token{}, fmt.Errorf("%s: %w", c, err)
	}
	c.last = issued
	return issued, nil
}

// Forget drops a token that a host has refused.
func (c *Cache) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = Token{}
}

// maxAnswer is the maximum size of an answer in bytes.
const maxAnswer = 1 << 20

// do sends a request and decodes the answer. Nothing of the answer becomes part
// of an error but what explain finds in it.
func do(client *http.Client, r *http.Request, into any, explain func(answer []byte) string) error {
	noRedirect := *client // The secret must go to no other host.
	noRedirect.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := noRedirect.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s: %s", r.URL.Host, response.Status, message.Clean(explain(answer)))
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return errors.New(r.URL.Host + " answered with something else than JSON; check the URL")
	}
	return nil
}
