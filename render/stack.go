package render

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/tributary-gitops/tributary/fleet"
)

// stack is the finished kustomize build of one overlay with a list of
// components. It is built once and shared by all clusters placed on it.
type stack struct {
	placement fleet.Placement
	vetting   *vetting          // what its kustomizations were vetted by; only read from now on
	read      *trace            // what the build read
	asked     map[string]bool   // which kustomizations the build asked for, and whether they are sound
	flat      map[string]string // which of them were flattened, and to what; "" for the others
	*built

	origins sync.Once
	files   map[string]string // where objects come from, by id
}

// buildStack vets and builds a placement; the stack is nil where it has a problem.
func (r *Repo) buildStack(p fleet.Placement, v *vetting, known *knowledge) (*stack, fleet.Problems) {
	s, problems := r.vet(p, v)
	if s == nil {
		return nil, problems
	}
	return r.raise(s, known, nil)
}

// vet returns the stack of a placement as it is before it is built; nil where it must
// not be.
func (r *Repo) vet(p fleet.Placement, v *vetting) (*stack, fleet.Problems) {
	if sound, problems := v.placement(p); !sound {
		return nil, append(r.misplaced(p), problems...).Sort()
	}
	return &stack{placement: p, vetting: v, asked: map[string]bool{}, flat: map[string]string{}}, nil
}

// raise builds a stack that has been vetted, or finds that it is as it was in an earlier
// revision.
func (r *Repo) raise(s *stack, known *knowledge, earlier *stack) (*stack, fleet.Problems) {
	if earlier != nil && known.spec == r.spec && s.wouldBe(earlier) {
		s.read, s.asked, s.flat, s.built = earlier.read, earlier.asked, earlier.flat, earlier.built
		return s, nil
	}
	s.read = newTrace(s.vetting.tree)
	files := func() *filesystem {
		f := s.kustomization()
		f.tree, f.vetted = s.read, s.isSound
		return f
	}
	f, err := files(), error(nil)
	f.flattened = s.flattened
	if s.built, err = r.finish(f, known); err != nil {
		f = files()
		s.built, err = r.finish(f, known)
	}
	if err == nil {
		for n, set := range r.sets {
			s.answers = append(s.answers, r.answer(set, n, s))
		}
	}
	s.read.tree = nil
	switch {
	case err == nil:
		return s, nil
	case len(f.refused) > 0:
		return nil, f.refused
	}
	return nil, fleet.Problems{{File: s.placement.Overlay, Message: buildMessage(s.placement, err)}}
}

// isSound is the vetting's, and notes what it said.
func (s *stack) isSound(dir string) bool {
	s.asked[dir] = s.vetting.isSound(dir)
	return s.asked[dir]
}

// flattened is the vetting's, and notes what it was.
func (s *stack) flattened(dir string) string {
	s.flat[dir] = s.vetting.flattened(dir)
	return s.flat[dir]
}

// wouldBe tells whether a build of the stack would read what that of another one did.
func (s *stack) wouldBe(earlier *stack) bool {
	for dir, sound := range earlier.asked {
		if s.vetting.isSound(dir) != sound {
			return false
		}
	}
	for dir, text := range earlier.flat {
		if s.vetting.flattened(dir) != text {
			return false
		}
	}
	return earlier.read.holds(s.vetting.tree)
}

const stackDir = "/stack"

// kustomization is what kustomize sees when it builds the stack.
func (s *stack) kustomization(metadata ...string) *filesystem {
	top := kustomization{Resources: []string{".." + path.Join(repoRoot, s.placement.Overlay)}, BuildMetadata: metadata}
	for _, c := range s.placement.Components {
		top.Components = append(top.Components, ".."+path.Join(repoRoot, c))
	}
	added := map[string][]byte{stackDir + "/kustomization.yaml": top.yaml()}
	return &filesystem{tree: s.vetting.tree, vetted: s.vetting.isSound, added: added}
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
func layer(stackYAML []byte, resources []string, patches []types.Patch) *filesystem {
	k := kustomization{Patches: patches}
	added := map[string][]byte{}
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
	return &filesystem{tree: noTree{}, added: added}
}

// placement checks the kustomizations of a placement.
func (v *vetting) placement(p fleet.Placement) (sound bool, problems fleet.Problems) {
	sound, problems = v.top(p.Overlay, types.KustomizationKind)
	for _, c := range p.Components {
		well, more := v.top(c, types.ComponentKind)
		sound, problems = sound && well, append(problems, more...)
	}
	return sound, problems
}

func (v *vetting) top(dir, kind string) (sound bool, problems fleet.Problems) {
	dir, err := followLinks(v.tree, dir)
	if err != nil {
		return false, nil // told where fleet.yaml, the cluster file or a delta names it
	}
	if info, err := fs.Stat(v.tree, dir); err != nil || !info.IsDir() {
		return false, nil // told there as well
	}
	told := len(v.problems)
	found := v.directory(dir, entry{file: dir}, kind)
	return found.sound, slices.Concat(found.problems, v.problems[told:])
}

func (v *vetting) isSound(dir string) bool {
	known := v.dirs[dir]
	return known != nil && known.sound
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
