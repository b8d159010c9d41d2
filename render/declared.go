package render

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
)

// declared is a cluster as a document has it, and the first of what is wrong with it;
// nil for nothing. One whose name cannot be told has none.
type declared struct {
	*fleet.Cluster
	fault *fleet.Problem
}

// readClusters reads every cluster file. Clusters with a problem of their own are left
// out of the list, so that one fault is told once, and noted in whom faults concern.
func (r *Repo) readClusters(earlier map[string]*clusterFile) fleet.Problems {
	files := make([]*clusterFile, 0, len(earlier))
	whom := &r.concern
	problems := eachYAML(r.tree, clustersDir, func(name string, entry fs.DirEntry) fleet.Problems {
		f, content := earlier[name], contentOf(entry)
		if !f.holds(content) {
			f = &clusterFile{name: name, content: content}
		}
		files = append(files, f)
		return nil
	})
	whom.unread = map[string]fleet.Problem{}
	for _, p := range problems { // the walk came no further
		whom.unread[p.File] = p
	}
	readFiles(r.tree, earlier, files, r.alike)
	r.files = make(map[string]*clusterFile, len(files))
	all := make([]*declared, 0, len(files))
	for _, f := range files {
		r.files[f.name] = f
		all, problems = append(all, f.clusters...), append(problems, f.problems...)
		if f.nameless != nil {
			whom.unread[f.name] = *f.nameless
		}
	}
	slices.SortStableFunc(all, func(a, b *declared) int { return strings.Compare(a.Name, b.Name) })
	clashing, more := clashes(all)
	problems = append(problems, more...)
	r.clusters, whom.broken = apart(all, clashing)
	return problems
}

// readFiles reads files side by side, because a large fleet has thousands.
func readFiles(tree fs.FS, earlier map[string]*clusterFile, files []*clusterFile, alike *memo) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range files {
		if before := earlier[f.name]; before != f {
			group.Go(func() error {
				f.read(tree, before, alike)
				return nil
			})
		}
	}
	_ = group.Wait() // what is wrong is told in the files
}

// labelsText is the key of labels in a memo.
type labelsText string

// share has what clusters say alike be one thing in memory: there are few sets of labels
// and few targets, and thousands of clusters that name them. Labels that are good can be
// told apart by their text.
func (c *declared) share(alike *memo) {
	if c.fault == nil && len(c.Labels) > 0 {
		c.Labels = alike.share(labelsText(labels.FormatLabels(c.Labels)), c.Labels).(map[string]string)
	}
	for i := range c.Patches {
		if t := c.Patches[i].Target; t != nil {
			c.Patches[i].Target = alike.share(*t, t).(*fleet.Target)
		}
	}
}

// clashes are the names and dns that more than one document has. None of those is
// served: which of them a poll means cannot be told, and a file that comes must not
// take the name of a cluster that is there. All are sorted by name.
func clashes(all []*declared) (of map[*declared]*fleet.Problem, problems fleet.Problems) {
	if surelyApart(all) {
		return nil, nil
	}
	byName, byDNS := make(map[string]*declared, len(all)), make(map[string]*declared, len(all))
	of = map[*declared]*fleet.Problem{}
	twice := func(c, first *declared, field, value string) {
		by := "one"
		if first.Name != "" {
			by = fmt.Sprintf("cluster %q", first.Name)
		}
		p := fleet.Problem{File: c.File, Line: c.Line, Field: field, Message: fmt.Sprintf(
			"%q is taken by %s in %s:%d; each cluster needs its own", value, by, first.File, first.Line)}
		of[c], of[first] = cmp.Or(of[c], &p), cmp.Or(of[first], &p)
		problems = append(problems, p)
	}
	for _, c := range all {
		if first, taken := byName[c.Name]; taken && c.Name != "" {
			twice(c, first, "metadata.name", c.Name)
		} else {
			byName[c.Name] = c
		}
		if first, taken := byDNS[c.DNS]; !taken {
			byDNS[c.DNS] = c
		} else if c.DNS != "" && c.Name != first.Name { // else that is told already
			twice(c, first, "spec.dns", c.DNS)
		}
	}
	return of, problems
}

// surelyApart tells of clusters sorted by name that no two have the same name or dns, of
// which it compares hashes: each commit asks this of the whole fleet, and maps of all its
// names would be a tenth of what it costs.
func surelyApart(all []*declared) bool {
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

// apart are the clusters that may be served, and by name what is wrong with others.
func apart(all []*declared, clashing map[*declared]*fleet.Problem) (clusters []*fleet.Cluster, broken map[string]fleet.Problem) {
	clusters = make([]*fleet.Cluster, 0, len(all))
	broken = map[string]fleet.Problem{}
	for _, c := range all {
		_, known := broken[c.Name]
		switch fault := cmp.Or(c.fault, clashing[c]); {
		case fault == nil:
			clusters = append(clusters, c.Cluster)
		case c.Name != "" && !known:
			broken[c.Name] = *fault
		}
	}
	return clusters, broken
}
