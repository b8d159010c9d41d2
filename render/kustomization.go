package render

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
)

// maxSteps bounds what one stack makes kustomize do: kustomizations, and what
// each goes through all objects for, repetitions included. Twenty overlays that
// each name the next one twice are a million.
const maxSteps = 5_000

func isKustomization(base string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), base)
}

// vetting walks the kustomizations of a tree before kustomize does. It refuses
// what would reach out of the tree or change later builds, and tells all that
// does not exist at once, with file and line. A directory is vetted once.
type vetting struct {
	tree     fs.FS
	dirs     map[string]*vetted
	walking  []string
	found    int // how many problems there are, be they told or not
	problems fleet.Problems
}

func newVetting(tree fs.FS) *vetting { return &vetting{tree: tree, dirs: map[string]*vetted{}} }

type vetted struct {
	kind  string // Kustomization or Component
	sound bool
	steps int
	// files are all that it stands for, where it does nothing but name resources, and
	// flat tells that, and that some of them are directories.
	files []string
	plain bool
	flat  bool
	// problems are its own and those of all that it leads to.
	problems fleet.Problems
}

// add takes in what an entry leads to; nil for a file.
func (v *vetted) add(next *vetted) {
	if next != nil {
		v.steps += next.steps
		v.sound = v.sound && next.sound
		v.include(next)
		v.problems = append(v.problems, next.problems...)
	}
}

// entry is a line of a kustomization that leads somewhere.
type entry struct {
	file, field, value string
	line               int
}

// subject names a directory that an entry leads to, where the entry does not.
func (e entry) subject(dir string) string {
	if e.value == "" {
		return "the directory"
	}
	return dir
}

func (v *vetting) problem(e entry, format string, args ...any) {
	v.note(fleet.Problem{File: e.file, Line: e.line, Field: e.field, Message: fmt.Sprintf(format, args...)})
}

func (v *vetting) note(p fleet.Problem) {
	v.found++
	if len(v.problems) < maxProblems {
		v.problems = append(v.problems, p)
	}
}

// directory vets a kustomization and all that it leads to. The entry is what
// led here, kind what it expects.
func (v *vetting) directory(dir string, from entry, kind string) *vetted {
	if slices.Contains(v.walking, dir) {
		v.problem(from, "goes in a circle: %s", strings.Join(append(v.walking, dir), " → "))
		return &vetted{kind: kind}
	}
	known, ok := v.dirs[dir]
	if !ok {
		v.walking = append(v.walking, dir)
		known = v.visit(dir, from)
		v.walking = v.walking[:len(v.walking)-1]
		v.dirs[dir] = known
	}
	if known.sound && known.kind != kind {
		v.problem(from, "%s is a %s and must be a %s to be used so", from.subject(dir), known.kind, kind)
		return &vetted{kind: kind}
	}
	return known
}

func (v *vetting) visit(dir string, from entry) *vetted {
	before, told := v.found, len(v.problems)
	file, k, root := v.load(dir, from)
	if k == nil {
		return &vetted{problems: slices.Clone(v.problems[told:])}
	}
	out := &vetted{kind: k.Kind, steps: steps(k)}
	at := func(field, value string) entry {
		return entry{file: file, field: field, value: value, line: lineOf(root, field, value)}
	}
	v.refuseFields(k, at)
	out.sound, out.plain = true, namesResources(k)
	for _, p := range k.Resources {
		out.add(v.leadsTo(dir, at("resources", p), types.KustomizationKind))
	}
	for _, p := range k.Components {
		out.add(v.leadsTo(dir, at("components", p), types.ComponentKind))
	}
	v.files(dir, k, at)
	v.plugins(dir, k, at)
	if out.sound && out.steps > maxSteps {
		v.problem(entry{file: file}, "leads to more than %d builds, patches and generators; is the same base included many times?", maxSteps)
	}
	out.sound = out.sound && v.found == before
	out.problems = append(out.problems, v.problems[told:]...).Sort()
	return out
}

func steps(k *types.Kustomization) int {
	return 1 + len(k.Patches) + len(k.PatchesStrategicMerge) + len(k.PatchesJson6902) + len(k.Replacements) +
		len(k.ConfigMapGenerator) + len(k.SecretGenerator) + len(k.Generators) + len(k.Transformers) + len(k.Validators) +
		len(k.Images) + len(k.Replicas) + len(k.Labels) + len(k.Vars) + len(k.Configurations) + len(k.Crds)
}

// load reads the kustomization file of a directory the way kustomize does.
func (v *vetting) load(dir string, from entry) (string, *types.Kustomization, *yaml.Node) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if info, err := fs.Stat(v.tree, path.Join(dir, name)); err == nil && !info.IsDir() {
			found = append(found, path.Join(dir, name))
		}
	}
	if len(found) != 1 {
		v.problem(from, "%s must have one kustomization.yaml, has %d", from.subject(dir), len(found))
		return "", nil, nil
	}
	file := found[0]
	data, err := readBounded(v.tree, file)
	if err != nil {
		v.problem(entry{file: file}, "%s", missing(err, "is it a link?"))
		return "", nil, nil
	}
	if p := checkYAML(file, data); p != nil {
		v.note(*p)
		return "", nil, nil
	}
	var root yaml.Node
	var k types.Kustomization
	if err := yaml.Unmarshal(data, &root); err != nil {
		v.note(yamlProblem(file, err))
		return "", nil, nil
	}
	if err := k.Unmarshal(data); err != nil {
		e := entry{file: file}
		if _, field, ok := strings.Cut(err.Error(), "unknown field "); ok {
			e.line = lineOf(&root, strings.Trim(field, `"`), "")
		}
		v.problem(e, "%s", err)
		return "", nil, nil
	}
	k.FixKustomization()
	return file, &k, &root
}

// refuseFields refuses what would leave the tree or outlive the build.
func (v *vetting) refuseFields(k *types.Kustomization, at func(field, value string) entry) {
	if len(k.OpenAPI) > 0 {
		v.problem(at("openapi", ""), "is not supported: kustomize would keep the schema for every later build")
	}
	if len(k.HelmCharts) > 0 || k.HelmGlobals != nil || len(k.HelmChartInflationGenerator) > 0 {
		v.problem(at("helmCharts", ""), "Helm is not run here: it would reach the network; describe the release in an object and let Flux install it")
	}
}

// leadsTo vets an entry of resources or components; nil for a file.
func (v *vetting) leadsTo(dir string, e entry, kind string) *vetted {
	clean, info := v.local(dir, e)
	switch {
	case info == nil:
		return &vetted{}
	case info.IsDir():
		return v.directory(clean, e, kind)
	case kind == types.ComponentKind:
		v.problem(e, "%s is a file; a component is a directory with a kustomization.yaml", e.value)
	default:
		v.notCut(clean, e)
		return &vetted{sound: true, plain: true, files: []string{clean}}
	}
	return nil
}

// notCut refuses an empty file of resources. kustomize takes it for no object at
// all, but it is what a file looks like that is about to be written, or that a
// full disk has cut: the objects would be gone, and deleted.
func (v *vetting) notCut(clean string, e entry) {
	data, err := readBounded(v.tree, clean)
	if err == nil && len(bytes.TrimSpace(data)) == 0 {
		v.problem(e, "%s is empty; remove the entry if that is meant", e.value)
	}
}

// local returns the path in the tree that an entry leads to; the info is nil
// where there is none, and the problem noted.
func (v *vetting) local(dir string, e entry) (string, fs.FileInfo) {
	clean, inside := inTree(dir, e.value)
	switch {
	case isRemote(e.value):
		v.problem(e, "%s is remote; only files of the fleet repo are read: copy it there", redact(e.value))
		return "", nil
	case !inside:
		v.problem(e, "%s leads out of the fleet repo", e.value)
		return "", nil
	}
	clean, err := followLinks(v.tree, clean)
	if err == nil {
		var info fs.FileInfo
		if info, err = fs.Stat(v.tree, clean); err == nil {
			return clean, info
		}
	}
	v.problem(e, "%s: %s", e.value, missing(err, "the path is relative to "+dir))
	return "", nil
}

// file vets an entry that must be a file.
func (v *vetting) file(dir string, e entry) (string, bool) {
	clean, info := v.local(dir, e)
	if info != nil && info.IsDir() {
		v.problem(e, "%s is a directory and must be a file", e.value)
	}
	return clean, info != nil && !info.IsDir()
}

// files vets every other field that names files.
func (v *vetting) files(dir string, k *types.Kustomization, at func(field, value string) entry) {
	named := map[string][]string{"configurations": k.Configurations, "crds": k.Crds}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		named["patches"] = append(named["patches"], p.Path)
	}
	for _, r := range k.Replacements {
		named["replacements"] = append(named["replacements"], r.Path)
	}
	for _, p := range k.PatchesStrategicMerge {
		if !strings.Contains(string(p), "\n") && !strings.HasPrefix(string(p), "{") { // else it is the patch itself
			named["patchesStrategicMerge"] = append(named["patchesStrategicMerge"], string(p))
		}
	}
	for _, g := range k.ConfigMapGenerator {
		named["configMapGenerator"] = append(named["configMapGenerator"], sources(g.KvPairSources)...)
	}
	for _, g := range k.SecretGenerator {
		named["secretGenerator"] = append(named["secretGenerator"], sources(g.KvPairSources)...)
	}
	for field, paths := range named {
		for _, p := range paths {
			if p != "" {
				v.file(dir, at(field, p))
			}
		}
	}
}

func sources(s types.KvPairSources) []string {
	out := append(slices.Clone(s.EnvSources), s.EnvSource)
	for _, file := range s.FileSources {
		if _, value, named := strings.Cut(file, "="); named {
			file = value
		}
		out = append(out, file)
	}
	return out
}

// lineOf returns the line of the value under a key of the root, or of the key,
// or 0.
func lineOf(root *yaml.Node, field, value string) int {
	if root == nil || len(root.Content) == 0 {
		return 0
	}
	top := root.Content[0]
	for i := 0; i+1 < len(top.Content); i += 2 {
		if strings.EqualFold(top.Content[i].Value, field) {
			if line := lineWithin(top.Content[i+1], value); value != "" && line > 0 {
				return line
			}
			return top.Content[i].Line
		}
	}
	return 0
}

func lineWithin(n *yaml.Node, value string) int {
	if n.Kind == yaml.ScalarNode && (n.Value == value || strings.HasSuffix(n.Value, "="+value)) {
		return n.Line
	}
	for _, child := range n.Content {
		if line := lineWithin(child, value); line > 0 {
			return line
		}
	}
	return 0
}
