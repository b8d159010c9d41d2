//go:build conformance

package deploy_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const chartDir = "helm/tributary"

// kustomizations are the directories that can be applied without changes.
var kustomizations = []string{
	"kubernetes/base", "kubernetes/read-only", "kubernetes/example", "kubernetes/example-several", "../examples/flux",
}

// rendered returns the objects of every kustomization and of the chart, by source.
func rendered(t *testing.T) map[string][]*unstructured.Unstructured {
	t.Helper()
	all := map[string][]*unstructured.Unstructured{}
	for _, dir := range kustomizations {
		all[dir] = kustomize(t, dir)
	}
	values, err := filepath.Glob(chartDir + "/ci/*-values.yaml")
	if err != nil || len(values) == 0 {
		t.Fatalf("values of the chart: %v, %v", values, err)
	}
	for _, file := range values {
		objects, err := template(t, readValues(t, file))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = objects
	}
	return all
}

// kustomize does what `kubectl kustomize` does.
func kustomize(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	found, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	text, err := found.AsYaml()
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	return objects(t, text)
}

// template does what `helm template` does for a release acme in the namespace tributary. It
// checks the values against the chart's schema.
func template(t *testing.T, values map[string]any) ([]*unstructured.Unstructured, error) {
	t.Helper()
	return templateRelease(t, values, common.ReleaseOptions{Name: "acme", Namespace: "tributary", Revision: 1, IsInstall: true})
}

func templateRelease(t *testing.T, values map[string]any, release common.ReleaseOptions) ([]*unstructured.Unstructured, error) {
	t.Helper()
	chart, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(chart, values, release, nil)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	var made []*unstructured.Unstructured
	for _, file := range slices.Sorted(maps.Keys(files)) {
		made = append(made, objects(t, []byte(files[file]))...)
	}
	return made, nil
}

func readValues(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return values
}

// objects reads the documents of a text. A duplicate key is an error, which not all of
// Helm and kubectl would notice.
func objects(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		object := &unstructured.Unstructured{}
		if err == nil {
			err = yaml.UnmarshalStrict(document, &object.Object)
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(object.Object) > 0 {
			all = append(all, object)
		}
	}
}
