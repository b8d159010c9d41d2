package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/server"
	"github.com/tributary-gitops/tributary/server/api"
)

// document is openapi.yaml, with the router that finds its operations.
var document = sync.OnceValues(func() (*openapi3.T, routers.Router) {
	doc, err := openapi3.NewLoader().LoadFromData(server.OpenAPI)
	if err != nil {
		panic(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		panic(err)
	}
	return doc, router
})

// checked is a transport that checks every answer against the document, and that no answer
// contains a credential, except the one that creates it.
type checked struct {
	t       *testing.T
	next    http.RoundTripper
	secrets sync.Map // string → true: sent or received
}

func newChecked(t *testing.T, next *http.Transport) *checked { return &checked{t: t, next: next} }

func (c *checked) CloseIdleConnections() { c.next.(*http.Transport).CloseIdleConnections() }

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if err := conforms(r, response, body); err != nil {
		c.t.Errorf("%s %s answers %d, which the document does not describe: %v\n%s", r.Method, r.URL.Path, response.StatusCode, err, body)
	}
	c.record(r, response, body)
	if secret := c.leaked(string(body)); secret != "" && response.StatusCode != http.StatusCreated {
		c.t.Errorf("%s %s answers with the credential %q:\n%s", r.Method, r.URL.Path, secret, body)
	}
	return response, nil
}

// shortestSecret is less than any credential has, and more than other texts that tests send.
const shortestSecret = 12

// record records the credentials of a request and its answer.
func (c *checked) record(r *http.Request, response *http.Response, body []byte) {
	_, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, password, _ := r.BasicAuth()
	var made struct{ Token string }
	if response.StatusCode == http.StatusCreated {
		_ = json.Unmarshal(body, &made) // most have none
	}
	for _, secret := range []string{sent, password, made.Token, r.Header.Get("Idempotency-Key")} {
		if len(secret) >= shortestSecret {
			c.secrets.Store(secret, true)
		}
	}
}

// leaked returns a credential that a text contains, or "".
func (c *checked) leaked(text string) (found string) {
	c.secrets.Range(func(secret, _ any) bool {
		if strings.Contains(text, secret.(string)) {
			found = secret.(string)
		}
		return found == ""
	})
	return found
}

func conforms(r *http.Request, response *http.Response, body []byte) error {
	doc, router := document()
	asGet := r.Clone(r.Context())
	if r.Method == http.MethodHead {
		asGet.Method = http.MethodGet // HEAD is documented as GET
	}
	route, path, err := router.FindRoute(asGet)
	if errors.Is(err, routers.ErrPathNotFound) || errors.Is(err, routers.ErrMethodNotAllowed) {
		return isProblem(doc, response, body, http.StatusNotFound, http.StatusMethodNotAllowed)
	}
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusNotModified && route.Operation.Responses.Status(http.StatusNotModified) == nil {
		return errors.New("304 is not documented") // the library does not check it
	}
	if response.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		body = unzip(body)
	}
	options := &openapi3filter.Options{
		IncludeResponseStatus: true, ExcludeResponseBody: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
	}
	request := &openapi3filter.RequestValidationInput{Request: asGet, PathParams: path, Route: route, Options: options}
	if response.StatusCode < 400 {
		if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
			return err
		}
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: response.StatusCode, Header: response.Header, Options: options,
	})
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	return bodyConforms(route.Operation.Responses.Status(response.StatusCode).Value.Content, response.Header.Get("Content-Type"), body)
}

// bodyConforms checks a body against the documented media types.
func bodyConforms(content openapi3.Content, contentType string, body []byte) error {
	if len(content) == 0 {
		return nil
	}
	documented := content.Get(contentType)
	if documented == nil {
		return fmt.Errorf("Content-Type %q is not documented", contentType)
	}
	if kind, _, _ := mime.ParseMediaType(contentType); documented.Schema == nil || !strings.HasSuffix(kind, "json") {
		return nil
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	return compiled(documented.Schema).Validate(value)
}

// schemas are the compiled schemas of the document. The library would compile a schema for
// each body.
var schemas sync.Map

// compiled returns a compiled schema.
func compiled(schema *openapi3.SchemaRef) *jsonschema.Schema {
	once, _ := schemas.LoadOrStore(schema.Value, sync.OnceValue(func() *jsonschema.Schema {
		doc, _ := document()
		text, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": doc.Components.Schemas}, "schema": schema.Value})
		if err != nil {
			panic(err)
		}
		root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			panic(err)
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource("openapi.json", root); err != nil {
			panic(err)
		}
		return c.MustCompile("openapi.json#/schema")
	}))
	return once.(func() *jsonschema.Schema)()
}

func isProblem(doc *openapi3.T, response *http.Response, body []byte, statuses ...int) error {
	if !slices.Contains(statuses, response.StatusCode) || response.Header.Get("Content-Type") != "application/problem+json" {
		return errors.New("an undocumented route must be a problem")
	}
	if response.Request.Method == http.MethodHead {
		return nil
	}
	return bodyConforms(openapi3.NewContentWithJSONSchemaRef(doc.Components.Schemas["Problem"]), "application/json", body)
}

func unzip(packed []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil
	}
	return plain
}

func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	doc, _ := document()
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi: %s, want 3.1", doc.OpenAPI)
	}
}

// An answer that the document does not describe must fail, or the checks check nothing.
func TestDocumentRejectsUndocumentedAnswers(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*http.Response) []byte{
		"inputs missing":   func(*http.Response) []byte { return []byte(`{}`) },
		"input without id": func(*http.Response) []byte { return []byte(`{"inputs":[{}]}`) },
		"no ETag":          func(r *http.Response) []byte { r.Header.Del("ETag"); return []byte(`{"inputs":[]}`) },
		"another type": func(r *http.Response) []byte {
			r.Header.Set("Content-Type", "text/html")
			return []byte(`{"inputs":[]}`)
		},
		"undocumented 202":   func(r *http.Response) []byte { r.StatusCode = 202; return []byte(`{"inputs":[]}`) },
		"unexpected members": func(*http.Response) []byte { return []byte(`{"inputs":[],"more":1}`) },
	} {
		r, err := http.NewRequest(http.MethodGet, "http://localhost/api/v1/flux/clusters/c/s", nil)
		if err != nil {
			t.Fatal(err)
		}
		response := &http.Response{Request: r, StatusCode: 200, Header: http.Header{
			"Content-Type": {"application/json"}, "Etag": {`"x"`}, "Tributary-Revision": {"main@sha1:1"}, "Tributary-Generation": {"7"},
			"Cache-Control": {"no-cache"}, "Vary": {"Accept-Encoding"},
		}}
		if err := conforms(r, response, []byte(`{"inputs":[]}`)); err != nil {
			t.Fatalf("unchanged: %v", err)
		}
		if body := spoil(response); conforms(r, response, body) == nil {
			t.Errorf("%s: conforms, want an error", name)
		}
	}
}

func TestDocumentAndTableHaveTheSameRoutes(t *testing.T) {
	t.Parallel()
	s, err := server.New(server.Config{Fleet: controller.New(controller.Config{Source: &source{}, Renderer: &renderer{}})})
	if err != nil {
		t.Fatal(err)
	}
	doc, _ := document()
	var served, documented []string
	for _, rt := range s.Routes() {
		served = append(served, rt.Method+" "+rt.Path)
		if item := doc.Paths.Value(rt.Path); item != nil && item.GetOperation(rt.Method) != nil {
			security := item.GetOperation(rt.Method).Security
			if open := security != nil && len(*security) == 0; open != rt.Open {
				t.Errorf("%s: open = %v in the document, %v in the table", rt.Path, open, rt.Open)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if !slices.Equal(served, documented) {
		t.Errorf("the table has %v,\nthe document %v", served, documented)
	}
}

func TestDocumentNamesEveryProblemType(t *testing.T) {
	t.Parallel()
	doc, _ := document()
	var documented []string
	for _, value := range doc.Components.Schemas["Problem"].Value.Properties["type"].Value.Enum {
		documented = append(documented, value.(string))
	}
	types := api.ProblemTypes()
	slices.Sort(types)
	if !slices.Equal(types, documented) {
		t.Errorf("the table has %v,\nthe document %v", types, documented)
	}
}
