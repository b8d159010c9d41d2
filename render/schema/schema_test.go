package schema_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/render/schema"
)

// violations returns what a schema says about an input, one violation a line.
func violations(t *testing.T, document string, input map[string]any) string {
	t.Helper()
	s, err := schema.NewLoader(fstest.MapFS{"s.json": {Data: []byte(document)}}).Load("s.json")
	if err != nil {
		return err.Error()
	}
	var found strings.Builder
	s.Validate(input, 0, func(path, message string) { fmt.Fprintf(&found, "%s: %s\n", path, message) })
	return found.String()
}

// levels returns a schema of n levels, each of which is made of the name of the next.
func levels(n int, level, last string) string {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/$defs/a0", "$defs": {`)
	for i := range n {
		fmt.Fprintf(&b, `"a%d": %s, `, i, strings.ReplaceAll(level, "NEXT", fmt.Sprintf(`{"$ref": "#/$defs/a%d"}`, i+1)))
	}
	fmt.Fprintf(&b, `"a%d": %s}}`, n, last)
	return b.String()
}

// nested returns a value of n levels, each of which has the next one as a and as b.
func nested(n int) any {
	if n == 0 {
		return "x"
	}
	next := nested(n - 1)
	return map[string]any{"a": next}
}

func wide(n int) map[string]any {
	m := map[string]any{}
	for i := range n {
		m[fmt.Sprint("k", i)] = json.Number(fmt.Sprint(i))
	}
	return m
}

func list(n int, of string) string { return strings.TrimSuffix(strings.Repeat(of+", ", n), ", ") }

// TestSchemasThatMultiplyEnd has schemas of which most would take longer than anyone
// waits, or more memory than there is.
func TestSchemasThatMultiplyEnd(t *testing.T) {
	t.Parallel()
	one := map[string]any{"a": json.Number("1")}
	const steps = "schema s.json takes more than "
	for name, c := range map[string]struct {
		schema string
		input  map[string]any
		want   string
	}{
		"allOf":              {levels(30, `{"allOf": [NEXT, NEXT]}`, `{}`), one, steps},
		"anyOf":              {levels(30, `{"anyOf": [NEXT, NEXT]}`, `false`), one, steps},
		"oneOf":              {levels(30, `{"oneOf": [NEXT, NEXT]}`, `{"type": "string"}`), one, steps},
		"if, then":           {levels(30, `{"if": NEXT, "then": NEXT}`, `{}`), one, steps},
		"not and types":      {`{"not": ` + strings.Replace(levels(30, `{"properties": {"a": NEXT}, "patternProperties": {"^a": NEXT, "a$": NEXT}}`, `{"type": "number"}`), `"$ref"`, `"$defs2": {}, "$ref"`, 1) + `}`, nested(30).(map[string]any), ""},
		"patternProperties":  {levels(40, `{"patternProperties": {"^a": NEXT, "a$": NEXT}}`, `{"type": "number"}`), nested(40).(map[string]any), steps},
		"dependentSchemas":   {levels(30, `{"dependentSchemas": {"a": NEXT}, "allOf": [NEXT]}`, `{}`), one, steps},
		"draft 7":            {`{"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": "#/definitions/a"}], "definitions": ` + definitions(30) + `}`, one, steps},
		"unevaluated":        {levels(10, `{"allOf": [NEXT, NEXT], "unevaluatedProperties": true}`, `{}`), wide(2_000), steps},
		"dynamicRef":         {levels(30, `{"allOf": [NEXT, NEXT]}`, `{"properties": {"a": {"$dynamicRef": "#x"}}, "$dynamicAnchor": "x"}`), one, steps},
		"contains":           {levels(20, `{"contains": NEXT, "items": NEXT}`, `{}`), map[string]any{"a": []any{[]any{}}}, ""},
		"unique items":       {levels(9, `{"allOf": [NEXT, NEXT]}`, `{"properties": {"a": {"uniqueItems": true}}}`), map[string]any{"a": []any{wide(900), wide(901)}}, steps},
		"long enum":          {levels(7, `{"allOf": [NEXT, NEXT]}`, `{"properties": {"a": {"enum": [`+list(50_000, "0.5")+`]}}}`), one, steps},
		"pattern":            {levels(9, `{"allOf": [NEXT, NEXT]}`, `{"properties": {"a": {"pattern": "^(a|aa){99}$"}}}`), map[string]any{"a": strings.Repeat("a", 100_000)}, steps},
		"chain":              {levels(100, `{"allOf": [NEXT]}`, `{}`), one, "leads through more than 64 subschemas for the same value"},
		"circle":             {`{"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}`, one, "leads back to itself for the same value"},
		"not, nested":        {strings.Repeat(`{"not": `, 5_000) + "{}" + strings.Repeat("}", 5_000), one, `"s.json": s.json: is nested more than 100 levels deep`},
		"many subschemas":    {`{"$defs": {"x": [` + list(6_000, `{"type": "string"}`) + `]}}`, one, "may have at most 5000 mappings"},
		"long keys":          {`{"` + strings.Repeat("k", 500_000) + `": [` + list(10, `{}`) + `]}`, one, "the paths of all subschemas may have at most 4194304 bytes"},
		"size":               {`{"$comment": "` + strings.Repeat("k", 2<<20) + `"}`, one, "may have at most 1048576 bytes"},
		"number":             {`{"multipleOf": 1e-999999}`, one, "the number 1e-999999 is too long"},
		"long pattern":       {`{"pattern": "` + strings.Repeat("a", 5_000) + `"}`, one, "is a regular expression of 5000 bytes, and one may have at most 4096"},
		"multiplied pattern": {`{"pattern": "(abcdefgh){1000}"}`, one, "whose repetitions multiply to more than 1228 states"},
		"many patterns":      {manyPatterns(200), one, "its patterns have more than 50000 states together"},
		"format":             {`{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"format": "regex"}}}`, map[string]any{"a": "(abcdefgh){1000}"}, "multiply to more than"},
		"number in an input": {`{"properties": {"a": {"multipleOf": 3}}}`, map[string]any{"a": json.Number("1e-999999")}, "the number 1e-999999 is too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := violations(t, c.schema, c.input)
			if !strings.Contains(got, c.want) || len(got) > 50_000 {
				t.Errorf("%.1000s\nwant one with %q", got, c.want)
			}
		})
	}
}

// TestSchemasAreBoundedTogether has many schemas, each of which takes a while to compile.
func TestSchemasAreBoundedTogether(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{}
	loader := schema.NewLoader(tree)
	for i := range 5 {
		file := fmt.Sprintf("%d.json", i)
		tree[file] = &fstest.MapFile{Data: []byte(`{"allOf": [` + list(4_500, `{"type": "string"}`) + `]}`)}
		_, err := loader.Load(file)
		if _, again := loader.Load("0.json"); again != nil {
			t.Fatal(again)
		}
		if full := i == 4; full != (err != nil) || full && !strings.Contains(err.Error(), "all schemas together may have at most 15000 mappings") {
			t.Errorf("schema %d: %v", i, err)
		}
	}
}

func definitions(n int) string {
	var b strings.Builder
	b.WriteString(`{"a": {"$ref": "#/definitions/a0"}, `)
	for i := range n {
		fmt.Fprintf(&b, `"a%d": {"allOf": [{"$ref": "#/definitions/a%d"}, {"$ref": "#/definitions/a%d"}]}, `, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"a%d": {"minProperties": 0}}`, n)
	return b.String()
}

func manyPatterns(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`{"pattern": "a%d[xy]{300}"}`, i))
	}
	return `{"allOf": [` + strings.Join(all, ", ") + `]}`
}

// TestLongEnumsMeanTheSame has an enum and a const that are compared outside of the
// library.
func TestLongEnumsMeanTheSame(t *testing.T) {
	t.Parallel()
	document := `{"properties": {"a": {"enum": [` + list(50, `"y"`) + `, "x"]}, "b": {"const": [` + list(50, "1") + `]}}}`
	var ones []any
	for range 50 {
		ones = append(ones, json.Number("1.0"))
	}
	if got := violations(t, document, map[string]any{"a": "x", "b": ones}); got != "" {
		t.Errorf("violations = %s, want none", got)
	}
	got := violations(t, document, map[string]any{"a": "z", "b": ones[1:]})
	if !strings.Contains(got, `a: must be one of y, x, is "z"`) || !strings.Contains(got, "b: must be exactly what the schema has as const") {
		t.Errorf("violations = %s", got)
	}
}

const ordinary = `{"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
	"name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}, "id": {"type": "string"},
	"replicas": {"type": "integer", "minimum": 1, "maximum": 9},
	"ingress": {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/ingress"}]},
	"env": {"type": "array", "items": {"$ref": "#/$defs/env"}}}, "$defs": {
	"ingress": {"type": "object", "properties": {"host": {"type": "string", "format": "hostname"}, "path": {"type": "string"}}},
	"env": {"type": "object", "required": ["name", "value"], "properties": {"name": {"type": "string"}, "value": {"type": ["string", "number"]}}}}}`

func ordinaryInput() map[string]any {
	var env []any
	for i := range 20 {
		env = append(env, map[string]any{"name": fmt.Sprint("VAR_", i), "value": json.Number(fmt.Sprint(i))})
	}
	return map[string]any{"name": "shop", "id": "shop", "replicas": json.Number("3"), "ingress": map[string]any{"host": "a.example.com", "path": "/"}, "env": env}
}

func TestOrdinarySchemaStaysFarBelowTheBounds(t *testing.T) {
	t.Parallel()
	s, err := schema.NewLoader(fstest.MapFS{"s.json": {Data: []byte(ordinary)}}).Load("s.json")
	if err != nil {
		t.Fatal(err)
	}
	took := s.Validate(ordinaryInput(), 0, func(path, message string) { t.Errorf("%s: %s", path, message) })
	if took < 100 || took > 1_000 {
		t.Errorf("it took %d steps, want a few hundred of 10,000", took)
	}
}

func BenchmarkValidate(b *testing.B) {
	s, err := schema.NewLoader(fstest.MapFS{"s.json": {Data: []byte(ordinary)}}).Load("s.json")
	if err != nil {
		b.Fatal(err)
	}
	input := ordinaryInput()
	for b.Loop() {
		s.Validate(input, 0, func(path, message string) { b.Errorf("%s: %s", path, message) })
	}
}
