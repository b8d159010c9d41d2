// Package transport connects to the HTTP servers of sources.
//
//	pool := transport.NewPool(transport.TLS{CAFile: "ca.pem"}, transport.Proxy{})
//	next, err := pool.Transport()
//
// A Pool belongs to one source, so that time limits and certificates apply to
// that source only. Bodies of answers are bounded in size (LimitedBody) and in
// the time between two reads (StallReader).
package transport
