package render

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schema is a JSON Schema that every input of a set must satisfy.
type schema struct{ compiled *jsonschema.Schema }

// treeURL is what a schema's own location and its relative references resolve
// against; it never leaves the process.
const treeURL = "tree:///"

// loadSchema compiles the schema in a file of the tree. It may refer to other
// files of the tree and to nothing else.
func loadSchema(tree fs.FS, file string) (*schema, error) {
	clean, inside := inTree(".", file)
	if !inside {
		return nil, fmt.Errorf("%q leads out of the fleet repo; it must be relative to the root", file)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(treeLoader{tree})
	compiled, err := c.Compile(treeURL + clean)
	if err != nil {
		return nil, fmt.Errorf("%q: %s", file, strings.ReplaceAll(err.Error(), treeURL, ""))
	}
	return &schema{compiled}, nil
}

// treeLoader reads schemas from the tree, so that a $ref can reach no network
// and no file outside.
type treeLoader struct{ tree fs.FS }

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
		return nil, errors.New(missing(err, "the path is relative to the root of the fleet repo"))
	}
	defer func() { _ = f.Close() }()
	return jsonschema.UnmarshalJSON(f)
}

// validate returns what is wrong with an input; paths are those of the input.
func (s *schema) validate(input map[string]any) []fault {
	err := s.compiled.Validate(input)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return []fault{{message: err.Error()}}
	}
	var faults []fault
	printer := message.NewPrinter(language.English)
	var leaves func(e *jsonschema.ValidationError)
	leaves = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			faults = append(faults, fault{strings.Join(e.InstanceLocation, "."), e.ErrorKind.LocalizedString(printer)})
		}
		for _, cause := range e.Causes {
			leaves(cause)
		}
	}
	leaves(invalid)
	return faults
}
