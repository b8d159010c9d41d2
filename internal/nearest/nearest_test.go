package nearest_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/internal/nearest"
)

func TestNameIsTheMostAlike(t *testing.T) {
	t.Parallel()
	known := []string{"resources", "components", "patches", "namespace", "id"}
	for misspelt, want := range map[string]string{
		"resource": "resources", "Patchs": "patches", "componets": "components", "namespce": "namespace",
		"ids": "id", "di": "id", "dsn": "", "selector": "", "x": "", "": "",
	} {
		if got, _ := nearest.Name(misspelt, known); got != want {
			t.Errorf("Name(%q) = %q, want %q", misspelt, got, want)
		}
	}
}
