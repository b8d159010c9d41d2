package kustomize

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tributary-gitops/tributary/fleet"
)

// TestKustomizationMustBeVetted builds the same overlay before and after it is vetted.
func TestKustomizationMustBeVetted(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"overlay/kustomization.yaml": {Data: []byte("resources: [../base]\n")},
		"base/kustomization.yaml":    {Data: []byte("resources: [a.yaml]\n")},
		"base/a.yaml":                {Data: []byte("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")},
	}
	v, p := NewVetting(tree), fleet.Placement{Overlay: "overlay"}
	f := StackFiles(v, p)
	if _, err := Build(context.Background(), f); err == nil || !strings.Contains(f.Refused().Error(), "overlay/kustomization.yaml: no resources or components entry leads to") {
		t.Errorf("Build before the vetting = %v, refused %v", err, f.Refused())
	}
	if valid, problems := v.Placement(p, func(dir, _ string) fleet.Problem { return fleet.Problem{File: dir} }); !valid || len(problems) > 0 {
		t.Fatal(problems)
	}
	if found, err := Build(context.Background(), StackFiles(v, p)); err != nil || len(found) != 1 {
		t.Errorf("Build = %v, %v", found, err)
	}
}
