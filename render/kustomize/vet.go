package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/internal/nearest"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// maxSteps limits the work of one stack: its kustomizations, and everything in them that
// makes kustomize go through all objects, repetitions included. Twenty overlays that each
// name the next one twice would be a million.
const maxSteps = 5_000

// IsKustomization reports whether kustomize takes a file of that name for a
// kustomization.
func IsKustomization(base string) bool {
	return slices.Contains(konfig.RecognizedKustomizationFileNames(), base)
}

// Vetting walks the kustomizations of a tree before kustomize does. It refuses what would
// leave the tree or change later builds, and reports everything that does not exist at
// once, with file and line. Each directory is vetted once.
//
// Placement adds to a Vetting and must not run concurrently. Its other methods only read.
type Vetting struct {
	tree fs.FS
	dirs map[string]*vettedDir
	// path has the directories from the top down to the one that is being vetted, and named
	// what leads to each.
	path  []string
	named []reference
	// overlays are those of the placements. A base that leads to one of them is probably the
	// mistake in a cycle.
	overlays   map[string]bool
	configured int // documents that configure plugins
	// found counts all problems; problems has the first yamltext.MaxProblems of them.
	found    int
	problems fleet.Problems
}

// NewVetting returns a Vetting of a tree. It takes the overlays that clusters are placed on.
func NewVetting(tree fs.FS, overlays ...string) *Vetting {
	v := &Vetting{tree: tree, dirs: map[string]*vettedDir{}, overlays: map[string]bool{}}
	for _, dir := range overlays {
		v.overlays[dir] = true
	}
	return v
}

// vettedDir is the kustomization of a directory and all that it leads to.
type vettedDir struct {
	dir   string // "" for a file that an entry names
	file  string // the kustomization
	kind  string // Kustomization or Component
	valid bool
	steps int
	// plain reports that the kustomization, like all that it leads to, does nothing but
	// name resources, and names directories only below its own. files are then all files it
	// leads to, and flat reports that some of them are in directories that it names.
	plain bool
	files []string
	flat  bool
	leads []*vettedDir // of each entry of resources and components
	load  load
	// targets are what its patches and replacements select.
	targets []Target
	// problems are its own and those of all that it leads to.
	problems fleet.Problems
}

// Placement vets the overlay and the components of a placement. It reports whether they
// may be built, with the problems of all kustomizations that they lead to. named returns the
// file, line and field that name a directory as an overlay or component. The placement may be invalid without a problem:
// whoever names a directory that does not exist has to report that.
func (v *Vetting) Placement(p fleet.Placement, named func(dir, kind string) fleet.Problem) (valid bool, problems fleet.Problems) {
	v.path, v.named = nil, nil // a panic may have left something
	overlay, valid, problems := v.top(p.Overlay, types.KustomizationKind, named)
	all := &vettedDir{dir: p.Overlay, leads: []*vettedDir{overlay}}
	for _, c := range p.Components {
		component, ok, more := v.top(c, types.ComponentKind, named)
		valid, problems = valid && ok, append(problems, more...)
		all.leads = append(all.leads, component)
	}
	if before, found := len(v.problems), v.found; valid {
		v.weigh(all)
		v.checkWork(all, p.Overlay)
		problems = append(problems, v.problems[before:]...)
		valid = v.found == found
	}
	return valid, problems
}

func (v *Vetting) top(dir, kind string, named func(dir, kind string) fleet.Problem) (found *vettedDir, valid bool, problems fleet.Problems) {
	by := named(dir, kind)
	dir, err := followLinks(v.tree, dir)
	if err != nil {
		return nil, false, nil
	}
	if info, err := fs.Stat(v.tree, dir); err != nil || !info.IsDir() {
		return nil, false, nil
	}
	before := len(v.problems)
	found = v.directory(dir, reference{file: by.File, line: by.Line, field: by.Field}, kind)
	return found, found.valid, slices.Concat(found.problems, v.problems[before:])
}

// IsValid reports whether a directory was vetted without a problem.
func (v *Vetting) IsValid(dir string) bool {
	known := v.dirs[dir]
	return known != nil && known.valid
}

// Flattened returns a kustomization that names all files that a directory leads to; ""
// for a directory that must be read as it is written.
//
// A base is often a directory of directories, one for each component, whose
// kustomizations do nothing but name files. kustomize treats each of them as a target
// with a configuration to merge, which takes as long as reading the objects. Without
// transformers, generators or anything else on the way, one kustomization that names all
// files in the same order means the same. Directories below the one that names them can
// form no cycle that kustomize would refuse. Where such a build fails, repeat it
// unflattened, so that messages have the names that the author knows.
func (v *Vetting) Flattened(dir string) string {
	known := v.dirs[dir]
	if known == nil || !known.valid || !known.plain || !known.flat {
		return ""
	}
	var k kustomization
	for _, file := range known.files {
		relative, err := filepath.Rel(dir, file)
		if relative = filepath.ToSlash(relative); err != nil || isRemote(relative) {
			return ""
		}
		k.Resources = append(k.Resources, relative)
	}
	return string(k.yaml())
}

// reference is an entry of a kustomization that names a file or a directory.
type reference struct {
	file, field, value string
	line               int
	// isFile reports that kustomize takes the value for a file or a URL of one, and never
	// for a Git repository.
	isFile bool
}

// isRemote reports whether kustomize might download or clone the value.
func (r reference) isRemote() bool {
	if r.isFile {
		return isRemoteFile(r.value)
	}
	return isRemote(r.value)
}

func (v *Vetting) problem(r reference, format string, args ...any) {
	v.report(fleet.Problem{File: r.file, Line: r.line, Field: r.field, Message: fmt.Sprintf(format, args...)})
}

// warning notes what does not keep the kustomization from being built.
func (v *Vetting) warning(r reference, format string, args ...any) {
	if len(v.problems) < yamltext.MaxProblems {
		v.problems = append(v.problems, fleet.Problem{File: r.file, Line: r.line, Field: r.field, Message: fmt.Sprintf(format, args...), Warning: true})
	}
}

func (v *Vetting) report(p fleet.Problem) {
	v.found++
	if len(v.problems) < yamltext.MaxProblems {
		v.problems = append(v.problems, p)
	}
}

// directory vets the kustomization of a directory and all that it leads to. from is the
// reference that leads here, and kind the kind that it needs.
func (v *Vetting) directory(dir string, from reference, kind string) *vettedDir {
	if at := slices.Index(v.path, dir); at >= 0 {
		v.cycle(append(slices.Clone(v.path[at:]), dir), append(slices.Clone(v.named[at:]), from))
		return &vettedDir{kind: kind}
	}
	known, ok := v.dirs[dir]
	if !ok {
		v.path, v.named = append(v.path, dir), append(v.named, from)
		known = v.visit(dir, from)
		v.path, v.named = v.path[:len(v.path)-1], v.named[:len(v.named)-1]
		v.dirs[dir] = known
	}
	if known.valid && known.kind != kind {
		v.problem(from, "%s is a %s and must be a %s to be used here; %s", dir, known.kind, kind, adviceOnKind(from, kind))
		return &vettedDir{kind: kind}
	}
	return known
}

func adviceOnKind(from reference, kind string) string {
	become := "write apiVersion: " + types.ComponentVersion + " and kind: Component there"
	switch {
	case kind == types.KustomizationKind && from.field == "resources":
		return "name it under components"
	case kind == types.KustomizationKind:
		return "name an overlay"
	case from.field == "components":
		return "name it under resources, or " + become
	}
	return become
}

// cycle reports directories that lead from one to the next and back to the first. named has
// the reference that leads to each: it is longer by the one that leads to the first.
func (v *Vetting) cycle(dirs []string, named []reference) {
	blamed := named[len(named)-1]
	for i, dir := range dirs[1:] {
		if v.overlays[dir] {
			blamed = named[i+1]
		}
	}
	v.problem(blamed, "includes itself: %s; remove one of these entries", strings.Join(dirs, " → "))
}

func (v *Vetting) visit(dir string, from reference) *vettedDir {
	foundBefore, before := v.found, len(v.problems)
	file, k, root := v.load(dir, from)
	if k == nil {
		return &vettedDir{problems: slices.Clone(v.problems[before:])}
	}
	out := &vettedDir{dir: dir, file: file, kind: k.Kind, valid: true, steps: countSteps(k), plain: onlyNamesResources(k)}
	at := func(field, value string) reference {
		return reference{file: file, field: field, value: value, line: lineOf(root, field, value)}
	}
	v.refuseFields(k, at)
	v.checkPatterns(file, 0, root, false)
	v.deprecatedFields(file, root)
	for _, p := range k.Resources {
		out.add(v.resource(dir, at("resources", p), types.KustomizationKind))
	}
	for _, p := range k.Components {
		out.add(v.resource(dir, at("components", p), types.ComponentKind))
	}
	v.otherFiles(dir, k, at)
	out.load = v.ownLoad(dir, k)
	plugins := v.configured
	v.plugins(dir, k, at)
	for range v.configured - plugins {
		out.load.patches = append(out.load.patches, selection{}) // it may select all
		out.load.changes = true
	}
	v.weigh(out)
	v.checkWork(out, file)
	out.targets = targets(k, at)
	if out.valid && out.steps > maxSteps {
		v.problem(reference{file: file}, "leads to more than %d builds, patches and generators; does it include the same base many times?", maxSteps)
	}
	out.valid = out.valid && v.found == foundBefore
	out.problems = append(out.problems, v.problems[before:]...).Sort()
	return out
}

// add counts what an entry leads to as part of the directory; nil for nothing.
func (d *vettedDir) add(next *vettedDir) {
	if next == nil {
		return
	}
	d.leads = append(d.leads, next)
	d.steps += next.steps
	d.valid = d.valid && next.valid
	d.problems = append(d.problems, next.problems...)
	down := next.dir == "" || strings.HasPrefix(next.dir, d.dir+"/") || d.dir == "."
	d.plain = d.plain && next.plain && down && len(d.files)+len(next.files) <= maxObjects
	if !d.plain {
		d.files = nil // repetitions could make it millions
		return
	}
	d.files = append(d.files, next.files...)
	d.flat = d.flat || next.dir != ""
}

func countSteps(k *types.Kustomization) int {
	return 1 + len(k.Patches) + len(k.PatchesStrategicMerge) + len(k.PatchesJson6902) + len(k.Replacements) +
		len(k.ConfigMapGenerator) + len(k.SecretGenerator) + len(k.Generators) + len(k.Transformers) + len(k.Validators) +
		len(k.Images) + len(k.Replicas) + len(k.Labels) + len(k.Vars) + len(k.Configurations) + len(k.Crds)
}

func onlyNamesResources(k *types.Kustomization) bool {
	rest := *k
	rest.TypeMeta, rest.Resources = types.TypeMeta{}, nil
	return k.Kind == types.KustomizationKind && len(k.Resources) > 0 && reflect.DeepEqual(rest, types.Kustomization{})
}

// load reads the kustomization of a directory the way kustomize does.
func (v *Vetting) load(dir string, from reference) (string, *types.Kustomization, *yaml.Node) {
	var found []string
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		info, err := fs.Stat(v.tree, path.Join(dir, name))
		if err == nil && !info.IsDir() || err != nil && !errors.Is(err, fs.ErrNotExist) {
			found = append(found, path.Join(dir, name))
		}
	}
	switch {
	case len(found) == 0:
		v.withoutKustomization(dir, from)
		return "", nil, nil
	case len(found) > 1:
		v.problem(reference{file: found[1], line: 1}, "is in one directory with %s, and kustomize accepts only one of the two; merge them", found[0])
		return "", nil, nil
	}
	file := found[0]
	data, err := ReadFile(v.tree, file)
	if err != nil {
		v.problem(reference{file: file}, "%s", UnreadableFile(file, err, "is it a link?").Message)
		return "", nil, nil
	}
	root, problems := parseStrictly(file, data)
	if problems != nil {
		for _, p := range problems {
			v.report(p)
		}
		return "", nil, nil
	}
	var k types.Kustomization
	if err := k.Unmarshal(data); err != nil {
		v.report(decodingProblem(file, root, err))
		return "", nil, nil
	}
	k.FixKustomization()
	if p := checkType(file, root, &k); p != nil {
		v.report(*p)
		return "", nil, nil
	}
	return file, &k, root
}

// withoutKustomization reports a directory that must have a kustomization and has none.
func (v *Vetting) withoutKustomization(dir string, from reference) {
	var names []string
	entries, _ := fs.ReadDir(v.tree, dir) // it exists
	for _, e := range entries {
		name := e.Name()
		stem := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), ".yml"), ".yaml")
		if near, _ := nearest.Name(stem, []string{"kustomization"}); near != "" && !e.IsDir() {
			v.problem(reference{file: path.Join(dir, name), line: 1}, "is not read, because kustomize knows only the name kustomization.yaml; rename it")
			return
		}
		if !e.IsDir() {
			names = append(names, name)
		}
	}
	switch {
	case slices.Contains(names, "Chart.yaml"):
		v.problem(from, "%s is a Helm chart, and Helm is not run here; describe the release in an object and let Flux install it", dir)
	case from.field == "resources":
		v.problem(from, "%s has no kustomization.yaml; add one that names its files, or name the files here", dir)
	default:
		v.problem(from, "%s has no kustomization.yaml; name a directory that has one", dir)
	}
}

// refuseFields refuses fields that would leave the tree or outlive the build.
func (v *Vetting) refuseFields(k *types.Kustomization, at func(field, value string) reference) {
	if len(k.OpenAPI) > 0 {
		v.problem(at("openapi", ""), "is not supported, because kustomize would keep the schema for every later build; "+
			"to change a list of a kind that kustomize does not know, use a JSON patch (patches[].patch with op and path)")
	}
	if len(k.HelmCharts) > 0 || k.HelmGlobals != nil || len(k.HelmChartInflationGenerator) > 0 {
		v.problem(at("helmCharts", ""), "Helm is not run here, because it would reach the network; describe the release in an object and let Flux install it")
	}
}

// deprecatedFields warns of the fields that kustomize itself warns of.
func (v *Vetting) deprecatedFields(file string, root *yaml.Node) {
	for _, d := range []struct{ field, instead string }{
		{"bases", "resources"},
		{"commonLabels", "labels, with includeSelectors: true where selectors need them"},
		{"imageTags", "images"},
		{"patchesJson6902", "patches"},
		{"patchesStrategicMerge", "patches"},
		{"vars", "replacements"},
	} {
		if line := lineOf(root, d.field, ""); line > 0 {
			v.warning(reference{file: file, field: d.field, line: line}, "is deprecated in kustomize; use %s", d.instead)
		}
	}
}

// resource vets an entry of resources or components; nil for a file where a component
// must be.
func (v *Vetting) resource(dir string, r reference, kind string) *vettedDir {
	clean, info := v.locate(dir, r)
	switch {
	case info == nil:
		return &vettedDir{}
	case info.IsDir():
		return v.directory(clean, r, kind)
	case IsKustomization(path.Base(clean)) && r.field == "resources":
		v.problem(r, "%s is a kustomization; name its directory, unless that is this one", r.value)
		return &vettedDir{}
	case kind == types.ComponentKind:
		v.problem(r, "%s is a file; a component is a directory with a kustomization.yaml", r.value)
		return nil
	}
	// kustomize reads an empty file as no objects, and so one that holds none. But a file
	// also looks like that when it is about to be written, or when a full disk has cut it
	// off, and then its objects would be deleted.
	data, err := ReadFile(v.tree, clean)
	switch {
	case err != nil: // the build reports it
	case len(bytes.TrimSpace(data)) == 0:
		v.problem(r, "%s is empty; if that is intended, remove the entry", r.value)
	case yamltext.HoldsNoObject(data) && yamltext.IsRemark(data):
		v.warning(r, "%s holds no object, only comments", r.value)
	case yamltext.HoldsNoObject(data):
		v.problem(r, "%s holds no object; if that is intended, remove the entry", r.value)
	}
	return &vettedDir{valid: true, plain: true, files: []string{clean}, load: fileLoad(data)}
}

// locate returns the path in the tree that a reference leads to. If there is none, it
// reports the problem and the info is nil.
func (v *Vetting) locate(dir string, r reference) (string, fs.FileInfo) {
	clean, inside := InTree(dir, r.value)
	switch {
	case r.isRemote():
		_, err := fs.Stat(v.tree, clean)
		if inside && err == nil {
			v.problem(r, "%s is a URL to kustomize, and a path of the fleet repo; write ./%[1]s for the path", r.value)
			return "", nil
		}
		v.problem(r, "%s is remote, and only files of the fleet repo are read; copy it there", redact(r.value))
		return "", nil
	case strings.Contains(r.value, " - ../"):
		v.problem(r, twoEntries, r.value)
		return "", nil
	case !inside:
		v.problem(r, "%s leads out of the fleet repo", r.value)
		return "", nil
	}
	real, err := followLinks(v.tree, clean)
	if err == nil {
		clean = real
		var info fs.FileInfo
		if info, err = fs.Stat(v.tree, clean); err == nil && info.IsDir() && isAmbiguous(r.value) {
			v.problem(r, twoEntries, r.value)
			return "", nil
		}
		if err == nil {
			return clean, info
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint := "the path is relative to " + dir
		if r.field == "resources" && path.Ext(r.value) == "" {
			hint += ", and Git submodules are not fetched"
		}
		v.problem(r, "%s: %s", r.value, absent(v.tree, dir, r.value, hint))
	case leadsAway(v.tree, clean):
		v.problem(r, "%s: %s", r.value, Unreadable(err, ""))
	default:
		v.report(UnreadableFile(clean, err, ""))
	}
	return "", nil
}

// leadsAway reports whether the links of a path cannot be followed.
func leadsAway(tree fs.FS, name string) bool {
	_, err := followLinks(tree, name)
	return err != nil
}

const twoEntries = "%q is read as one path, and cleaning it would drop a part; are these two entries, with the second indented too far?"

// isAmbiguous reports whether kustomize refuses a path to a directory, because a part has
// ".." in it and is not "..": in "../base - ../shared", two entries of a list have become
// one text.
func isAmbiguous(p string) bool {
	for part := range strings.SplitSeq(p, "/") {
		if part != ".." && strings.Contains(part, "..") {
			return true
		}
	}
	return false
}

// regularFile vets a reference that must lead to a file.
func (v *Vetting) regularFile(dir string, r reference) (string, bool) {
	clean, info := v.locate(dir, r)
	if info != nil && info.IsDir() {
		v.problem(r, "%s is a directory and must be a file", r.value)
	}
	return clean, info != nil && !info.IsDir()
}

// otherFiles vets every field except resources and components that names files.
func (v *Vetting) otherFiles(dir string, k *types.Kustomization, at func(field, value string) reference) {
	named := map[string][]string{"configurations": k.Configurations, "crds": k.Crds}
	for _, p := range slices.Concat(k.Patches, k.PatchesJson6902) {
		named["patches"] = append(named["patches"], p.Path)
		if wrong := yamltext.CheckShape(p.Patch); wrong != "" {
			v.problem(at("patches", p.Patch), "%s", wrong)
		}
	}
	for _, r := range k.Replacements {
		named["replacements"] = append(named["replacements"], r.Path)
	}
	for _, p := range k.PatchesStrategicMerge {
		if !strings.Contains(string(p), "\n") && !strings.HasPrefix(string(p), "{") { // otherwise it is the patch itself
			named["patchesStrategicMerge"] = append(named["patchesStrategicMerge"], string(p))
		}
	}
	for _, g := range k.ConfigMapGenerator {
		named["configMapGenerator"] = append(named["configMapGenerator"], generatorFiles(g.KvPairSources)...)
	}
	for _, g := range k.SecretGenerator {
		named["secretGenerator"] = append(named["secretGenerator"], generatorFiles(g.KvPairSources)...)
	}
	for field, paths := range named {
		for _, p := range paths {
			if p == "" {
				continue
			}
			r := at(field, p)
			r.isFile = true
			clean, ok := v.regularFile(dir, r)
			if ok && field == "replacements" {
				v.replacementFile(clean)
			}
		}
	}
}

// replacementFile vets a file of replacements.
func (v *Vetting) replacementFile(file string) {
	data, err := ReadFile(v.tree, file)
	if err != nil {
		v.problem(reference{file: file}, "%s", UnreadableFile(file, err, "").Message)
		return
	}
	if p := yamltext.Check(file, data); p != nil {
		v.report(*p)
		return
	}
	var root yaml.Node
	if yaml.Unmarshal(data, &root) == nil { // kustomize reports the rest
		v.checkPatterns(file, 0, &root, false)
	}
}

func generatorFiles(s types.KvPairSources) []string {
	out := append(slices.Clone(s.EnvSources), s.EnvSource)
	for _, file := range s.FileSources {
		if _, value, named := strings.Cut(file, "="); named {
			file = value
		}
		out = append(out, file)
	}
	return out
}

// lineOf returns the line of a value under a top-level key, or of the key if the value is
// not found, or 0.
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
