package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4" // the one kustomize applies patches with
	"sigs.k8s.io/kustomize/api/builtins"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

// patch is an entry of a cluster's patches, read once for all clusters that
// have the same. Either merges or ops is set.
type patch struct {
	source fleet.Patch
	merges []merge         // strategic merge patches
	ops    jsonpatch.Patch // a JSON patch, where it is not plain
	plain  []operation     // one of such operations
	target *target         // nil where each merge names its object
	// whole is true where nothing less than a build of the cluster is known to
	// mean the same: the patch may change what an object is called.
	whole bool
}

// kustomize is the patch as kustomize has it.
func (p *patch) kustomize() types.Patch { return kustomizePatch(p.source) }

// operations are those of a JSON patch.
func (p *patch) operations() (jsonpatch.Patch, error) {
	if p.ops != nil {
		return p.ops, nil
	}
	return decodeOps(strings.TrimSpace(p.source.Patch))
}

// unusual marks text that kustomize treats in ways that the shortcuts do not
// know: aliases and merge keys, schema comments, its own annotations, which may
// hide an object from the result.
var unusual = regexp.MustCompile(`<<|[&*][\w-]|\$openapi|\$ref|config\.kubernetes\.io|config\.k8s\.io`)

// readPatch reads a patch as kustomize does.
func readPatch(p fleet.Patch, known *memo) (out *patch, err error) {
	err = besideKustomize(func() (err error) {
		out, err = parsePatch(p, known)
		return err
	})
	return out, err
}

func parsePatch(p fleet.Patch, known *memo) (*patch, error) {
	if wrong := checkYAML("patch", []byte(p.Patch)); wrong != nil {
		return nil, errors.New(wrong.Message)
	}
	out := &patch{source: p}
	text := strings.TrimSpace(p.Patch)
	out.whole = p.Options != fleet.PatchOptions{} || unusual.MatchString(text)
	resources, notMerge := newResources().RF().SliceFromBytes([]byte(text))
	if !surelyTaken(p.Target, text, len(resources), notMerge) {
		err := withKustomize(func() error { return configured(out.kustomize(), new(builtins.PatchTransformerPlugin)) })
		if err != nil {
			return nil, err
		}
	}
	if notMerge == nil && len(resources) == 0 {
		return out, nil // a comment, say; kustomize does not look at its target
	}
	var err error
	if out.target, err = targetOf(p.Target, known); err != nil {
		return nil, err
	}
	if notMerge != nil {
		return out, out.readOps(text)
	}
	if len(resources) > 1 && out.target != nil {
		return nil, errors.New("more than one patch stands under one target; give each an entry of its own")
	}
	return out, out.readMerges(resources)
}

// surelyTaken tells that kustomize's transformer would take a patch of that text, which it
// reads as resources and as operations as well, and takes where just one of them can be
// read. To ask it takes as long as all the rest, for each patch of a fleet that starts.
func surelyTaken(on *fleet.Target, text string, resources int, notMerge error) bool {
	odd := func(c rune) bool { return c > '~' || c < ' ' && c != '\n' }
	if strings.ContainsFunc(text, odd) || on != nil && strings.ContainsFunc(fmt.Sprint(*on), odd) {
		return false // they come to kustomize in a document of their own, which may not have all characters
	}
	if notMerge == nil {
		// What begins so is no list of operations.
		return resources > 0 && (text[0] == '{' || text[0] >= 'A' && text[0] <= 'Z' || text[0] >= 'a' && text[0] <= 'z')
	}
	_, err := decodeOps(text)
	return text != "" && err == nil
}

func (p *patch) readOps(text string) error {
	if p.target == nil {
		return errors.New("a JSON patch needs a target: it does not say itself what it is for")
	}
	var err error
	if p.ops, err = decodeOps(text); err != nil {
		return err
	}
	for _, op := range p.ops {
		at, err := op.Path()
		p.whole = p.whole || err != nil || renames(at)
		if from, err := op.From(); err == nil {
			p.whole = p.whole || renames(from)
		}
	}
	if p.plain = plainOperations(p.ops); p.plain != nil {
		p.ops = nil
	}
	return nil
}

func decodeOps(text string) (jsonpatch.Patch, error) {
	data := []byte(text)
	if !strings.HasPrefix(text, "[") {
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return nil, err
		}
	}
	return jsonpatch.DecodePatch(data)
}

// renames tells whether a JSON pointer leads to what an object is called, to
// annotations, which kustomize rewrites after a JSON patch, or to all of it.
func renames(pointer string) bool {
	parts := strings.Split(pointer, "/")
	if len(parts) < 2 || parts[0] != "" {
		return true
	}
	switch parts[1] {
	case "metadata":
		return len(parts) < 3 || parts[2] != "labels"
	case "kind", "apiVersion":
		return true
	}
	return strings.Contains(parts[1], "~")
}

func kustomizePatch(p fleet.Patch) types.Patch {
	out := types.Patch{Patch: p.Patch}
	if t := p.Target; t != nil {
		out.Target = &types.Selector{LabelSelector: t.LabelSelector, AnnotationSelector: t.AnnotationSelector}
		out.Target.Group, out.Target.Version, out.Target.Kind = t.Group, t.Version, t.Kind
		out.Target.Name, out.Target.Namespace = t.Name, t.Namespace
	}
	if p.Options != (fleet.PatchOptions{}) {
		out.Options = &types.PatchArgs{AllowNameChange: p.Options.AllowNameChange, AllowKindChange: p.Options.AllowKindChange}
	}
	return out
}

// configured gives a patch to kustomize's own transformer.
func configured(p types.Patch, plugin *builtins.PatchTransformerPlugin) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return plugin.Config(resmap.NewPluginHelpers(nil, nil, newResources(), nil), data)
}
