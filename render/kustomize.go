package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// kustomizeMu is held around every call into kustomize but those in besideKustomize: it
// keeps its OpenAPI schema in globals (kubernetes-sigs/kustomize#4824, #5805). It is global
// because they are.
var kustomizeMu sync.Mutex

// maxCopies bounds what the copy operations of one JSON patch may add, in bytes.
// Forty of them that copy a value into itself would be a terabyte.
const maxCopies = 4 << 20

// The library has no other place for the bound than a global, which kustomize's
// own use of it then obeys too.
func init() { jsonpatch.AccumulatedCopySizeLimit = maxCopies } //nolint:gochecknoinits // see above

// withKustomize runs f with kustomize to itself. A panic in kustomize, which
// some inputs cause, becomes an error, and the state it may leave is dropped.
func withKustomize(f func() error) (err error) {
	kustomizeMu.Lock()
	defer kustomizeMu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			openapi.ResetOpenAPI()
			err = kustomizePanics(r)
		}
	}()
	return f()
}

// besideKustomize runs f, which calls what of kustomize reads text and knows of no schema,
// so that patches are read on all processors.
func besideKustomize(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = kustomizePanics(r)
		}
	}()
	return f()
}

func kustomizePanics(reason any) error { return fmt.Errorf("kustomize panics on it: %v", reason) }

// build runs `kustomize build` of a directory. The caller is in withKustomize.
func build(f *filesystem, dir string) (resmap.ResMap, error) {
	options := krusty.MakeDefaultOptions() // no plugins, no Helm, order as written
	options.LoadRestrictions = types.LoadRestrictionsNone
	return krusty.MakeKustomizer(options).Run(f, dir)
}

// kustomization is what Tributary writes for kustomize. JSON is YAML, and needs
// no care in quoting.
type kustomization struct {
	Resources     []string      `json:"resources"`
	Components    []string      `json:"components,omitempty"`
	Patches       []types.Patch `json:"patches,omitempty"`
	BuildMetadata []string      `json:"buildMetadata,omitempty"`
}

func (k kustomization) yaml() []byte {
	data, err := json.Marshal(k)
	if err != nil {
		panic(err) // strings alone always marshal
	}
	return data
}

// newResources returns what makes objects from YAML as kustomize does.
func newResources() *resmap.Factory {
	return resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())
}

// plain takes out of kustomize's message what only Tributary put there.
func plain(err error) string {
	text := strings.ReplaceAll(err.Error(), repoRoot+"/", "")
	return strings.Join(strings.Fields(text), " ")
}
