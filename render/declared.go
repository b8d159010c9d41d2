package render

import (
	"cmp"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tributary-gitops/tributary/fleet"
)

// declared is a cluster as a document has it, and the first of what is wrong with it;
// nil for nothing. One whose name cannot be told has none.
type declared struct {
	fleet.Cluster
	fault *fleet.Problem
}

// readClusters reads every cluster file. Clusters with a problem of their own are left
// out of the list, so that one fault is told once, and noted in whom faults concern.
func readClusters(tree fs.FS, texts *memo, whom *concern) ([]fleet.Cluster, fleet.Problems) {
	var files []*clusterFile
	problems := eachYAML(tree, clustersDir, func(name string) fleet.Problems {
		files = append(files, &clusterFile{name: name})
		return nil
	})
	whom.unread = map[string]fleet.Problem{}
	for _, p := range problems { // the walk came no further
		whom.unread[p.File] = p
	}
	readFiles(tree, texts, files)
	var all []*declared
	for _, f := range files {
		all, problems = append(all, f.clusters...), append(problems, f.problems...)
		if f.nameless != nil {
			whom.unread[f.name] = *f.nameless
		}
	}
	slices.SortStableFunc(all, func(a, b *declared) int { return strings.Compare(a.Name, b.Name) })
	problems = append(problems, clashes(all)...)
	var clusters []fleet.Cluster
	clusters, whom.broken = apart(all)
	return clusters, problems
}

// readFiles reads files side by side, because a large fleet has thousands.
func readFiles(tree fs.FS, texts *memo, files []*clusterFile) {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range files {
		group.Go(func() error {
			f.read(tree, texts)
			return nil
		})
	}
	_ = group.Wait() // what is wrong is told in the files
}

// clashes are the names and dns that more than one document has. None of those is
// served: which of them a poll means cannot be told, and a file that comes must not
// take the name of a cluster that is there.
func clashes(all []*declared) (problems fleet.Problems) {
	byName, byDNS := map[string]*declared{}, map[string]*declared{}
	twice := func(c, first *declared, field, value string) {
		by := "one"
		if first.Name != "" {
			by = fmt.Sprintf("cluster %q", first.Name)
		}
		p := fleet.Problem{File: c.File, Line: c.Line, Field: field, Message: fmt.Sprintf(
			"%q is taken by %s in %s:%d; each cluster needs its own", value, by, first.File, first.Line)}
		c.fault, first.fault = cmp.Or(c.fault, &p), cmp.Or(first.fault, &p)
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
	return problems
}

// apart are the clusters that may be served, and by name what is wrong with others.
func apart(all []*declared) (clusters []fleet.Cluster, broken map[string]fleet.Problem) {
	broken = map[string]fleet.Problem{}
	for _, c := range all {
		_, known := broken[c.Name]
		switch {
		case c.fault == nil:
			clusters = append(clusters, c.Cluster)
		case c.Name != "" && !known:
			broken[c.Name] = *c.fault
		}
	}
	return clusters, broken
}
