package setting

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"helm.sh/helm/v4/pkg/strvals"
)

// keda is an object that contains lists.
const keda = `{"spec": {"args": ["a", "b"], "big": [9007199254740993, 1.50], "scalar": 1,
	"depends_on": [{"name": "x", "ready": true}, {"name": "y"}]}}`

// patchOf returns the merge patch of flags for an object. A flag is a --set unless it
// begins with the name of another flag and a colon.
func patchOf(object string, flags ...string) (string, error) {
	var all List
	for _, text := range flags {
		flag := "set"
		for _, other := range []string{"set-string", "set-json"} {
			if rest, is := strings.CutPrefix(text, other+":"); is {
				flag, text = other, rest
			}
		}
		if err := all.Flag(flag).Set(text); err != nil {
			return "", err
		}
	}
	assignments, err := all.Assignments()
	if err != nil {
		return "", err
	}
	var text json.RawMessage
	if object != "" {
		text = json.RawMessage(object)
	}
	patch, err := assignments.MergePatch(text)
	return string(patch), err
}

func TestSetIsAMergePatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, flags, want string }{
		{"number", `spec.replicas=3`, `{"spec":{"replicas":3}}`},
		{"text", `spec.tag=v1`, `{"spec":{"tag":"v1"}}`},
		{"truth", `a=true,b=FALSE`, `{"a":true,"b":false}`},
		{"null removes", `spec.a=null`, `{"spec":{"a":null}}`},
		{"zeros lead text", `zip=007`, `{"zip":"007"}`},
		{"fractions are text, as in Helm", `cpu=1.5`, `{"cpu":"1.5"}`},
		{"nothing is text", `a=`, `{"a":""}`},
		{"several", `spec.a=1,spec.b=x`, `{"spec":{"a":1,"b":"x"}}`},
		{"several flags", "a.b=1\na.c=2\na.b=3", `{"a":{"b":3,"c":2}}`},
		{"list", `spec.list={a,1,true}`, `{"spec":{"list":["a",1,true]}}`},
		{"list, then more", `l={a},b=1`, `{"b":1,"l":["a"]}`},
		{"nothing in a list", `l[0].a=`, `{"l":[{"a":""}]}`},
		{"new list by entries", `l[0]=a,l[1].b=1`, `{"l":["a",{"b":1}]}`},
		{"equals sign in a value", `a=b=c`, `{"a":"b=c"}`},
		{"escaped comma", `a=b\,c`, `{"a":"b,c"}`},
		{"escaped dots", `metadata.labels.app\.kubernetes\.io/name=web`, `{"metadata":{"labels":{"app.kubernetes.io/name":"web"}}}`},
		{"quoted key", `metadata.labels."app.kubernetes.io/name"=web`, `{"metadata":{"labels":{"app.kubernetes.io/name":"web"}}}`},
		{"quoted key first", `"a.b".c=1,"d=e"=2`, `{"a.b":{"c":1},"d=e":2}`},
		{"quotes in a quoted key", `"a\"b\\c"=1`, `{"a\"b\\c":1}`},
		{"quotes in a value stay", `a="b.c"`, `{"a":"\"b.c\""}`},
		{"text only", "set-string:a=1,b=true,c=null", `{"a":"1","b":"true","c":"null"}`},
		{"json", `set-json:a={"b": [1, 1.5, null]} ,c=null,d="x,y"`, `{"a":{"b":[1,1.5,null]},"c":null,"d":"x,y"}`},
		{"last flag wins over kinds", "set-json:a=1\na=2\nset-string:a=3", `{"a":"3"}`},
	} {
		got, err := patchOf("", strings.Split(c.flags, "\n")...)
		if err != nil || got != c.want {
			t.Errorf("%s: --set %s = %s, %v, want %s", c.name, c.flags, got, err, c.want)
		}
	}
}

func TestSettingAListEntrySendsTheWholeList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flags, want string }{
		{`spec.args[1]=z`, `{"spec":{"args":["a","z"]}}`},
		{`spec.args[2]=z`, `{"spec":{"args":["a","b","z"]}}`},
		{`spec.args[0]=null`, `{"spec":{"args":["b"]}}`},
		{"spec.args[0]=null\nspec.args[1]=z", `{"spec":{"args":["z"]}}`},
		{`spec.depends_on[1].name=z`, `{"spec":{"depends_on":[{"name":"x","ready":true},{"name":"z"}]}}`},
		{`spec.depends_on[0].ready=null`, `{"spec":{"depends_on":[{"name":"x"},{"name":"y"}]}}`},
		{`spec.big[2]=1`, `{"spec":{"big":[9007199254740993,1.50,1]}}`},
		{"spec.args={q}\nspec.args[1]=z", `{"spec":{"args":["q","z"]}}`},
		{`spec.none[0]=z`, `{"spec":{"none":["z"]}}`},
	} {
		got, err := patchOf(keda, strings.Split(c.flags, "\n")...)
		if err != nil || got != c.want {
			t.Errorf("--set %s = %s, %v, want %s", c.flags, got, err, c.want)
		}
	}
}

func TestAmbiguousSettingIsRejected(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		``:                        `must be key=value`,
		`spec`:                    `spec has no value`,
		`spec.`:                   `the key after "spec" is empty`,
		`a..b=1`:                  `the key after "a" is empty`,
		`=1`:                      `the key after "" is empty`,
		`""=1`:                    `the key after "" is empty`,
		`a=1, b=2`:                `key " b" begins or ends with a blank`,
		`"a=1`:                    `a quote " is not closed`,
		`"a"b=1`:                  `a must be followed by`,
		`a[x]=1`:                  `a: an index must be a number`,
		`a[-1]=1`:                 `a: an index must be a number`,
		`a[0`:                     `a: an index must be a number`,
		`a[0]b=1`:                 `a[0] must be followed by`,
		`a={b`:                    `a: the list must end with }`,
		`a={b}c=1`:                `a: expected a comma after the list`,
		`a\`:                      `the last \ escapes nothing`,
		`a=b\`:                    `the last \ escapes nothing`,
		`a={b\`:                   `the last \ escapes nothing`,
		"a=1\na.b=2":              `a is not a mapping`,
		"a=null\na.b=2":           `a is already set to null, which removes it`,
		"a=1\na[0]=2":             `a is not a list`,
		`spec.args[3]=x`:          `the list has 2 entries, so the next one is [2]`,
		`spec.none[1]=x`:          `the list has 0 entries, so the next one is [0]`,
		`spec.scalar[0]=x`:        `spec.scalar is not a list in the object`,
		`spec.args[0].b=x`:        `spec.args[0] is not a mapping`,
		`set-json:a={`:            `a: the value is not JSON`,
		`set-json:a=1 b=2`:        `expected a comma after the value`,
		"a=\xff":                  `must be UTF-8`,
		"x=1,spec.args[99999]=99": `the next one is [2]`,
	} {
		got, err := patchOf(keda, strings.Split(flags, "\n")...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %q = %s, %v, want an error with %s", flags, got, err, want)
		}
	}
	if _, err := patchOf("", strings.Repeat("a.", 40)+"b=1"); err == nil {
		t.Error("40 levels are accepted, and Helm takes 30")
	}
}

// FuzzSet checks that --set reads what Helm reads if there are no quotes, and that a
// quoted key is read back unchanged. Being stricter than Helm is allowed.
func FuzzSet(f *testing.F) {
	for _, text := range []string{
		`spec.values.replicaCount=3`, `a=1,b.c={x,y},d[0][0].e=null`, `a\.b=c\,d`, `"a.b".c=1`, `a={},b=`, `a[0]=null,a[1]=2`, `=,..[`, `a=\`,
	} {
		for kind := range byte(3) {
			f.Add(text, kind)
		}
	}
	flags := []string{"set", "set-string", "set-json"}
	read := []func(string, map[string]any) error{strvals.ParseInto, strvals.ParseIntoString, strvals.ParseJSON}
	f.Fuzz(func(t *testing.T, text string, kind byte) {
		kind %= 3
		if key := text; key != "" && utf8.ValidString(key) && !strings.Contains(key, "\x00") {
			quotingHolds(t, path{{key: "spec"}, {key: key}, {index: 0, isIndex: true}})
		}
		all, err := List{{flags[kind], text}}.Assignments()
		if err != nil {
			return
		}
		got, err := all.mergePatch(nil)
		if err != nil {
			return
		}
		for _, a := range all {
			quotingHolds(t, a.path)
		}
		if strings.Contains(text, `"`) {
			return
		}
		want, err := helmReads(read[kind], text, all)
		if !reflect.DeepEqual(got, want) {
			// Helm drops an empty value in a list, but only if no comma follows.
			want, err = helmReads(read[kind], text+",", all)
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("--%s %q is %v, and Helm reads %v, %v", flags[kind], text, got, want, err)
		}
	})
}

// helmReads returns what Helm reads from a text, without the nulls in lists.
func helmReads(read func(string, map[string]any) error, text string, all Assignments) (map[string]any, error) {
	out := map[string]any{}
	err := read(text, out)
	for _, a := range all {
		if list := a.path.list(); len(list) < len(a.path) && err == nil {
			list.compact(out)
		}
	}
	return out, err
}

// quotingHolds checks that a printed path is read back as the same path.
func quotingHolds(t *testing.T, p path) {
	t.Helper()
	again, err := scan(setting{"set", p.String() + "=x"})
	if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0].path, p) || again[0].value != "x" {
		t.Fatalf("%q is shown as %s, which is read as %v, %v", p, p, again, err)
	}
}
