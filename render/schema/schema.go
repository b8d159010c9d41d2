// Package schema validates inputs with the JSON Schemas of a tree that nobody has checked.
//
//	loader := schema.NewLoader(tree)
//	s, err := loader.Load("schemas/app.json")
//	spent := 0
//	spent = s.Validate(input, spent, func(path, message string) {
//		// The input violates the schema, or takes too long to evaluate.
//	})
//
// A schema of a kilobyte can take longer than anyone waits, because subschemas that refer
// to each other multiply. So loading bounds what a schema may be, and validating counts
// what it does and stops at a bound that follows from the input alone: the same input has
// the same result on every machine. What the library does between two counts is bounded by
// what was counted.
package schema

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"path"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tributary-gitops/tributary/render/kustomize"
)

// Limits on the evaluation of one object, in steps. A step is about one subschema on one
// value. An ordinary schema takes two or three for each value.
const (
	baseSteps  = 10_000
	valueSteps = 25
	maxSteps   = 500_000
	// deepValue is the depth from which an input gets fewer steps, because each violation
	// keeps its path.
	deepValue = 16
)

const (
	maxViolations = 20  // that are reported for one input
	maxMessage    = 500 // bytes of one of their messages, which may quote values
)

// Schema is a compiled JSON Schema. It is safe for concurrent use: one input is validated
// at a time.
type Schema struct {
	file     string
	compiled *jsonschema.Schema
	// subschemas are those that it consists of.
	subschemas []*jsonschema.Schema

	mu    sync.Mutex
	meter *meter // guarded by mu
}

// treeURL is the base that a schema's location and its relative references resolve
// against. It never leaves the process.
const treeURL = "tree:///"

// Loader loads the schemas of one tree, each file once.
type Loader struct {
	tree     fs.FS
	loaded   map[string]result
	mappings int // of all schemas
}

type result struct {
	schema *Schema
	err    error
}

// NewLoader returns a Loader for a tree.
func NewLoader(tree fs.FS) *Loader { return &Loader{tree: tree, loaded: map[string]result{}} }

// Load compiles the JSON Schema in a file of the tree. It may refer to other files of the
// tree and to nothing else.
func (l *Loader) Load(file string) (*Schema, error) {
	known, ok := l.loaded[file]
	if !ok {
		known.schema, known.err = l.compile(file)
		l.loaded[file] = known
	}
	return known.schema, known.err
}

func (l *Loader) compile(file string) (*Schema, error) {
	clean, inside := kustomize.InTree(".", file)
	if !inside {
		return nil, errors.New(kustomize.Outside(file))
	}
	if l.mappings > maxAllMappings {
		return nil, fmt.Errorf("%q: all schemas together may have at most %d mappings; let sets share some", file, maxAllMappings)
	}
	d := &documents{tree: l.tree, meter: &meter{left: math.MaxInt}, patterns: map[string]*pattern{}, texts: map[string]string{}, contents: map[string]any{}}
	c := jsonschema.NewCompiler()
	c.UseLoader(d)
	c.UseRegexpEngine(d.compilePattern)
	c.RegisterVocabulary(&jsonschema.Vocabulary{URL: treeURL, Compile: d.collect})
	c.AssertVocabs()
	compiled, err := c.Compile(treeURL + clean)
	l.mappings += d.mappings
	if err == nil && d.exceeded == nil {
		d.exceeded = d.instrument()
	}
	if d.exceeded != nil {
		err = d.exceeded
	}
	if err != nil && d.exceeded == nil {
		if at := d.locate(clean, err); at != nil {
			return nil, at
		}
	}
	var loading *jsonschema.LoadURLError
	if errors.As(err, &loading) {
		err = loading.Err
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %s", file, strings.ReplaceAll(err.Error(), treeURL, ""))
	}
	return &Schema{file: file, compiled: compiled, subschemas: d.schemas, meter: d.meter}, nil
}

// Validate calls fault with the path and the message of each violation; of many, with the
// first ones. spent is what the other schemas of the same object took, and the result what
// they took together.
func (s *Schema) Validate(input map[string]any, spent int, fault func(path, message string)) int {
	values, depth, strange := measure(input, 0)
	if strange != "" {
		fault("", fmt.Sprintf("cannot be compared with schema %s: the number %.40s is too long; write it as a string", s.file, strange))
		return spent
	}
	limit := min(baseSteps+valueSteps*values, maxSteps) / (1 + depth/deepValue)
	took, err := s.evaluate(input, limit-spent)
	if errors.Is(err, errExhausted) {
		fault("", fmt.Sprintf("schema %s takes more than %d steps to evaluate, the bound for %d values; simplify it: its subschemas multiply", s.file, limit, values))
		return spent + took
	}
	s.report(input, err, fault)
	return spent + took
}

// evaluate validates an input within a number of steps, and returns how many it took.
func (s *Schema) evaluate(input map[string]any, steps int) (took int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meter.left = steps
	defer func() {
		took = steps - s.meter.left
		if reason := recover(); reason != nil {
			if reason != errExhausted { //nolint:errorlint // it is the very value
				panic(reason)
			}
			err = errExhausted
		}
	}()
	return 0, s.compiled.Validate(input) // the deferred function sets the steps
}

// Load implements jsonschema.URLLoader. It reads from the tree alone, so that a $ref
// cannot reach the network or a file outside.
func (d *documents) Load(ref string) (any, error) {
	u, err := url.Parse(ref)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "tree" || u.Host != "" {
		return nil, fmt.Errorf("%s is not in the fleet repo; copy it there and refer to it by a relative path", ref)
	}
	name := path.Clean(strings.TrimPrefix(u.Path, "/"))
	data, err := kustomize.ReadFile(d.tree, name)
	if err != nil {
		return nil, errors.New(kustomize.Missing(d.tree, name, err))
	}
	if d.read += len(data); d.read > maxBytes {
		return nil, d.exceed("%s: a schema and the files that it refers to may have at most %d bytes; leave out what the inputs do not need", name, maxBytes)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	if err != nil {
		return nil, syntaxError(name, string(data), err)
	}
	d.files, d.texts[name], d.contents[name] = append(d.files, name), string(data), doc
	return doc, d.check(name, doc, 0, len(name))
}
