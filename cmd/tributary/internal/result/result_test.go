package result

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func inputChange(cluster, id, before, after string) fleet.InputChange {
	return fleet.InputChange{Cluster: cluster, Set: "apps", ID: id, Before: json.RawMessage(before), After: json.RawMessage(after)}
}

func TestSharedDifferenceIsPrintedOnce(t *testing.T) {
	t.Parallel()
	groups, err := groupChanges([]fleet.InputChange{
		inputChange("one", "web", `{"id":"web","size":1,"cluster":{"name":"one"}}`, `{"id":"web","size":2,"cluster":{"name":"one"}}`),
		inputChange("one", "api", `{"id":"api","size":1,"cluster":{"name":"one"}}`, ``),
		inputChange("two", "web", `{"id":"web","size":1,"cluster":{"name":"two"}}`, `{"id":"web","size":2,"cluster":{"name":"two"}}`),
		inputChange("six", "web", `{"id":"web","size":1,"cluster":{"name":"six"}}`, `{"id":"web","size":3,"cluster":{"name":"six"}}`),
		inputChange("new", "web", ``, `{"id":"web","cluster":{"name":"new"}}`),
		inputChange("moved", "web", `{"id":"web","cluster":{"dns":"a"}}`, `{"id":"web","cluster":{"dns":"b"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []group
	for _, g := range groups {
		got = append(got, *g)
	}
	want := []group{
		{"apps/web", false, false, "@@ -1,2 +1,2 @@\n id: web\n-size: 1\n+size: 2\n", []string{"one", "two"}},
		{"apps/api", false, true, "@@ -1,2 +0,0 @@\n-id: api\n-size: 1\n", []string{"one"}},
		{"apps/web", false, false, "@@ -1,2 +1,2 @@\n id: web\n-size: 1\n+size: 3\n", []string{"six"}},
		{"apps/web", true, false, "@@ -0,0 +1,1 @@\n+id: web\n", []string{"new"}},
		{"apps/web", false, false, "@@ -1,3 +1,3 @@\n cluster:\n-  dns: a\n+  dns: b\n id: web\n", []string{"moved"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("groupChanges = %+v, want %+v", got, want)
	}
}
