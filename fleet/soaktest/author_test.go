package soaktest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// author writes one commit after another, from a random number generator alone.
type author struct {
	*rand.Rand
	revisions int // so far
	names     int // of clusters, objects and tags, so far
	gone      map[string]file
	// declared are the labels of clusters that the API came to declare.
	declared map[string]map[string]string
	// freed are dns names that a cluster has given up.
	freed map[string]bool
}

// edits are what a commit may do. Each returns what it did, "" for nothing.
var edits = []struct {
	weight int
	do     func(a *author, c *commit) string
}{
	{22, (*author).tag}, {17, (*author).addOrRemoveObject}, {19, (*author).addOrLoseClusters}, {8, (*author).relabel}, {10, (*author).closeSite}, {5, (*author).moveName}, {16, (*author).patchCluster},
	{9, (*author).breakSomething}, {6, (*author).shrink}, {4, (*author).changeSets}, {4, (*author).toggleNotes}, {6, (*author).changeGuard}, {7, (*author).changeWaves},
}

// first returns the commit that all others come after.
func (a *author) first() *commit {
	c := newCommit()
	for range 200 {
		name := a.fresh("c")
		c.clusters[name] = file{labels: a.labels(name), dns: dnsOf(name)}
	}
	a.name(c)
	return c
}

// next returns a commit on top of another, and what it does. Most of them repair what is broken.
func (a *author) next(before *commit) (*commit, string) {
	c := before.clone()
	var did []string
	if a.IntN(10) < 7 {
		c.repair()
		did = append(did, "repair")
	}
	total := 0
	for _, one := range edits {
		total += one.weight
	}
	for done := 0; done < 2; done++ {
		at := a.IntN(total)
		for _, one := range edits {
			if at -= one.weight; at < 0 {
				if what := one.do(a, c); what != "" {
					did = append(did, what)
				}
				break
			}
		}
	}
	a.name(c)
	return c, strings.Join(did, ", ")
}

// name gives a commit a revision of its own.
func (a *author) name(c *commit) {
	a.revisions++
	c.revision = fmt.Sprintf("main@sha1:%040x", a.revisions)
}

// pick chooses a key of a map; "" of an empty one.
func pick[V any](r *rand.Rand, m map[string]V) string {
	if len(m) == 0 {
		return ""
	}
	return slices.Sorted(maps.Keys(m))[r.IntN(len(m))]
}

func (a *author) fresh(what string) string {
	a.names++
	return fmt.Sprintf("%s%d", what, a.names)
}

func (a *author) tag(c *commit) string {
	object := pick(a.Rand, c.base)
	if strings.HasPrefix(object, "Note/") {
		return ""
	}
	if a.IntN(3) > 0 {
		c.base[object] = c.base[object].with("tag", a.fresh("v"))
		return "tag " + object
	}
	environment := pick(a.Rand, c.overlays)
	c.overlays[environment].tags[object] = a.fresh("v")
	return "tag " + object + " in " + environment
}

// addOrRemoveObject changes the base. Patches of clusters may be left without their object, but those
// of overlays are not.
func (a *author) addOrRemoveObject(c *commit) string {
	if a.IntN(3) == 0 {
		object := pick(a.Rand, c.base)
		c.drop(object)
		return "remove " + object
	}
	object := a.fresh([]string{"App/app", "Job/job", "Note/note"}[a.IntN(3)])
	c.base[object] = spec{"tag": "v1", "replicas": 1 + a.IntN(3)}
	return "add " + object
}

// drop removes an object, unless it is one of the last: an empty kustomization.yaml is a fault.
func (c *commit) drop(object string) {
	if len(c.base) < 4 {
		return
	}
	delete(c.base, object)
	for _, o := range c.overlays {
		delete(o.tags, object)
	}
}

// addOrLoseClusters adds files of clusters, removes some, brings one back, or adds the file of a cluster
// that the API declares.
func (a *author) addOrLoseClusters(c *commit) string {
	switch name := pick(a.Rand, c.clusters); a.IntN(4) {
	case 0:
		if len(c.clusters) > 220 {
			return ""
		}
		name = a.fresh("c")
		c.clusters[name] = file{labels: a.labels(name), dns: dnsOf(name), broken: a.IntN(4) == 0}
		return "add " + name
	case 1:
		if len(c.clusters) < 180 {
			return ""
		}
		a.gone[name] = c.clusters[name]
		delete(c.clusters, name)
		return "lose " + name
	case 2:
		name = pick(a.Rand, a.gone)
		if _, there := c.clusters[name]; there || name == "" {
			return ""
		}
		f := a.gone[name]
		if c.hasName(f.dns) {
			f.dns = ""
		}
		c.clusters[name] = f
		delete(a.gone, name)
		return "bring back " + name
	default:
		name = pick(a.Rand, a.declared)
		if _, there := c.clusters[name]; there || name == "" {
			return ""
		}
		f := file{labels: a.declared[name]}
		if !c.hasName(dnsOf(name)) {
			f.dns = dnsOf(name)
		}
		if a.IntN(3) == 0 {
			f.labels = a.labels(name)
		}
		if a.IntN(2) == 0 {
			f.patch = objects{pick(a.Rand, c.base): {"replicas": 1 + a.IntN(12)}}
		}
		c.clusters[name] = f
		return "adopt " + name
	}
}

// labels returns random labels. Some clusters are always in the last wave: those that the crowd polls
// whenever it likes.
func (a *author) labels(name string) map[string]string {
	l := map[string]string{"environment": environments[a.IntN(3)]}
	if a.IntN(3) == 0 {
		l["tier"] = "gold"
	}
	if ring := []string{"", "", "", "", "canary", "early"}[a.IntN(6)]; ring != "" && !isIdle(name) {
		l["ring"] = ring
	}
	few := 10 // of the clusters of files
	if name[0] != 'c' {
		few = 3
	}
	if a.IntN(few) == 0 {
		l["site"] = sites[a.IntN(len(sites))]
	}
	return l
}

// isIdle reports it of c2, c20 to c29, and c200 and more.
func isIdle(name string) bool { return strings.HasPrefix(name, "c2") }

func (a *author) relabel(c *commit) string {
	name := pick(a.Rand, c.clusters)
	f := c.clusters[name]
	f.labels = a.labels(name)
	c.clusters[name] = f
	return "relabel " + name
}

// sites are where few clusters are, so that a list of those of one loses a large share with a few of them.
var sites = []string{"s1", "s2"}

// closeSite takes some clusters out of a site.
func (a *author) closeSite(c *commit) string {
	site, most := sites[a.IntN(len(sites))], []int{1, 3, 10, 200}[a.IntN(4)]
	n := 0
	for _, name := range slices.Sorted(maps.Keys(c.clusters)) {
		if f := c.clusters[name]; f.labels["site"] == site && n < most {
			f.labels = maps.Clone(f.labels)
			delete(f.labels, "site")
			c.clusters[name] = f
			n++
		}
	}
	return fmt.Sprintf("take %d out of %s", n, site)
}

// moveName gives the dns of a cluster to another one: the two swap theirs, or the one takes it, or a
// cluster gives its dns up, takes one that was given up, or takes that of a cluster that the API declares.
func (a *author) moveName(c *commit) string {
	one, other := pick(a.Rand, c.clusters), pick(a.Rand, c.clusters)
	f, g := c.clusters[one], c.clusters[other]
	was := f.dns
	switch a.IntN(5) {
	case 0:
		f.dns, g.dns = g.dns, f.dns
	case 1:
		f.dns, g.dns = g.dns, ""
	case 2:
		f.dns = ""
	case 3:
		f.dns = pick(a.Rand, a.freed)
	default:
		f.dns = dnsOf(pick(a.Rand, a.declared))
	}
	taken := c.hasName(f.dns) && (f.dns != c.clusters[other].dns || f.dns == g.dns)
	if one == other || f.dns == was || taken || f.dns == dnsOf("") {
		return ""
	}
	a.freed[was] = true
	delete(a.freed, "")
	c.clusters[one], c.clusters[other] = f, g
	return fmt.Sprintf("name %s %q and %s %q", one, f.dns, other, g.dns)
}

// hasName reports whether a file has a dns, which no other one may have.
func (c *commit) hasName(dns string) bool {
	for _, f := range c.clusters {
		if dns != "" && f.dns == dns {
			return true
		}
	}
	return false
}

// patchCluster patches an app of a cluster, or one that does not exist, and may ask for too much.
func (a *author) patchCluster(c *commit) string {
	object, patch := a.app(c), spec{"replicas": 2 + a.IntN(7), "env": map[string]any{"b": nil, "c": a.fresh("x")}}
	switch a.IntN(4) {
	case 0:
		patch = spec{"replicas": tooMany}
	case 1:
		object = "App/nothing"
	}
	name := pick(a.Rand, c.clusters)
	f := c.clusters[name]
	if f.patch = maps.Clone(f.patch); f.patch == nil {
		f.patch = objects{}
	}
	f.patch[object] = patch
	c.clusters[name] = f
	return fmt.Sprintf("patch %s of %s with %s", object, name, encode(patch))
}

func (a *author) app(c *commit) string {
	apps := maps.Clone(c.base)
	maps.DeleteFunc(apps, func(object string, _ spec) bool { return !strings.HasPrefix(object, "App/") })
	if len(apps) == 0 {
		return "App/nothing"
	}
	return pick(a.Rand, apps)
}

// breakSomething breaks files of clusters, more or fewer than the guard allows, or the component, or
// fleet.yaml, or an app of all clusters.
func (a *author) breakSomething(c *commit) string {
	switch a.IntN(14) {
	case 0, 1, 2:
		c.extras.broken = true
		return "break the component"
	case 3, 4:
		c.unreadable = true
		return "break fleet.yaml"
	case 5, 6:
		object := a.app(c)
		if c.base[object] == nil {
			return ""
		}
		c.base[object] = c.base[object].with("replicas", tooMany)
		return "break " + object
	}
	n := []int{1, 2, 5, 15, 30}[a.IntN(5)]
	for range n {
		name := pick(a.Rand, c.clusters)
		f := c.clusters[name]
		f.broken = true
		c.clusters[name] = f
	}
	return fmt.Sprintf("break %d files", n)
}

// shrink removes objects from the component, which a third of the clusters has, or gives them back; or
// it removes some from the base, or an overlay's base.
func (a *author) shrink(c *commit) string {
	switch n := len(c.extras.objects); {
	case a.IntN(4) == 0:
		environment := pick(a.Rand, c.overlays)
		o := c.overlays[environment]
		o.bare = true
		c.overlays[environment] = o
		return "empty the overlay of " + environment
	case a.IntN(3) == 0:
		for range 2 + a.IntN(3) {
			c.drop(pick(a.Rand, c.base))
		}
		return fmt.Sprintf("shrink the base to %d", len(c.base))
	case n < 3:
		for range 8 {
			c.extras.objects[a.fresh("App/extra")] = spec{"tag": "v1"}
		}
	default:
		for range a.IntN(n) {
			delete(c.extras.objects, pick(a.Rand, c.extras.objects))
		}
	}
	return fmt.Sprintf("resize the component to %d", len(c.extras.objects))
}

// everySet has all names that sets ever have.
var everySet = []string{"apps", "jobs", "memos", "notes", "programs", "tasks"}

// changeSets renames a set, removes one, or brings all back.
func (a *author) changeSets(c *commit) string {
	other := map[string]string{"apps": "programs", "programs": "apps", "jobs": "tasks", "tasks": "jobs", "notes": "memos", "memos": "notes"}
	kind := pick(a.Rand, c.sets)
	switch {
	case a.IntN(2) == 0:
		c.sets[kind] = other[c.sets[kind]]
	case len(c.sets) < 3:
		c.sets = newCommit().sets
	default:
		delete(c.sets, kind)
	}
	return fmt.Sprintf("sets %s", encode(c.sets))
}

// toggleNotes empties the one set that may be empty, or fills it.
func (a *author) toggleNotes(c *commit) string {
	before := len(c.base)
	for _, object := range slices.Sorted(maps.Keys(c.base)) {
		if strings.HasPrefix(object, "Note/") {
			c.drop(object)
		}
	}
	if len(c.base) < before {
		return "no notes"
	}
	c.base["Note/welcome"] = spec{"text": "hello again"}
	return "a note"
}

func (a *author) changeGuard(c *commit) string {
	limit := func(of ...string) fleet.Limit {
		l, err := fleet.ParseLimit(of[a.IntN(len(of))])
		if err != nil {
			panic(err)
		}
		return l
	}
	c.guard = fleet.Guard{
		RemovedPerCluster: limit("50%", "50%", "10%", "2", "100%"), RemovedPerFleet: limit("10%", "10%", "3%", "100", "100%"),
		FailingClusters:   limit("10%", "10%", "2", "50%"),
		RemovedEverywhere: limit("100%", "100%", "25%", "3"), OrphanedClusters: limit("10%", "10%", "0", "2"),
		Protected: [][]fleet.Protection{nil, nil, {{Kind: "Job"}}}[a.IntN(3)], Window: []time.Duration{24 * time.Hour, time.Hour, 0}[a.IntN(3)],
		AllowReownedNames: a.IntN(6) == 0, ApproveByTrailer: a.IntN(2) == 0,
		AllowEmptySets: a.IntN(4) == 0, AllowVanishedSets: a.IntN(4) == 0, AllowStaleParts: a.IntN(2) == 0,
	}
	return fmt.Sprintf("guard %+v", c.guard)
}

func (a *author) changeWaves(c *commit) string {
	c.waves = nil
	if a.IntN(4) == 0 {
		return "no waves"
	}
	for _, ring := range []string{"canary", "early"}[:1+a.IntN(2)] {
		c.waves = append(c.waves, fleet.WaveRule{
			Name: ring, Selector: fleet.Selector{MatchLabels: map[string]string{"ring": ring}},
			Soak: time.Duration(a.IntN(3)) * 10 * time.Minute, Manual: a.IntN(4) == 0, Polled: 50 + 10*a.IntN(6),
		})
	}
	return fmt.Sprintf("%d waves", len(c.waves))
}
