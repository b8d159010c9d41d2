package render

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/tributary-gitops/tributary/fleet"
)

const clustersDir = "clusters"

// maxOwn bounds the resources and patches of one cluster file. Honest ones have
// a handful; each costs a search through all objects.
const maxOwn = 500

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

// patchDocument is kustomization.yaml's entry of `patches`, inline.
type patchDocument struct {
	Path    string              `json:"path"`
	Patch   string              `json:"patch"`
	Target  *fleet.Target       `json:"target"`
	Options *fleet.PatchOptions `json:"options"`
}

// inlineObject is an object as its author wrote it, kept as text: kustomize is
// the one who reads it.
type inlineObject struct{ text string }

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
	o.text = text
}

// clusterFile is a file of clusters, those with a fault as well.
type clusterFile struct {
	name     string
	content  fleet.Content // none where the tree does not tell
	sum      [sha256.Size]byte
	clusters []*declared
	// alone tells that what was read depends on the text alone, and not on the
	// directories that there are.
	alone    bool
	problems fleet.Problems
	// nameless is why not all of its clusters can be told; nil where they can.
	nameless *fleet.Problem
}

// holds tells whether a file of the name says the same, by what the tree tells.
func (f *clusterFile) holds(content fleet.Content) bool {
	return f != nil && f.alone && f.content != fleet.Content{} && f.content == content
}

// read reads the file, or finds that it is as it was before.
func (f *clusterFile) read(tree fs.FS, before *clusterFile, alike *memo) {
	defer func() {
		if reason := recover(); reason != nil {
			f.refuse(panicked(f.name, reason))
		}
	}()
	data, err := readBounded(tree, f.name)
	if err != nil {
		f.refuse(fleet.Problem{File: f.name, Message: missing(err, "is it a link?")})
		return
	}
	f.sum = sha256.Sum256(data)
	if before != nil && before.alone && before.sum == f.sum {
		content := f.content
		*f = *before // clashes are found anew
		f.content = content
		return
	}
	f.parse(tree, data, alike)
	f.alone = f.isAlone()
}

func (f *clusterFile) isAlone() bool {
	return len(f.problems) == 0 && !slices.ContainsFunc(f.clusters, func(c *declared) bool {
		return c.Overlay != "" || len(c.Components) > 0
	})
}

// contentOf is what stands for the content of a file; none where the tree does not tell,
// and of a link, which says what another file does.
func contentOf(entry fs.DirEntry) (c fleet.Content) {
	if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
		c, _ = info.Sys().(fleet.Content)
	}
	return c
}

func (f *clusterFile) parse(tree fs.FS, data []byte, alike *memo) {
	docs, problems := parseDocuments(f.name, data)
	switch {
	case len(problems) > 0:
		f.refuse(problems...)
	case len(docs) == 0:
		f.refuse(fleet.Problem{File: f.name, Message: "holds no cluster; remove the file if that is meant"})
	}
	for _, d := range docs {
		c := readCluster(d, tree)
		c.share(alike)
		f.clusters, f.problems = append(f.clusters, c), append(f.problems, d.problems...)
		if c.Name == "" && f.nameless == nil {
			f.nameless = c.fault
		}
	}
}

// refuse notes what keeps the whole file from being read.
func (f *clusterFile) refuse(problems ...fleet.Problem) {
	f.clusters, f.problems, f.nameless = nil, problems, &problems[0]
}

func readCluster(d *document, tree fs.FS) *declared {
	var doc clusterDocument
	d.decode(&doc)
	doc.check(d, tree)
	c := &declared{Cluster: doc.cluster(d)}
	if len(d.problems) == 0 {
		return c
	}
	c.fault = &d.problems[0]
	named := func(p fleet.Problem) bool {
		return p.Field == "" || p.Field == "metadata" || p.Field == "metadata.name"
	}
	if slices.ContainsFunc(d.problems, named) {
		c.Name = "" // whatever it says there
	}
	return c
}

func (c *clusterDocument) check(d *document, tree fs.FS) {
	typeMeta{c.APIVersion, c.Kind}.check(d, "Cluster")
	if !isDNSLabel(c.Metadata.Name) {
		d.problem("metadata.name", "%q must be a DNS-1123 label: lower case letters, digits and -, at most 63", c.Metadata.Name)
	}
	checkLabels(d, "metadata.labels", c.Metadata.Labels)
	if dns := c.Spec.DNS; dns != "" && !fleet.IsClusterDNS(dns) {
		d.problem("spec.dns", "%q must be a DNS name with a dot in it, so that no cluster's name can be taken for it", dns)
	}
	checkPlacement(d, "spec", tree, &c.Spec.Overlay, c.Spec.Components)
	if n := len(c.Spec.Patches) + len(c.Spec.Resources); n > maxOwn {
		d.problem("spec", "has %d resources and patches; one cluster may have %d: what many clusters share belongs in a component", n, maxOwn)
	}
	for i, p := range c.Spec.Patches {
		field := fmt.Sprintf("spec.patches[%d]", i)
		if p.Path != "" {
			d.problem(field+".path", "a cluster's patches stand in its file; use patch")
		} else if strings.TrimSpace(p.Patch) == "" {
			d.problem(field+".patch", "must hold a strategic merge patch or a JSON patch")
		}
	}
}

func (c *clusterDocument) cluster(d *document) *fleet.Cluster {
	out := &fleet.Cluster{
		Name: c.Metadata.Name, DNS: c.Spec.DNS, Labels: c.Metadata.Labels,
		Overlay: c.Spec.Overlay, Components: c.Spec.Components,
		File: d.file, Line: d.root.Line,
	}
	for i, r := range c.Spec.Resources {
		out.Resources = append(out.Resources, fleet.Resource{YAML: r.text, Line: d.line(fmt.Sprintf("spec.resources[%d]", i))})
	}
	for i, p := range c.Spec.Patches {
		patch := p.patch()
		patch.Line = d.line(field("spec.patches", i))
		out.Patches = append(out.Patches, patch)
	}
	return out
}
