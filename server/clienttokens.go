package server

import (
	"context"
	"net/http"

	"github.com/tributary-gitops/tributary/fleet"
)

// Tokens returns the tokens that are valid, or with all also those that were
// revoked or have expired.
func (c *Client) Tokens(ctx context.Context, all bool) ([]TokenAnswer, error) {
	q := reading("tokens")
	if all {
		q = q.with("all", "true")
	}
	return pages[TokenAnswer](ctx, c, q, 0)
}

// CreateToken makes a token. Nobody can be told again what it is.
func (c *Client) CreateToken(ctx context.Context, request TokenRequest) (answer CreatedToken, err error) {
	q, err := posting(request, "tokens")
	if err != nil {
		return answer, err
	}
	_, err = c.do(ctx, q, &answer)
	return answer, err
}

// RevokeToken revokes a token, by its ID or name.
func (c *Client) RevokeToken(ctx context.Context, token string) (*fleet.Result, error) {
	return c.change(ctx, call{method: http.MethodDelete, path: []string{"tokens", token}})
}
