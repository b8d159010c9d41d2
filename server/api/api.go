// Package api has what the HTTP API's server and client share: the documents that
// travel between them, and the one table of errors.
//
// Where a document is just a type of the domain, such as fleet.Result, that type is
// used. The types here are those that say more, or say it in another form:
//
//	var page api.List[api.Cluster]
//	err := json.Unmarshal(body, &page)
//
// An error crosses the wire as a Problem (RFC 9457). The server makes one with
// NewProblem, and the client finds the same error again with errors.Is:
//
//	p := api.NewProblem(fmt.Errorf("cluster %q: %w", name, fleet.ErrNotFound))
//	errors.Is(p.Err(), fleet.ErrNotFound) // true
//
// The package neither sends nor receives anything, and has no business rules.
// openapi.yaml, beside the server's handlers, documents every field for users.
package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// List is one page of a list.
type List[T any] struct {
	Items []T `json:"items"`
	// Next is the value of ?cursor= for the page that follows; empty on the last one.
	Next string `json:"next,omitempty"`
}

// Page sizes of the lists that are ordered by generation.
const (
	DefaultChanges  = 50
	MaxChanges      = 500
	DefaultReleases = 50
	MaxReleases     = 500
)

// SnapshotType is the media type of a packed snapshot, as a preview takes it.
const SnapshotType = "application/vnd.tributary.snapshot"

// IdempotencyKey is the header that marks a repeated registration. Whoever knows the
// key and the credential gets the same token, so the key must not be guessable.
const IdempotencyKey = "Idempotency-Key"

// IsLoopback reports whether host, with or without a port, names this machine.
func IsLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// BearerToken returns the token of a request, sent as a bearer token or as the password
// of HTTP Basic; "" if it has none.
func BearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	_, password, _ := r.BasicAuth()
	return password
}
