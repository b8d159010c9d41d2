package fleetrepo

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/tributary-gitops/tributary/render/kustomize"
)

// treeURL is the base that a schema's location and its relative references resolve
// against. It never leaves the process.
const treeURL = "tree:///"

// loadSchema compiles the JSON Schema in a file of the tree. It may refer to other files
// of the tree and to nothing else.
func loadSchema(tree fs.FS, file string) (*jsonschema.Schema, error) {
	clean, inside := kustomize.InTree(".", file)
	if !inside {
		return nil, errors.New(kustomize.Outside(file))
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(treeLoader{tree})
	compiled, err := c.Compile(treeURL + clean)
	if err != nil {
		return nil, fmt.Errorf("%q: %s", file, strings.ReplaceAll(err.Error(), treeURL, ""))
	}
	return compiled, nil
}

// treeLoader reads schemas from the tree, so that a $ref cannot reach the network or a
// file outside.
type treeLoader struct{ tree fs.FS }

// Load implements jsonschema.URLLoader.
func (l treeLoader) Load(ref string) (any, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "tree" || u.Host != "" {
		return nil, fmt.Errorf("%s is not in the fleet repo; copy it there and refer to it by a relative path", ref)
	}
	f, err := l.tree.Open(strings.TrimPrefix(u.Path, "/"))
	if err != nil {
		return nil, errors.New(kustomize.Unreadable(err, "the path is relative to the root of the fleet repo"))
	}
	defer func() { _ = f.Close() }()
	return jsonschema.UnmarshalJSON(f)
}

// Validate holds the fields of an input against the set's schema and calls fault with the
// path and the message of each violation.
func (s *InputSet) Validate(input map[string]any, fault func(path, message string)) {
	if s.schema == nil {
		return
	}
	err := s.schema.Validate(input)
	if err == nil {
		return
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		fault("", err.Error())
		return
	}
	printer := message.NewPrinter(language.English)
	var leaves func(e *jsonschema.ValidationError)
	leaves = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			fault(strings.Join(e.InstanceLocation, "."), e.ErrorKind.LocalizedString(printer))
		}
		for _, cause := range e.Causes {
			leaves(cause)
		}
	}
	leaves(invalid)
}
