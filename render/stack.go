package render

import (
	"errors"
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/tributary-gitops/tributary/fleet"
)

// stack is the finished kustomize build of one overlay with a list of
// components. It is built once and shared by all clusters placed on it.
type stack struct {
	placement fleet.Placement
	// yaml is the build, as kustomize writes it.
	yaml []byte
	// objects are what a cluster without resources and patches of its own has:
	// the build, built once more, which is what every cluster goes through.
	objects []*object
}

// stackKey identifies a placement.
func stackKey(p fleet.Placement) string {
	return p.Overlay + "\x00" + strings.Join(p.Components, "\x00")
}

// buildStack vets and builds a placement; the stack is nil where it has a
// problem.
func (r *Repo) buildStack(p fleet.Placement) (*stack, fleet.Problems) {
	if !r.vet(p) {
		return nil, nil // told already
	}
	top := kustomization{Resources: []string{".." + path.Join(repoRoot, p.Overlay)}}
	for _, c := range p.Components {
		top.Components = append(top.Components, ".."+path.Join(repoRoot, c))
	}
	f := &filesystem{tree: r.tree, vetted: r.isVetted, added: map[string][]byte{"/stack/kustomization.yaml": top.yaml()}}
	s := &stack{placement: p}
	err := withKustomize(func() error {
		m, err := build(f, "/stack")
		if err != nil {
			return err
		}
		if s.yaml, err = m.AsYaml(); err != nil || m.Size() == 0 {
			return err
		}
		if m, err = build(layer(s.yaml, nil, nil), layerDir); err != nil {
			return err
		}
		s.objects, err = r.objects(m)
		return err
	})
	switch {
	case err == nil:
		return s, nil
	case len(f.refused) > 0:
		return nil, f.refused
	}
	return nil, fleet.Problems{{File: p.Overlay, Message: buildMessage(p, err)}}
}

func buildMessage(p fleet.Placement, err error) string {
	if len(p.Components) == 0 {
		return "kustomize build: " + plain(err)
	}
	return "kustomize build with " + strings.Join(p.Components, ", ") + ": " + plain(err)
}

const layerDir = "/cluster"

// layer is the second step of what a cluster stands for: its own resources and
// patches on top of the finished stack.
func layer(stackYAML []byte, resources []fleet.Resource, patches []types.Patch) *filesystem {
	k := kustomization{Patches: patches}
	added := map[string][]byte{}
	add := func(name string, data []byte) {
		k.Resources = append(k.Resources, name)
		added[path.Join(layerDir, name)] = data
	}
	if len(stackYAML) > 0 {
		add("stack.yaml", stackYAML)
	}
	for i, r := range resources {
		add("resource-"+strconv.Itoa(i)+".yaml", []byte(r.YAML))
	}
	added[layerDir+"/kustomization.yaml"] = k.yaml()
	return &filesystem{tree: noTree{}, added: added}
}

// vet checks the kustomizations of a placement, each once for all stacks.
func (r *Repo) vet(p fleet.Placement) bool {
	sound := r.vetting.directory(p.Overlay, entry{file: p.Overlay}, types.KustomizationKind).sound
	for _, c := range p.Components {
		sound = r.vetting.directory(c, entry{file: c}, types.ComponentKind).sound && sound
	}
	return sound
}

func (r *Repo) isVetted(dir string) bool {
	v := r.vetting.dirs[dir]
	return v != nil && v.sound
}

// find returns the place of the one object with an id.
func find(objects []*object, id resid.ResId) (int, error) {
	at := -1
	for i, o := range objects {
		if o != nil && o.id.Equals(id) {
			if at >= 0 {
				return 0, errors.New("more than one object is " + title(id))
			}
			at = i
		}
	}
	if at < 0 {
		return 0, errors.New("there is no " + id.ApiVersion() + " " + title(id) + " to patch; names are those after prefixes, suffixes and hashes of the stack")
	}
	return at, nil
}
