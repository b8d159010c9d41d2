package edit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/edit"
)

// cluster is a cluster that is rendered without a fleet repo: it has the base objects, and what
// its own delta makes of them.
type cluster struct {
	t     testing.TB
	base  []fleet.Object
	stale []fleet.StalePart
	own   *fleet.Delta
	// broken is what Render returns where it is set.
	broken  error
	renders int
}

func newCluster(t testing.TB, objects ...string) *cluster {
	c := &cluster{t: t}
	for _, text := range objects {
		c.base = append(c.base, parse(t, text))
	}
	return c
}

const (
	web   = `{"apiVersion":"example.com/v1","kind":"App","metadata":{"name":"web"},"spec":{"env":{"a":"1","b":"2"},"ports":[80,443],"replicas":2,"tag":"v1"}}`
	front = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"front","namespace":"shop"},"spec":{"template":{"spec":{"containers":[{"image":"main:1","name":"main"},{"image":"proxy:1","name":"proxy"}]}}}}`
)

// parse returns the object of a JSON document, keys sorted.
func parse(t testing.TB, text string) fleet.Object {
	return fleet.ObjectOf(fleet.EncodeJSON(decode(t, []byte(text))))
}

func app(name, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"example.com/v1","kind":"App","metadata":{"name":%q},"spec":%s}`, name, spec)
}

// render returns the objects as they are with an own delta.
func (c *cluster) render(own *fleet.Delta) []fleet.Object {
	objects := slices.Clone(c.base)
	if own == nil {
		return objects
	}
	skipped := func(field string, i int) bool {
		part := fleet.Part{Delta: own.ID(), Field: fmt.Sprintf("%s[%d]", field, i)}
		return own == c.own && slices.ContainsFunc(c.stale, func(s fleet.StalePart) bool { return s.Part == part })
	}
	for i, r := range own.Resources {
		if !skipped("resources", i) {
			objects = append(objects, fleet.ObjectOf(r))
		}
	}
	for i, e := range own.Edits {
		at := slices.IndexFunc(objects, e.Matches)
		switch {
		case skipped("edits", i) || at < 0:
		case string(e.Patch) == "null":
			objects = slices.Delete(objects, at, at+1)
		default:
			objects[at] = fleet.ObjectOf(fleet.EncodeJSON(mergePatch(decode(c.t, objects[at].JSON), decode(c.t, e.Patch))))
		}
	}
	return objects
}

// target returns what a change of an object named kind/name is made to.
func (c *cluster) target(object string) *edit.Target {
	return &edit.Target{
		Cluster: "ann", Own: c.own, Stale: c.stale,
		Objects: slices.DeleteFunc(c.render(c.own), func(o fleet.Object) bool { return !named(object).Matches(o) }),
		Render: func(own *fleet.Delta, wanted func(fleet.Object) bool) ([]fleet.Object, error) {
			c.renders++
			return slices.DeleteFunc(c.render(own), func(o fleet.Object) bool { return !wanted(o) }), c.broken
		},
		StrategicMerge: strategicMerge,
	}
}

func named(object string) fleet.ObjectName {
	kind, name, _ := strings.Cut(object, "/")
	return fleet.ObjectName{Kind: kind, Name: name}
}

// strategicMerge is what a renderer does, by Kubernetes' own code.
func strategicMerge(o fleet.Object, patch []byte) ([]byte, error) {
	var after []byte
	var err error
	if o.Kind == "Deployment" {
		after, err = strategicpatch.StrategicMergePatch(o.JSON, patch, appsv1.Deployment{})
	} else {
		var object, change any
		_ = json.Unmarshal(o.JSON, &object)
		_ = json.Unmarshal(patch, &change)
		after = fleet.EncodeJSON(mergePatch(object, change))
	}
	if err != nil {
		return nil, fleet.Problems{{Message: err.Error()}}
	}
	return after, nil
}

func (c *cluster) patch(object string, kind fleet.PatchType, body string) error {
	target := c.target(object)
	o, err := target.Find(named(object))
	if err != nil {
		return err
	}
	return c.keep(target.Patch(o, fleet.ObjectPatch{Type: kind, Body: []byte(body)}))
}

func (c *cluster) merge(object, body string) {
	c.t.Helper()
	c.must(c.patch(object, fleet.MergePatch, body))
}

func (c *cluster) put(document string) error {
	o := parse(c.t, document)
	return c.keep(c.target(o.Kind + "/" + o.Name).Put(o))
}

func (c *cluster) delete(object string) error {
	target := c.target(object)
	o, err := target.Find(named(object))
	if err != nil {
		return err
	}
	return c.keep(target.Delete(o))
}

// keep makes a delta the cluster's own. All of its parts apply.
func (c *cluster) keep(own *fleet.Delta, err error) error {
	if err == nil {
		c.own, c.stale = own, nil
	}
	return err
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// shown returns an object as the cluster has it now; "" for none.
func (c *cluster) shown(object string) string {
	o, err := c.target(object).Find(named(object))
	if err != nil {
		return ""
	}
	return string(o.JSON)
}

func (c *cluster) ownDelta() *fleet.Delta { return c.own }

func (c *cluster) strategicMerge(o fleet.Object, patch []byte) ([]byte, error) {
	return strategicMerge(o, patch)
}

func (c *cluster) wantOwn(want string) {
	c.t.Helper()
	got := ""
	if c.own != nil {
		got = string(fleet.EncodeJSON(c.own))
	}
	if got != want {
		c.t.Errorf("own delta = %s, want %s", got, want)
	}
}

// mergePatch is RFC 7386, as the RFC has it.
func mergePatch(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := map[string]any{}
	if old, ok := target.(map[string]any); ok {
		out = maps.Clone(old)
	}
	for key, value := range changes {
		if value == nil {
			delete(out, key)
		} else {
			out[key] = mergePatch(out[key], value)
		}
	}
	return out
}

// decode decodes JSON and keeps numbers as they are written.
func decode(t testing.TB, data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}
