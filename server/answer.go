package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
)

// Header values that never change are made once. net/http only reads them.
var (
	jsonType       = []string{"application/json"}
	plainType      = []string{"text/plain; charset=utf-8"}
	noCache        = []string{"no-cache"}
	acceptEncoding = []string{"Accept-Encoding"}
	gzipped        = []string{"gzip"}
)

// write sends body in the form that the client accepts, or 304 if the client has it
// already, and returns the status.
func write(w http.ResponseWriter, r *http.Request, contentType []string, body *view.Body, of stamp) int {
	var payload []byte
	var tag string
	compressed := acceptsGzip(r.Header["Accept-Encoding"])
	if compressed {
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
	if compressed {
		h["Content-Encoding"] = gzipped
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(payload) // a client that went away needs no answer
	}
	return http.StatusOK
}

// stamp says which release and generation an answer was made of; zero for an answer that
// was not made of a view.
type stamp struct{ revision, generation string }

func stampOf(v *view.View) stamp {
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

// read returns a handler that answers with a document. It accepts the named parameters only.
func (s *Server) read(get func(r *http.Request, query url.Values) (any, error), known ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		query, err := parameters(r, known...)
		if err != nil {
			return err
		}
		document, err := get(r, query)
		if err != nil {
			return err
		}
		return answer(w, r, document, stamp{})
	}
}

// readView is read for a document that is made of what is served now. The handler takes the
// view once.
func (s *Server) readView(get func(r *http.Request, v *view.View, query url.Values) (any, error), known ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := s.view()
		if err != nil {
			return err
		}
		query, err := parameters(r, known...)
		if err != nil {
			return err
		}
		document, err := get(r, v, query)
		if err != nil {
			return err
		}
		return answer(w, r, document, stampOf(v))
	}
}

// bodyOf returns the body of an answer; nil for nil.
func bodyOf(v any) (*view.Body, error) {
	if v == nil {
		return nil, nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return view.TextBody(b.Bytes()), nil
}

// static always answers with the same bytes.
func (s *Server) static(contentType string, bytes []byte) handler {
	body, types := view.TextBody(bytes), []string{contentType}
	return func(w http.ResponseWriter, r *http.Request) error {
		write(w, r, types, body, stamp{})
		return nil
	}
}

// plain answers with a text.
func plain(w http.ResponseWriter, r *http.Request, text string) error {
	write(w, r, plainType, view.TextBody([]byte(text)), stamp{})
	return nil
}

// parameters returns the query. A parameter that is not in known, or is given twice, is
// an error: a misspelt ?selector= would answer for the whole fleet.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: query: %w", api.ErrBadRequest, err)
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			all := "none"
			if len(known) > 0 {
				all = strings.Join(known, ", ")
			}
			return nil, fmt.Errorf("%w: parameter %q: this route takes %s", api.ErrBadRequest, name, all)
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("%w: parameter %q: give it once", api.ErrBadRequest, name)
		}
	}
	return query, nil
}

// flag returns a parameter that is true or false. An empty one is an error, since it is
// not clear what was meant.
func flag(query url.Values, name string) (bool, error) {
	switch value := query.Get(name); {
	case value == "true":
		return true, nil
	case query.Has(name) && value != "false":
		return false, fmt.Errorf("%w: %s: must be true or false", api.ErrBadRequest, name)
	}
	return false, nil
}

// pageLimit returns the parameter limit.
func pageLimit(query url.Values, fallback, most int) (int, error) {
	if !query.Has("limit") {
		return fallback, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil || limit < 1 || limit > most {
		return 0, fmt.Errorf("%w: limit: must be a number from 1 to %d", api.ErrBadRequest, most)
	}
	return limit, nil
}

var errCursor = fmt.Errorf("%w: cursor: must be the \"next\" of the page before, as it is", api.ErrBadRequest)

// logPage returns the parameters limit and cursor of a list that is ordered by generation.
func logPage(query url.Values, fallback, most int) (limit int, before int64, err error) {
	if limit, err = pageLimit(query, fallback, most); err != nil {
		return 0, 0, err
	}
	if query.Has("cursor") {
		if before, err = strconv.ParseInt(query.Get("cursor"), 10, 64); err != nil || before < 1 {
			return 0, 0, errCursor
		}
	}
	return limit, before, nil
}

// decodeStrictly decodes a JSON document, and rejects unknown fields.
func decodeStrictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.Decode(new(any)) != io.EOF {
		err = errors.New("there is more after the document")
	}
	if err != nil {
		return fmt.Errorf("%w: the body: %w", api.ErrBadRequest, err)
	}
	return nil
}

// withList adds the route of the list to an error that says that something was not found.
func withList(err error, list string) error {
	if errors.Is(err, fleet.ErrNotFound) {
		return fmt.Errorf("%w: GET %s lists those that exist", err, list)
	}
	return err
}

// acceptsGzip parses Accept-Encoding (RFC 9110, 12.5.3). It reports whether the client
// accepts gzip and does not prefer the plain form. A header that cannot be parsed accepts
// nothing.
func acceptsGzip(header []string) bool {
	if len(header) == 1 && header[0] == "gzip" {
		return true // what Flux and Go send
	}
	gzip, identity, rest := -1.0, -1.0, -1.0 // -1: not mentioned
	for _, line := range header {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			switch coding = strings.TrimSpace(coding); {
			case strings.EqualFold(coding, "gzip"), strings.EqualFold(coding, "x-gzip"):
				gzip = quality(parameters)
			case strings.EqualFold(coding, "identity"):
				identity = quality(parameters)
			case coding == "*":
				rest = quality(parameters)
			}
		}
	}
	if gzip < 0 {
		gzip = rest
	}
	return gzip > 0 && gzip >= identity
}

// quality returns the weight in parameters: 1 if there is none, and 0 if it is not a
// number from 0 to 1.
func quality(parameters string) float64 {
	parameters = strings.TrimSpace(parameters)
	if parameters == "" {
		return 1
	}
	key, value, _ := strings.Cut(parameters, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err == nil && strings.EqualFold(strings.TrimSpace(key), "q") && q >= 0 && q <= 1 {
		return q
	}
	return 0
}

// match parses If-None-Match (RFC 9110, 13.1.2). It reports whether the client has the
// body in either form, and under which tag; for `*` that is own. The comparison is weak,
// as the header requires.
func match(header []string, own string, body *view.Body) (tag string, matches bool) {
	for _, line := range header {
		if strings.TrimSpace(line) == "*" {
			return own, true
		}
		for tag, rest := nextTag(line); tag != ""; tag, rest = nextTag(rest) {
			if tag == body.ETag() || tag == body.GzipETag() {
				return tag, true
			}
		}
	}
	return "", false
}

// nextTag cuts the first entity tag off a list, without its W/. It returns "" at the end
// of the list or of what can be parsed of it. Tags may contain commas.
func nextTag(list string) (tag, rest string) {
	list = strings.TrimPrefix(strings.TrimLeft(list, ", \t"), "W/")
	if !strings.HasPrefix(list, `"`) {
		return "", ""
	}
	end := strings.IndexByte(list[1:], '"')
	if end < 0 {
		return "", ""
	}
	return list[:end+2], list[end+2:]
}
