package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// Header values that never change are made once. net/http only reads them.
var (
	jsonType       = []string{"application/json"}
	noCache        = []string{"no-cache"}
	acceptEncoding = []string{"Accept-Encoding"}
	gzipped        = []string{"gzip"}
)

// write sends body in the form that the client takes, or 304 where it has that
// already, and returns the status.
func write(w http.ResponseWriter, r *http.Request, contentType []string, body *fleet.Body, of stamp) int {
	var payload []byte
	var tag string
	packed := takesGzip(r.Header["Accept-Encoding"])
	if packed {
		payload, tag = body.Gzip(), body.GzipETag()
	} else {
		payload, tag = body.JSON(), body.ETag()
	}
	known, matches := match(r.Header["If-None-Match"], tag, body)
	if matches {
		tag = known
	}
	// One allocation for the values rather than one each.
	values := []string{tag, of.revision, strconv.Itoa(len(payload)), of.generation}
	h := w.Header()
	h["Etag"] = values[0:1:1]
	if of.revision != "" {
		h["Tributary-Revision"], h["Tributary-Generation"] = values[1:2:2], values[3:4:4]
	}
	h["Cache-Control"], h["Vary"] = noCache, acceptEncoding
	if matches {
		w.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	h["Content-Type"], h["Content-Length"] = contentType, values[2:3:3]
	if packed {
		h["Content-Encoding"] = gzipped
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(payload) // a client that went away needs no answer
	}
	return http.StatusOK
}

// stamp says what an answer was made from; zero where it was made from no view.
type stamp struct{ revision, generation string }

func stampOf(v *fleet.View) stamp {
	return stamp{v.Release().Revision, strconv.FormatInt(v.Generation(), 10)}
}

// answer sends v as JSON.
func answer(w http.ResponseWriter, r *http.Request, v any, of stamp) error {
	body, err := bodyOf(v)
	if err != nil {
		return err
	}
	write(w, r, jsonType, body, of)
	return nil
}

// bodyOf is how v is answered; nil for nothing.
func bodyOf(v any) (*fleet.Body, error) {
	if v == nil {
		return nil, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return fleet.NewBody(b.Bytes()), nil
}

// static answers the same bytes always.
func (s *Server) static(contentType string, bytes []byte) handler {
	body, types := fleet.NewBody(bytes), []string{contentType}
	return func(w http.ResponseWriter, r *http.Request) error {
		write(w, r, types, body, stamp{})
		return nil
	}
}

// parameters are the query's, each given at most once and none but the ones in
// known, because a misspelt ?selector= would answer for the whole fleet.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: query: %w", api.ErrBadRequest, err)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w: parameter %q: this route takes %s", api.ErrBadRequest, name, orNone(known))
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("%w: parameter %q: give it once", api.ErrBadRequest, name)
		}
	}
	return query, nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
