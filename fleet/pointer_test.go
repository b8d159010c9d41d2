package fleet_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
)

func TestPointersAreThoseOfRFC6901(t *testing.T) {
	t.Parallel()
	document := map[string]any{"spec": map[string]any{"l": []any{map[string]any{"a": []any{}}, 2.0}, "02": 1.0}, "a/b": []any{}}
	for _, good := range []string{"", "/", "/spec", "/spec/l/0", "/spec/l/-", "/spec/l/-1", "/spec/l/17", "/spec/02", "/spec/l/0/a/-", "/m~0n", "/a~1b/0", "/none/01"} {
		if err := fleet.CheckPointer(good, document); err != nil {
			t.Errorf("CheckPointer(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{"spec", "spec/b", "x/spec/b", "/a~", "/a~2", "/spec/l/02", "/spec/l/+1", "/spec/l/one", "/spec/l/0/a/00", "/a~1b/01"} {
		if fleet.CheckPointer(bad, document) == nil {
			t.Errorf("CheckPointer(%q) is no error", bad)
		}
	}
}
