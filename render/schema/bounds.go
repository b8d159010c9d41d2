package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/tributary-gitops/tributary/render/kustomize"
)

// Limits on a schema with all files that it refers to. Compiling one takes time by the
// square of its subschemas, and memory for the path of each.
const (
	maxBytes    = 1 << 20
	maxDepth    = 100
	maxMappings = 5_000
	// maxAllMappings limits all schemas of a fleet repo together.
	maxAllMappings = 15_000
	maxPaths       = 4 << 20 // bytes of the paths of all mappings together
	// maxChain limits how many subschemas in a row are about the same value, as those of
	// allOf and $ref are. The library looks at all of them for each step.
	maxChain = 64
	// maxStates limits the states of all regular expressions together.
	maxStates = 50_000
	// patternStates are those that a short pattern may have, such as ^.{1,1000}$.
	patternStates = 1_100
	// maxDigits limits numbers and exponents. The library computes with exact fractions,
	// and 1e-999999 is one of a million digits.
	maxDigits = 400
	// plainEnum is up to how many values the library compares with an enum or const before
	// anything is counted.
	plainEnum = 32
)

// documents are the files of one schema, bounded in what they hold. It implements
// jsonschema.URLLoader.
type documents struct {
	tree     fs.FS
	meter    *meter
	schemas  []*jsonschema.Schema // compiled, except those that are true, false or {}
	patterns map[string]*pattern

	read, mappings, paths, states int
	// The files that were read, for places in messages.
	files    []string
	texts    map[string]string
	contents map[string]any
	// exceeded is the first limit that is exceeded. The library's errors bury it.
	exceeded error
}

func (d *documents) exceed(format string, args ...any) error {
	if d.exceeded == nil {
		d.exceeded = fmt.Errorf(format, args...)
	}
	return d.exceeded
}

// check bounds a document before the library reads it. at is how long the path to it is.
func (d *documents) check(file string, doc any, depth, at int) error {
	if depth > maxDepth {
		return d.exceed("%s: is nested more than %d levels deep; flatten it", file, maxDepth)
	}
	switch doc := doc.(type) {
	case map[string]any:
		if d.mappings++; d.mappings > maxMappings {
			return d.exceed("%s: a schema may have at most %d mappings; leave out what the inputs do not need", file, maxMappings)
		}
		if d.paths += at; d.paths > maxPaths {
			return d.exceed("%s: its keys are too long: the paths of all subschemas may have at most %d bytes", file, maxPaths)
		}
		for key, child := range doc {
			if err := d.check(file, child, depth+1, at+1+len(key)); err != nil {
				return err
			}
		}
	case []any:
		for i, child := range doc {
			if err := d.check(file, child, depth+1, at+1+len(strconv.Itoa(i))); err != nil {
				return err
			}
		}
	case json.Number:
		if isStrange(doc.String()) {
			return d.exceed("%s: the number %.40s is too long; numbers and exponents may have at most %d digits", file, doc, maxDigits)
		}
	}
	return nil
}

// isStrange reports whether a number takes more than maxDigits to write out.
func isStrange(number string) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(number), "e")
	n, err := strconv.Atoi("0" + strings.TrimLeft(exponent, "+-"))
	return len(mantissa) > maxDigits || err != nil || n > maxDigits
}

// measure returns how many values there are in a value, how deep they are nested, and a
// number that is too long to compute with; "" for none.
func measure(v any, depth int) (values, deepest int, strange string) {
	add := func(child any) {
		n, d, s := measure(child, depth+1)
		values, deepest = values+n, max(deepest, d)
		if s != "" {
			strange = s
		}
	}
	values, deepest = 1, depth
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			add(child)
		}
	case []any:
		for _, child := range v {
			add(child)
		}
	case json.Number:
		if isStrange(v.String()) {
			strange = v.String()
		}
	}
	return values, deepest, strange
}

// meter counts down the steps of one validation.
type meter struct{ left int }

var errExhausted = errors.New("no steps are left")

// spend panics with errExhausted where no steps are left. The library has no other way to
// be stopped.
func (m *meter) spend(steps int) {
	if m.left -= steps; m.left < 0 {
		panic(errExhausted)
	}
}

// pattern is a regular expression whose matching is counted.
type pattern struct {
	*regexp.Regexp
	states int
	meter  *meter
}

// MatchString implements jsonschema.Regexp. Each state looks at each byte at worst.
func (p *pattern) MatchString(text string) bool {
	p.meter.spend(1 + p.states*len(text)/64)
	return p.Regexp.MatchString(text)
}

func (d *documents) compilePattern(text string) (jsonschema.Regexp, error) {
	if known, ok := d.patterns[text]; ok {
		return known, nil
	}
	states, wrong := kustomize.CheckPattern(text, patternStates)
	if wrong != "" {
		return nil, d.exceed("pattern %.40q %s", text, wrong)
	}
	if d.states += states; d.states > maxStates {
		return nil, d.exceed("its patterns have more than %d states together; shorten their repetitions", maxStates)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p := &pattern{compiled, states, d.meter}
	d.patterns[text] = p
	return p, nil
}

// collect remembers a subschema. As the compiler of a vocabulary without keywords, it is
// called for each.
func (d *documents) collect(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
	d.schemas = append(d.schemas, ctx.Enqueue(nil))
	return nil, d.exceeded
}

// instrument makes each subschema count. The format is what the library checks before it
// follows a subschema to others.
func (d *documents) instrument() error {
	if err := d.checkChains(); err != nil {
		return err
	}
	unevaluated := false
	for _, s := range d.schemas {
		unevaluated = unevaluated || s.UnevaluatedProperties != nil || s.UnevaluatedItems != nil
	}
	for _, s := range d.schemas {
		d.countValues(s)
		w := weightOf(s, len(d.sameValue(s)), unevaluated)
		format := s.Format
		if format != nil && format.Name == "regex" { // the library's own has no bound
			format = &jsonschema.Format{Name: "regex", Validate: validateRegex}
		}
		counting := jsonschema.Format{Validate: func(v any) error {
			d.meter.spend(w.steps(v))
			if format != nil {
				return format.Validate(v)
			}
			return nil
		}}
		if format != nil {
			counting.Name = format.Name
		}
		s.Format = &counting
	}
	return nil
}

func validateRegex(v any) error {
	text, ok := v.(string)
	if !ok {
		return nil
	}
	if _, wrong := kustomize.CheckPattern(text, patternStates); wrong != "" {
		return errors.New(wrong)
	}
	_, err := regexp.Compile(text)
	return err
}

// checkChains refuses subschemas that lead back to themselves for the same value, and long
// chains of them.
func (d *documents) checkChains() error {
	const open = -1
	length := map[*jsonschema.Schema]int{}
	var visit func(s *jsonschema.Schema) (int, error)
	visit = func(s *jsonschema.Schema) (int, error) {
		switch known := length[s]; {
		case known == open:
			return 0, fmt.Errorf("%s leads back to itself for the same value", s.Location)
		case known > 0:
			return known, nil
		}
		length[s] = open
		longest := 0
		for _, next := range d.sameValue(s) {
			n, err := visit(next)
			if err != nil {
				return 0, err
			}
			longest = max(longest, n)
		}
		if longest++; longest > maxChain {
			return 0, fmt.Errorf("%s leads through more than %d subschemas for the same value; merge some", s.Location, maxChain)
		}
		length[s] = longest
		return longest, nil
	}
	for _, s := range d.schemas {
		if _, err := visit(s); err != nil {
			return err
		}
	}
	return nil
}

// sameValue returns the subschemas that a schema applies to the very value that it is
// applied to itself.
func (d *documents) sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	var all []*jsonschema.Schema
	for _, next := range []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else} {
		if next != nil {
			all = append(all, next)
		}
	}
	all = append(append(append(all, s.AllOf...), s.AnyOf...), s.OneOf...)
	for _, next := range s.DependentSchemas {
		all = append(all, next)
	}
	for _, next := range s.Dependencies {
		if next, ok := next.(*jsonschema.Schema); ok {
			all = append(all, next)
		}
	}
	if s.DynamicRef != nil {
		all = append(all, s.DynamicRef.Ref)
	}
	if s.RecursiveRef != nil || s.DynamicRef != nil { // they lead to any subschema with the anchor
		for _, next := range d.schemas {
			if s.RecursiveRef != nil && next.RecursiveAnchor ||
				s.DynamicRef != nil && s.DynamicRef.Anchor != "" && next.DynamicAnchor == s.DynamicRef.Anchor {
				all = append(all, next)
			}
		}
	}
	return all
}

// weight is what the evaluation of one subschema costs, beside those that it leads to.
type weight struct {
	sameValue, property, item int
	dynamic, unique           bool
	unevaluated               bool
}

func weightOf(s *jsonschema.Schema, sameValue int, unevaluated bool) weight {
	return weight{
		sameValue: sameValue, property: 1 + len(s.PatternProperties), item: 2,
		dynamic: s.DynamicRef != nil || s.RecursiveRef != nil, unique: s.UniqueItems, unevaluated: unevaluated,
	}
}

// steps returns what the evaluation on a value costs.
func (w weight) steps(v any) int {
	steps, children := 1+w.sameValue, 0
	switch v := v.(type) {
	case map[string]any:
		children = len(v)
		steps += children * w.property
	case []any:
		children = len(v)
		steps += children * w.item
		if w.unique {
			values, _, _ := measure(v, 0)
			steps += values * min(children, 20)
		}
	case string:
		steps += len(v) / 256
	}
	if w.unevaluated { // the library lists the children for each subschema on the value
		steps += steps * children / 4
	}
	if w.dynamic { // the library looks at the whole way here
		steps += maxChain
	}
	return steps
}

// countValues makes the comparison with a long enum or const count. The library compares
// before it checks the format.
func (d *documents) countValues(s *jsonschema.Schema) {
	if s.Enum != nil {
		if values, _, _ := measure(s.Enum.Values, 0); values > plainEnum {
			wanted := s.Enum.Values
			s.Extensions = append(s.Extensions, &comparison{d.meter, wanted, values, &kind.Enum{Want: wanted}})
			s.Enum = nil
		}
	}
	if s.Const != nil {
		if values, _, _ := measure(*s.Const, 0); values > plainEnum {
			s.Extensions = append(s.Extensions, &comparison{d.meter, []any{*s.Const}, values, &kind.Const{Want: *s.Const}})
			s.Const = nil
		}
	}
}

// comparison is a long enum or const. It implements jsonschema.SchemaExt.
type comparison struct {
	meter  *meter
	wanted []any
	values int
	fault  jsonschema.ErrorKind
}

// Validate implements jsonschema.SchemaExt.
func (c *comparison) Validate(ctx *jsonschema.ValidatorContext, v any) {
	c.meter.spend(1 + c.values/8)
	for _, one := range c.wanted {
		if same, err := ctx.Equals(v, one); err != nil || same {
			ctx.AddErr(err)
			return
		}
	}
	ctx.AddError(c.fault)
}
