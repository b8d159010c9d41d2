package render

import (
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

// readClusters reads every cluster file. Clusters with a problem of their own
// are left out of the list, so that one fault is told once.
func readClusters(tree fs.FS) ([]fleet.Cluster, fleet.Problems) {
	var clusters []fleet.Cluster
	problems := eachYAML(tree, clustersDir, func(name string) fleet.Problems {
		found, wrong := readClusterFile(tree, name)
		clusters = append(clusters, found...)
		return wrong
	})
	slices.SortStableFunc(clusters, func(a, b fleet.Cluster) int { return strings.Compare(a.Name, b.Name) })
	return unique(clusters, problems)
}

func readClusterFile(tree fs.FS, name string) ([]fleet.Cluster, fleet.Problems) {
	data, err := readBounded(tree, name)
	if err != nil {
		return nil, fleet.Problems{{File: name, Message: missing(err, "is it a link?")}}
	}
	docs, problems := parseDocuments(name, data)
	if len(docs)+len(problems) == 0 {
		return nil, fleet.Problems{{File: name, Message: "holds no cluster; remove the file if that is meant"}}
	}
	var clusters []fleet.Cluster
	for _, d := range docs {
		var c clusterDocument
		d.decode(&c)
		c.check(d, tree)
		problems = append(problems, d.problems...)
		if len(d.problems) == 0 {
			clusters = append(clusters, c.cluster(d))
		}
	}
	return clusters, problems
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

func (c *clusterDocument) cluster(d *document) fleet.Cluster {
	out := fleet.Cluster{
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

// unique leaves out clusters whose name or dns an earlier one has, and notes it:
// which of the two a poll means could not be told.
func unique(clusters []fleet.Cluster, problems fleet.Problems) ([]fleet.Cluster, fleet.Problems) {
	byName, byDNS := map[string]fleet.Cluster{}, map[string]fleet.Cluster{}
	twice := func(c, first fleet.Cluster, field, value string) {
		problems = append(problems, fleet.Problem{File: c.File, Line: c.Line, Field: field, Message: fmt.Sprintf(
			"%q is taken by cluster %q in %s:%d; each cluster needs its own", value, first.Name, first.File, first.Line)})
	}
	var out []fleet.Cluster
	for _, c := range clusters {
		if first, taken := byName[c.Name]; taken {
			twice(c, first, "metadata.name", c.Name)
			continue
		}
		byName[c.Name] = c
		if first, taken := byDNS[c.DNS]; taken && c.DNS != "" {
			twice(c, first, "spec.dns", c.DNS)
			continue
		}
		byDNS[c.DNS] = c
		out = append(out, c)
	}
	return out, problems
}
