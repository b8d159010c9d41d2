// Package kustomize runs kustomize on trees that nobody has checked. It vets the
// kustomizations of a tree before kustomize reads them, shows kustomize a read-only file
// system in memory, and holds the one lock that kustomize's global state needs.
//
//	v := kustomize.NewVetting(tree)
//	if valid, problems := v.Placement(placement); !valid {
//		return problems
//	}
//	resources, err := kustomize.Build(ctx, kustomize.StackFiles(v, placement))
//	object, err := resources[0].Object()
//
// Nothing here reaches the network, runs a program or reads outside of the tree, and
// every tree ends in bounded time and memory.
package kustomize

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// mu is held around every call into kustomize that may use its OpenAPI schema, which
// kustomize keeps in globals (kubernetes-sigs/kustomize#4824, #5805). The lock is global
// because they are.
//
// It is a channel of capacity 1, so that waiting for it can end with a context.
var mu = make(chan struct{}, 1)

// maxCopies limits what the copy operations of one JSON patch may add, in bytes. Forty
// operations that copy a value into itself would make a terabyte.
const maxCopies = 4 << 20

// The library takes this limit only as a global variable. kustomize's own use of the
// library then obeys it too.
func init() { jsonpatch.AccumulatedCopySizeLimit = maxCopies } //nolint:gochecknoinits // see above

// WithLock runs f while nothing else calls kustomize. Some inputs make kustomize panic.
// WithLock turns the panic into an error and drops the state that it may have left
// behind.
func WithLock(f func() error) error {
	mu <- struct{}{}
	defer func() { <-mu }()
	return locked(f)
}

func locked(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			openapi.ResetOpenAPI()
			err = panicError(r)
		}
	}()
	return f()
}

// WithoutLock runs f, which may only call the parts of kustomize that read text and use
// no schema. It lets patches be read on all processors. A panic becomes an error.
func WithoutLock(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = panicError(r)
		}
	}()
	return f()
}

func panicError(reason any) error { return fmt.Errorf("kustomize panics on it: %v", reason) }

// Build runs `kustomize build` on what StackFiles or LayerFiles returned. Its error is ctx's
// where that ends first. kustomize cannot be stopped, and then goes on for the rest of its
// bounded time with nobody waiting for it but the next build: the caller must not use f any
// more.
func Build(ctx context.Context, f *Filesystem) ([]Resource, error) {
	select {
	case mu <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	type result struct {
		resources []Resource
		err       error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-mu }()
		var r result
		r.err = locked(func() (err error) {
			r.resources, err = run(f)
			return err
		})
		done <- r
	}()
	select {
	case r := <-done:
		return r.resources, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func run(f *Filesystem) ([]Resource, error) {
	options := krusty.MakeDefaultOptions() // no plugins, no Helm, order as written
	options.LoadRestrictions = types.LoadRestrictionsNone
	m, err := krusty.MakeKustomizer(options).Run(f, f.dir)
	if err != nil {
		return nil, err
	}
	return identify(m), nil
}

// ReadResources reads the objects in YAML text the way kustomize does.
func ReadResources(text []byte) (resources []Resource, err error) {
	err = WithLock(func() error {
		m, err := factory().NewResMapFromBytes(text)
		if err == nil {
			resources = identify(m)
		}
		return err
	})
	return resources, err
}

// ReadPatches reads the strategic merge patches in YAML text. Call it inside WithLock or
// WithoutLock.
func ReadPatches(text []byte) ([]*resource.Resource, error) {
	return factory().RF().SliceFromBytes(text)
}

// CheckPatch reports whether kustomize's own transformer accepts a patch.
func CheckPatch(p types.Patch) error {
	return WithLock(func() error { return configure(p, new(builtins.PatchTransformerPlugin)) })
}

// Transform applies one patch to the objects in YAML text with kustomize's own
// transformer. Objects that the patch deletes are missing from the result.
func Transform(text []byte, p types.Patch) (resources []Resource, err error) {
	err = WithLock(func() error {
		all, err := factory().NewResMapFromBytes(text)
		if err != nil {
			return err
		}
		plugin := new(builtins.PatchTransformerPlugin)
		if err := configure(p, plugin); err != nil {
			return err
		}
		if err := plugin.Transform(all); err != nil {
			return err
		}
		all.DropEmpties()
		all.RemoveBuildAnnotations()
		resources = identify(all)
		return nil
	})
	return resources, err
}

func configure(p types.Patch, plugin *builtins.PatchTransformerPlugin) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return plugin.Config(resmap.NewPluginHelpers(nil, nil, factory(), nil), data)
}

func factory() *resmap.Factory {
	return resmap.NewFactory(provider.NewDefaultDepProvider().GetResourceFactory())
}

// Origins builds a stack once more with kustomize's origin annotations and returns the
// file that each object comes from, by the string form of its ID. Where the build fails,
// the map is empty.
func Origins(ctx context.Context, f *Filesystem) map[string]string {
	files := map[string]string{}
	resources, err := Build(ctx, f)
	if err != nil {
		return files
	}
	for _, r := range resources {
		origin, err := r.GetOrigin()
		if err != nil || origin == nil {
			continue
		}
		where := origin.Path
		if where == "" {
			where = origin.ConfiguredIn
		}
		files[r.ID.String()] = strings.TrimPrefix(path.Join(f.dir, where), repoRoot+"/")
	}
	return files
}

// BlockStyle turns JSON into YAML in block style, which is how an object stands in the
// output of a build. kustomize merges empty values differently into the flow style of
// JSON.
func BlockStyle(data []byte) ([]byte, error) { return yaml.JSONToYAML(data) }

// Message is the text of a kustomize error on one line, without the directory names that
// only this package knows.
func Message(err error) string {
	text := strings.ReplaceAll(err.Error(), repoRoot+"/", "")
	text = dumpedObject.ReplaceAllString(text, "")
	text = noValue.ReplaceAllString(text, "there is nothing at $2 to $1")
	text = noPlace.ReplaceAllString(text, "there is nothing at $2 to $1")
	return strings.Join(strings.Fields(text), " ")
}

// dumpedObject is an object as kustomize's errors print it, in Go's syntax.
var dumpedObject = regexp.MustCompile(` in object \{\{.*\}`)

// What the library for JSON patches says of paths that lead to nothing.
var (
	noValue = regexp.MustCompile(`error in (remove|copy|move|test) for path: '([^']*)':.*missing value`)
	noPlace = regexp.MustCompile(`(replace|add) operation does not apply: doc is missing (?:key|path): "?([^\s":]*)"?(?:: missing value)?`)
)

// repoRoot is where the tree stands in the file system that kustomize sees. The files
// that a build adds stand beside it, where the tree cannot reach them.
const (
	repoRoot = "/repo"
	stackDir = "/stack"
	layerDir = "/cluster"
)

// kustomization is a kustomization.yaml that Tributary writes. It is written as JSON,
// which is YAML and needs no care with quotes.
type kustomization struct {
	Resources     []string      `json:"resources"`
	Components    []string      `json:"components,omitempty"`
	Patches       []types.Patch `json:"patches,omitempty"`
	BuildMetadata []string      `json:"buildMetadata,omitempty"`
}

func (k kustomization) yaml() []byte {
	data, err := json.Marshal(k)
	if err != nil {
		panic(err) // strings always marshal
	}
	return data
}

// StackFiles returns what kustomize reads to build a placement: its overlay with its
// components. metadata names the buildMetadata that kustomize adds.
func StackFiles(v *Vetting, p fleet.Placement, metadata ...string) *Filesystem {
	top := kustomization{Resources: []string{".." + path.Join(repoRoot, p.Overlay)}, BuildMetadata: metadata}
	for _, c := range p.Components {
		top.Components = append(top.Components, ".."+path.Join(repoRoot, c))
	}
	added := map[string][]byte{stackDir + "/kustomization.yaml": top.yaml()}
	return &Filesystem{Tree: v.tree, IsValid: v.IsValid, dir: stackDir, added: added}
}

// LayerFiles returns what kustomize reads to put a cluster's own resources and patches on
// top of a finished stack.
func LayerFiles(stackYAML []byte, resources []string, patches []types.Patch) *Filesystem {
	k, added := kustomization{Patches: patches}, map[string][]byte{}
	add := func(name string, data []byte) {
		k.Resources = append(k.Resources, name)
		added[path.Join(layerDir, name)] = data
	}
	if len(stackYAML) > 0 {
		add("stack.yaml", stackYAML)
	}
	for i, text := range resources {
		add("resource-"+strconv.Itoa(i)+".yaml", []byte(text))
	}
	added[layerDir+"/kustomization.yaml"] = k.yaml()
	return &Filesystem{Tree: noTree{}, dir: layerDir, added: added}
}
