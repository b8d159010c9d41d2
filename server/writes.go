package server

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/server/api"
)

// longestReason bounds what somebody may say of a change, in bytes.
const longestReason = 1024

// writing reads what every write takes: who asks, why, whether it is only tried,
// which impact is confirmed, and on which condition.
func writing(w http.ResponseWriter, r *http.Request, known ...string) (fleet.Write, error) {
	query, err := parameters(r, append(known, "dryRun", "confirm")...)
	if err != nil {
		return fleet.Write{}, err
	}
	who := identityOf(w)
	write := fleet.Write{
		Actor: who.name, Scope: who.scope, Reason: r.Header.Get("Tributary-Reason"), Confirm: query.Get("confirm"), Expect: expectation(r.Header),
	}
	switch value := query.Get("dryRun"); {
	case value == "true":
		write.DryRun = true
	case query.Has("dryRun") && value != "false": // Also where it is empty: whoever writes it wants nothing kept.
		return write, fmt.Errorf("%w: dryRun: must be true or false", api.ErrBadRequest)
	}
	if query.Has("confirm") && !isDigest.MatchString(write.Confirm) {
		return write, fmt.Errorf("%w: confirm: must be the digest of the impact, sha256:<64 hex>, as the problem has it", api.ErrBadRequest)
	}
	return write, checkReason("Tributary-Reason", write.Reason)
}

var isDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkReason(name, reason string) error {
	if len(reason) > longestReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return fmt.Errorf("%w: %s: must be UTF-8 without control characters, at most %d bytes", api.ErrBadRequest, name, longestReason)
	}
	return nil
}

// identityOf is who sent the request, as the guard found it.
func identityOf(w http.ResponseWriter) identity {
	if x, ok := w.(*exchange); ok {
		return x.who
	}
	return identity{}
}

// expectation is what If-Match and If-None-Match ask of what is there; nil for
// nothing. Tags are those of the GET of the same (RFC 9110, 13.1).
func expectation(h http.Header) func(present any) error {
	match, none := h.Values("If-Match"), h.Values("If-None-Match")
	if len(match)+len(none) == 0 {
		return nil
	}
	return func(present any) error {
		body, err := bodyOf(present)
		if err != nil {
			return err
		}
		if len(match) > 0 && !names(match, body) {
			return fmt.Errorf("%w: it is not what If-Match says; GET it again", fleet.ErrStale)
		}
		if len(none) > 0 && names(none, body) {
			return fmt.Errorf("%w: it is there, and If-None-Match says that it must not be", fleet.ErrStale)
		}
		return nil
	}
}

// names tells whether a header names one of the tags of a body. A star names any
// that is there.
func names(header []string, body *fleet.Body) bool {
	if body == nil {
		return false
	}
	for _, line := range header {
		for tag := range strings.SplitSeq(line, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || tag == body.ETag() || tag == body.GzipETag() {
				return true
			}
		}
	}
	return false
}

// document reads a body of one of the media types, and returns which it is.
func document(r *http.Request, types ...string) ([]byte, string, error) {
	given, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, given) {
		return nil, "", fmt.Errorf("%w: Content-Type must be %s", api.ErrMediaType, strings.Join(types, " or "))
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return nil, "", fmt.Errorf("%w: Content-Encoding %s is not read; send the body as it is", api.ErrMediaType, encoding)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", api.BodyError(err)
	}
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return nil, "", fmt.Errorf("%w: the body is empty", api.ErrBadRequest)
	case !utf8.Valid(body):
		return nil, "", fmt.Errorf("%w: the body is not UTF-8", api.ErrBadRequest)
	}
	return body, given, nil
}

// written answers what came of a write.
func (s *Server) written(w http.ResponseWriter, result *fleet.Result) error {
	return s.changed(w, http.StatusOK, result, result.Generation)
}

// created answers that there is something new, and where.
func (s *Server) created(w http.ResponseWriter, location string, v any, generation int64) error {
	w.Header().Set("Location", location)
	return s.changed(w, http.StatusCreated, v, generation)
}

func (s *Server) changed(w http.ResponseWriter, status int, v any, generation int64) error {
	body, err := bodyOf(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h.Set("Cache-Control", "no-store")
	h.Set("Tributary-Generation", fmt.Sprint(generation))
	w.WriteHeader(status)
	_, _ = w.Write(body.JSON()) // a client that went away needs no answer
	return nil
}
