package fleetrepo

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/konfig"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

const (
	clustersDir = "clusters"
	// maxParts limits the resources and patches of one document. Honest ones have a
	// handful; each costs a search through all objects.
	maxParts = 500
	// maxShared is how many label sets and targets are remembered.
	maxShared = 50_000
)

// Clusters are all cluster files of a tree. It is immutable.
type Clusters struct {
	// All are the clusters without a problem, sorted by name.
	All      []*fleet.Cluster
	Problems fleet.Problems
	// Broken are the clusters whose documents have a problem, by name.
	Broken map[string]fleet.Problem
	// Unread are the files and folders that declare clusters whose names cannot be read.
	Unread map[string]fleet.Problem

	files  map[string]*clusterFile // by name
	shared *sharedValues
}

// ReadClusters reads all cluster files. Those that have not changed since the earlier
// revision are not parsed again; nil for none.
func ReadClusters(tree fs.FS, earlier *Clusters) *Clusters {
	out := &Clusters{Unread: map[string]fleet.Problem{}, files: map[string]*clusterFile{}}
	if earlier == nil {
		earlier = &Clusters{shared: newSharedValues()}
	}
	out.shared = earlier.shared
	var files []*clusterFile
	out.Problems = eachYAML(tree, clustersDir, func(name string, entry fs.DirEntry) fleet.Problems {
		f, content := earlier.files[name], contentOf(entry)
		if f == nil || !f.selfContained || f.content == (fleet.Content{}) || f.content != content {
			f = &clusterFile{name: name, content: content}
		}
		files = append(files, f)
		return nil
	})
	for _, p := range out.Problems { // the walk came no further
		out.Unread[p.File] = p
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0)) // a large fleet has thousands of files
	for _, f := range files {
		if before := earlier.files[f.name]; before != f {
			group.Go(func() error {
				f.read(tree, before, out.shared)
				return nil
			})
		}
	}
	_ = group.Wait() // the files have their problems
	all, others := make([]*declared, 0, len(files)), []string(nil)
	for _, f := range files {
		out.files[f.name] = f
		all, out.Problems = append(all, f.clusters...), append(out.Problems, f.problems...)
		if f.nameless != nil {
			out.Unread[f.name] = *f.nameless
		}
		if f.others > 0 {
			others = append(others, f.name)
		}
	}
	if len(others) > 0 {
		out.Problems = append(out.Problems, othersWarning(others))
	}
	slices.SortStableFunc(all, func(a, b *declared) int { return strings.Compare(a.Name, b.Name) })
	clashing, more := findClashes(all)
	out.Problems = append(out.Problems, more...)
	out.separate(all, clashing)
	return out
}

// othersWarning is the one warning of all files with documents of other kinds.
func othersWarning(files []string) fleet.Problem {
	message := "has objects that are no clusters; they are skipped"
	if n := len(files) - 1; n > 0 {
		message += fmt.Sprintf("; so do other files of %s/: %d", clustersDir, n)
	}
	return fleet.Problem{File: files[0], Message: message, Warning: true}
}

// separate sorts clusters into those without a problem and those with one.
func (c *Clusters) separate(all []*declared, clashing map[*declared]*fleet.Problem) {
	c.All = make([]*fleet.Cluster, 0, len(all))
	c.Broken = map[string]fleet.Problem{}
	for _, d := range all {
		_, known := c.Broken[d.Name]
		switch fault := cmp.Or(d.fault, clashing[d]); {
		case fault == nil:
			c.All = append(c.All, d.Cluster)
		case d.Name != "" && !known:
			c.Broken[d.Name] = *fault
		}
	}
}

// findClashes returns the clusters whose name or dns another document has, too, with the
// reason. None of them is served: a poll could mean either, and a new file must not take
// the name of an existing cluster. all is sorted by name.
func findClashes(all []*declared) (of map[*declared]*fleet.Problem, problems fleet.Problems) {
	if areDistinct(all) {
		return nil, nil
	}
	byName, byDNS := make(map[string]*declared, len(all)), make(map[string]*declared, len(all))
	of = map[*declared]*fleet.Problem{}
	clash := func(c, first *declared, field, value string) {
		by := "a cluster"
		if first.Name != "" {
			by = fmt.Sprintf("cluster %q", first.Name)
		}
		p := fleet.Problem{File: c.File, Line: c.line(field), Field: field, Message: fmt.Sprintf(
			"%q is already used by %s in %s:%d; each cluster needs its own", value, by, first.File, first.line(field))}
		of[c], of[first] = cmp.Or(of[c], &p), cmp.Or(of[first], &p)
		problems = append(problems, p)
	}
	for _, c := range all {
		if first, taken := byName[c.Name]; taken && c.Name != "" {
			clash(c, first, "metadata.name", c.Name)
		} else {
			byName[c.Name] = c
		}
		if first, taken := byDNS[c.DNS]; !taken {
			byDNS[c.DNS] = c
		} else if c.DNS != "" && c.Name != first.Name { // else the name is reported already
			clash(c, first, "spec.dns", c.DNS)
		}
	}
	return of, problems
}

// areDistinct reports whether no two clusters, sorted by name, have the same name or dns.
// It compares hashes of the dns: each commit checks the whole fleet, and maps of all
// names would be a tenth of its cost.
func areDistinct(all []*declared) bool {
	seed, hashes := maphash.MakeSeed(), make([]uint64, 0, len(all))
	for i, c := range all {
		if i > 0 && c.Name == all[i-1].Name {
			return false
		}
		if c.DNS != "" {
			hashes = append(hashes, maphash.String(seed, c.DNS))
		}
	}
	slices.Sort(hashes)
	return len(slices.Compact(hashes)) == len(hashes)
}

// sharedValues makes equal labels and targets of many clusters one value in memory. There
// are few of them, and thousands of clusters that repeat them.
type sharedValues struct {
	labels  *lru.Cache[string, map[string]string]
	targets *lru.Cache[fleet.Target, *fleet.Target]
}

func newSharedValues() *sharedValues {
	s := &sharedValues{}
	s.labels, _ = lru.New[string, map[string]string](maxShared) // the only error is a size of 0
	s.targets, _ = lru.New[fleet.Target, *fleet.Target](maxShared)
	return s
}

func (s *sharedValues) share(c *declared) {
	if c.fault == nil && len(c.Labels) > 0 { // only the text of valid labels is unique
		if known, ok, _ := s.labels.PeekOrAdd(labels.FormatLabels(c.Labels), c.Labels); ok {
			c.Labels = known
		}
	}
	for i := range c.Patches {
		if t := c.Patches[i].Target; t != nil {
			if known, ok, _ := s.targets.PeekOrAdd(*t, t); ok {
				c.Patches[i].Target = known
			}
		}
	}
}

// declared is a cluster as a document declares it, and its first problem; nil for none.
// Its name is empty if that cannot be read.
type declared struct {
	*fleet.Cluster
	fault *fleet.Problem
	// The lines of metadata.name and spec.dns.
	nameLine, dnsLine int
}

func (c *declared) line(field string) int {
	if field == "spec.dns" {
		return c.dnsLine
	}
	return c.nameLine
}

// clusterFile is a file of clusters, including those with a problem.
type clusterFile struct {
	name     string
	content  fleet.Content // zero if the tree does not know it
	sum      [sha256.Size]byte
	clusters []*declared
	problems fleet.Problems
	// selfContained reports that the result depends on the text alone, and not on which
	// directories exist.
	selfContained bool
	// nameless is why the names of some of its clusters cannot be read; nil if they can.
	nameless *fleet.Problem
	// others counts its documents of other kinds, which are skipped.
	others int
}

// contentOf identifies the content of a file. It is zero if the tree does not know it,
// and for a link, whose content is in another file.
func contentOf(entry fs.DirEntry) (c fleet.Content) {
	if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
		c, _ = info.Sys().(fleet.Content)
	}
	return c
}

// read reads the file. If it holds the same as before, the result is taken from there.
func (f *clusterFile) read(tree fs.FS, before *clusterFile, shared *sharedValues) {
	defer func() {
		if reason := recover(); reason != nil {
			f.refuse(PanicProblem(f.name, reason))
		}
	}()
	data, err := kustomize.ReadFile(tree, f.name)
	if err != nil {
		f.refuse(kustomize.UnreadableFile(f.name, err, "is it a link?"))
		return
	}
	f.sum = sha256.Sum256(data)
	if before != nil && before.selfContained && before.sum == f.sum {
		content := f.content
		*f = *before
		f.content = content
		return
	}
	docs, problems := parseDocuments(f.name, data)
	switch {
	case len(problems) > 0:
		f.refuse(problems...)
	case len(docs) == 0 && besideKustomization(tree, f.name, ""):
		f.others, f.selfContained = 1, false
		return
	case len(docs) == 0:
		f.refuse(fleet.Problem{File: f.name, Message: "has no cluster; if that is intended, remove the file"})
	}
	f.selfContained = len(f.problems) == 0
	for _, d := range docs {
		if isOther(d) {
			f.others++
			continue
		}
		if isUntyped(d) && besideKustomization(tree, f.name, path.Base(f.name)) {
			f.others, f.selfContained = f.others+1, false
			continue
		}
		c := readCluster(d, tree)
		shared.share(c)
		f.clusters, f.problems = append(f.clusters, c), append(f.problems, d.problems...)
		if c.Name == "" && f.nameless == nil {
			f.nameless = c.fault
		}
		f.selfContained = f.selfContained && len(d.problems) == 0 && c.Overlay == "" && len(c.Components) == 0
	}
}

// refuse notes what keeps the whole file from being read.
func (f *clusterFile) refuse(problems ...fleet.Problem) {
	f.clusters, f.problems, f.nameless, f.selfContained = nil, problems, &problems[0], false
}

// isOther reports whether a document is certainly no cluster: a kustomization, or an object
// of another API group. Flux keeps both in a folder clusters/, too.
func isOther(d *document) bool {
	version, kind := scalar(d.root, "apiVersion"), scalar(d.root, "kind")
	group, _, _ := strings.Cut(version, "/")
	return kustomize.IsKustomization(path.Base(d.file)) || strings.Contains(group, ".") && kind != "" || version == "v1" && kind != "" && kind != "Cluster"
}

// isUntyped reports whether a document is neither of a kind nor of an apiVersion. It may be the
// values of a chart.
func isUntyped(d *document) bool {
	return scalar(d.root, "apiVersion") == "" && scalar(d.root, "kind") == ""
}

// besideKustomization reports whether a file is in a folder that is a kustomization, and
// whether that mentions a text.
func besideKustomization(tree fs.FS, name, text string) bool {
	return slices.ContainsFunc(konfig.RecognizedKustomizationFileNames(), func(base string) bool {
		data, err := kustomize.ReadFile(tree, path.Join(path.Dir(name), base))
		return err == nil && bytes.Contains(data, []byte(text))
	})
}

func scalar(n *yaml.Node, key string) string {
	if value := yamltext.Child(n, key); value != nil && value.Kind == yaml.ScalarNode {
		return value.Value
	}
	return ""
}

func readCluster(d *document, tree fs.FS) *declared {
	var doc clusterDocument
	if isUntyped(d) {
		d.problem("", "is no cluster: apiVersion must be %s, and kind must be Cluster", apiVersion)
	} else {
		d.decode(&doc)
		doc.check(d, tree)
	}
	c := &declared{Cluster: doc.cluster(d), nameLine: d.line("metadata.name"), dnsLine: d.line("spec.dns")}
	if len(d.problems) == 0 {
		return c
	}
	c.fault = &d.problems[0]
	if slices.ContainsFunc(d.problems, func(p fleet.Problem) bool {
		return p.Field == "" || p.Field == "metadata" || p.Field == "metadata.name"
	}) {
		c.Name = "" // whatever the document says there
	}
	return c
}

type clusterDocument struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		DNS        string          `json:"dns"`
		Overlay    string          `json:"overlay"`
		Components []string        `json:"components"`
		Resources  []inlineObject  `json:"resources"`
		Patches    []patchDocument `json:"patches"`
	} `json:"spec"`
}

// inlineObject is an object as its author wrote it. It is kept as text, because kustomize
// reads it.
type inlineObject struct {
	text string
	node *yaml.Node
}

// check checks that it has what kustomize needs of an object.
func (o *inlineObject) check(d *document, path string) {
	if o.text == "" {
		return
	}
	metadata := yamltext.Child(o.node, "metadata")
	name := scalar(metadata, "name")
	if name == "" && !strings.HasSuffix(scalar(o.node, "kind"), "List") {
		d.problem(path+".metadata.name", "must be a string that is not empty")
	}
	for _, key := range []string{"apiVersion", "kind"} {
		if scalar(o.node, key) == "" {
			d.problem(path+"."+key, "must be a string that is not empty")
		}
	}
}

func (o *inlineObject) decodeNode(d *document, path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "must be a whole object, is %s", describe(n))
		return
	}
	node := kyaml.NewRNode(n).Copy()
	if err := node.DeAnchor(); err != nil {
		d.problem(path, "%v", err)
		return
	}
	text, err := node.String()
	if err != nil {
		d.problem(path, "%v", err)
	}
	o.text, o.node = text, n
}

func (c *clusterDocument) check(d *document, tree fs.FS) {
	if c.Kind == "Delta" || c.Kind == "Fleet" {
		d.problem("kind", "%s is not read from %s/; deltas are applied with the API, and the fleet is fleet.yaml", c.Kind, clustersDir)
	}
	d.checkType(c.APIVersion, c.Kind, "Cluster")
	if !isDNSLabel(c.Metadata.Name) {
		d.problem("metadata.name", dnsLabel, c.Metadata.Name)
	}
	checkLabels(d, "metadata.labels", c.Metadata.Labels)
	checkDNS(d, "spec.dns", c.Spec.DNS)
	checkPlacement(d, "spec", tree, &c.Spec.Overlay, c.Spec.Components)
	if n := len(c.Spec.Patches) + len(c.Spec.Resources); n > maxParts {
		d.problem("spec", "has %d resources and patches; a cluster may have at most %d, and what many clusters share belongs in a component", n, maxParts)
	}
	for i, o := range c.Spec.Resources {
		o.check(d, FieldIndex("spec.resources", i))
	}
	for i, p := range c.Spec.Patches {
		at := FieldIndex("spec.patches", i)
		if p.Path != "" {
			d.problem(at+".path", "is not supported; write the patch in this file, under patch")
		} else if strings.TrimSpace(p.Patch) == "" {
			d.problem(at+".patch", "must be a strategic merge patch or a JSON patch")
		}
	}
}

func checkLabels(d *document, path string, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if wrong := fleet.WrongLabel(key, labels[key]); wrong != "" {
			d.problem(path+"."+key, "%s", wrong)
		}
	}
}

func checkDNS(d *document, path, dns string) {
	if dns != "" && !fleet.IsClusterDNS(dns) {
		d.problem(path, "%q must be a DNS name with a dot, so that it cannot be mistaken for the name of a cluster", dns)
	}
}

func (c *clusterDocument) cluster(d *document) *fleet.Cluster {
	out := &fleet.Cluster{
		Name: c.Metadata.Name, DNS: c.Spec.DNS, Labels: c.Metadata.Labels,
		Overlay: c.Spec.Overlay, Components: c.Spec.Components,
		File: d.file, Line: d.root.Line,
	}
	for i, r := range c.Spec.Resources {
		out.Resources = append(out.Resources, fleet.Resource{YAML: r.text, Line: d.line(FieldIndex("spec.resources", i))})
	}
	for i, p := range c.Spec.Patches {
		patch := p.patch()
		patch.Line = d.line(FieldIndex("spec.patches", i))
		out.Patches = append(out.Patches, patch)
	}
	return out
}

// eachYAML calls read for every YAML file of a folder and of the folders in it. The
// folder need not exist. A problem with one file does not end the walk.
func eachYAML(tree fs.FS, folder string, read func(name string, entry fs.DirEntry) fleet.Problems) fleet.Problems {
	var problems fleet.Problems
	_ = fs.WalkDir(tree, folder, func(name string, entry fs.DirEntry, err error) error {
		switch ext := path.Ext(name); {
		case errors.Is(err, fs.ErrNotExist) && name == folder:
			// The folder is optional.
		case err != nil:
			problems = append(problems, kustomize.UnreadableFile(name, err, "is it a link?"))
		case strings.HasPrefix(path.Base(name), "."):
			// Editors keep lock and swap files under such names.
		case !entry.IsDir() && (ext == ".yaml" || ext == ".yml"):
			problems = append(problems, read(name, entry)...)
		case linksToDirectory(tree, name, entry):
			problems = append(problems, fleet.Problem{File: name, Message: "is a link to a directory, which is not followed; put the files themselves here"})
		}
		return nil
	})
	return problems
}

// linksToDirectory reports whether an entry is a link that fs.WalkDir silently does not
// follow.
func linksToDirectory(tree fs.FS, name string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return false
	}
	info, err := fs.Stat(tree, name)
	return err != nil || info.IsDir()
}
