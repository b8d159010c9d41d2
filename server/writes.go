package server

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/auth"
)

// maxReason bounds the reason of a change, in bytes.
const maxReason = 1024

// write returns a handler of a write, which answers with the result. It accepts the named
// parameters in addition to those of every write.
func (s *Server) write(do func(r *http.Request, o controller.WriteOptions) (*fleet.Result, error), known ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		o, err := writeOptions(w, r, known...)
		if err != nil {
			return err
		}
		result, err := do(r, o)
		return written(w, result, err)
	}
}

// writeOptions returns the options that every write has: the actor, the reason, whether it
// is a dry run, and the impact that is confirmed.
func writeOptions(w http.ResponseWriter, r *http.Request, known ...string) (controller.WriteOptions, error) {
	write, err := namedWriteOptions(w, r, known...)
	if err == nil {
		err = checkDigest(r.URL.Query())
	}
	return write, err
}

// namedWriteOptions is writeOptions for a write that is confirmed by a name.
func namedWriteOptions(w http.ResponseWriter, r *http.Request, known ...string) (controller.WriteOptions, error) {
	query, err := parameters(r, append(known, "dryRun", "confirm")...)
	if err != nil {
		return controller.WriteOptions{}, err
	}
	who := identityOf(w)
	write := controller.WriteOptions{
		Actor: who.Name, Scope: who.Scope, Reason: r.Header.Get("Tributary-Reason"), Confirm: query.Get("confirm"),
	}
	if write.DryRun, err = flag(query, "dryRun"); err != nil {
		return write, err
	}
	return write, checkReason("Tributary-Reason", write.Reason)
}

// checkDigest returns an error where a write is confirmed by something else than the digest of an impact.
func checkDigest(query url.Values) error {
	if query.Has("confirm") && !isDigest.MatchString(query.Get("confirm")) {
		return fmt.Errorf("%w: confirm: must be the digest of the impact, sha256:<64 hex>, from the problem that the write was answered with", api.ErrBadRequest)
	}
	return nil
}

// plainWriteOptions is writeOptions for a write that has neither a dry run, an impact to
// confirm nor a precondition.
func plainWriteOptions(w http.ResponseWriter, r *http.Request, what string) (controller.WriteOptions, error) {
	write, err := writeOptions(w, r)
	if err == nil && (write.DryRun || write.Confirm != "" || hasPrecondition(r.Header)) {
		err = fmt.Errorf("%w: %s takes neither dryRun, confirm nor If-Match", api.ErrBadRequest, what)
	}
	return write, err
}

var isDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func checkReason(name, reason string) error {
	if len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsFunc(reason, unicode.IsControl) {
		return fmt.Errorf("%w: %s: must be UTF-8 without control characters, at most %d bytes", api.ErrBadRequest, name, maxReason)
	}
	return nil
}

// identityOf returns who sent the request that w answers.
func identityOf(w http.ResponseWriter) auth.Identity {
	if x, ok := w.(*exchange); ok {
		return x.who
	}
	return auth.Identity{}
}

// hasPrecondition reports whether a request has If-Match or If-None-Match.
func hasPrecondition(h http.Header) bool {
	return len(h.Values("If-Match"))+len(h.Values("If-None-Match")) > 0
}

// noVersion is the version of nothing, so that a write that requires it is refused.
const noVersion = "none"

// requiredVersion returns the version that a write requires of what it is about, by If-Match and
// If-None-Match; nil if they are not given. Present is what a GET of the same path answers, nil
// for nothing, and version is its version: the writer compares it again, while nobody else
// writes. Tags are those of that answer (RFC 9110, 13.1). Where they do not allow the write, the
// writer is left to refuse it, because it knows errors that come first.
func requiredVersion(h http.Header, present any, version string) (*string, error) {
	if !hasPrecondition(h) {
		return nil, nil
	}
	body, err := bodyOf(present)
	if err != nil {
		return nil, err
	}
	if match := h.Values("If-Match"); len(match) > 0 && !hasTag(match, body) {
		version = noVersion
	}
	if hasTag(h.Values("If-None-Match"), body) {
		version = ""
	}
	return &version, nil
}

// hasTag reports whether a header has one of the tags of a body. A star matches any body.
func hasTag(header []string, body *view.Body) bool {
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

// documentTypes are the media types of a document that may be JSON or YAML.
var documentTypes = []string{"application/json", "application/yaml"}

// document reads a body of one of the media types, and returns its type as well.
func document(r *http.Request, types ...string) ([]byte, string, error) {
	given, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, given) {
		return nil, "", fmt.Errorf("%w: Content-Type must be %s", api.ErrMediaType, strings.Join(types, " or "))
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return nil, "", fmt.Errorf("%w: Content-Encoding %s is not supported; send the body without one", api.ErrMediaType, encoding)
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

// jsonDocument decodes a JSON body strictly.
func jsonDocument(r *http.Request, v any) error {
	text, _, err := document(r, "application/json")
	if err != nil {
		return err
	}
	return decodeStrictly(text, v)
}

// written answers a write with its result.
func written(w http.ResponseWriter, result *fleet.Result, err error) error {
	if err != nil {
		return err
	}
	return changed(w, http.StatusOK, result, result.Generation)
}

// created answers that something new exists, and where.
func created(w http.ResponseWriter, location string, v any, generation int64) error {
	w.Header().Set("Location", location)
	return changed(w, http.StatusCreated, v, generation)
}

func changed(w http.ResponseWriter, status int, v any, generation int64) error {
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
