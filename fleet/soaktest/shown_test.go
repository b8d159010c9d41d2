package soaktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// removedBy returns what an impact says that is removed.
func removedBy(i *fleet.Impact) map[removal]bool {
	all := map[removal]bool{}
	for _, g := range i.Groups {
		for _, e := range g.Changes {
			for _, name := range g.Clusters {
				if e.Effect == fleet.Removed || e.Effect == fleet.Moved {
					all[removal{cluster: name, set: e.Set, id: e.ID}] = true
				}
			}
		}
	}
	for _, name := range i.Orphaned {
		all[removal{cluster: name, file: true}] = true
	}
	addAround(all, i.Lists, i.Reowned)
	return all
}

// addAround adds what is removed from lists, and whose names find other clusters.
func addAround(all map[removal]bool, lists []fleet.ListEffect, names []fleet.ReownedName) {
	for _, l := range lists {
		for _, name := range l.Removed {
			all[removal{cluster: name, list: "/clusters?selector=" + l.Selector}] = true
		}
	}
	for _, n := range names {
		all[removal{cluster: n.To, dns: n.DNS}] = true
	}
}

// show keeps what an impact removes that somebody may look at before deciding.
func (s *soak) show(i *fleet.Impact) {
	if i != nil {
		s.shown[i.Digest] = removedBy(i)
	}
}

// showPause keeps what the next wave removes, of a rollout that is paused because of that.
func (s *soak) showPause(r *fleet.Release) {
	if r.Rollout == nil || r.Rollout.Pause == nil || r.Rollout.Pause.Impact == "" {
		return
	}
	removed := map[removal]bool{}
	for _, one := range recorded(&fleet.Losses{Groups: r.Rollout.Pause.Removes}) {
		removed[one] = true
	}
	addAround(removed, nil, r.Rollout.Pause.Reowned)
	s.shown[r.Rollout.Pause.Impact] = removed
}

// unseen returns what is removed and was not shown.
func unseen(lost []removal, shown map[removal]bool) []removal {
	return slices.DeleteFunc(slices.Clone(lost), func(r removal) bool { return shown[r] })
}

// wantSeen checks that the result of a write says all that it removes; of a cluster that is decommissioned,
// that is all that it was served.
func (s *soak) wantSeen(what string, lost []removal, was map[string]*cluster, result *fleet.Result) {
	s.t.Helper()
	shown := map[removal]bool{}
	if result != nil {
		for _, c := range result.Changes {
			if c.After == nil {
				shown[removal{cluster: c.Cluster, set: c.Set, id: c.ID}] = true
			}
		}
		addAround(shown, result.Lists, result.Reowned)
	}
	for _, r := range lost {
		all := []removal{r}
		if r.whole {
			all = nil
			for set, a := range was[r.cluster].sets {
				for _, id := range a.ids {
					all = append(all, removal{cluster: r.cluster, set: set, id: id})
				}
			}
		}
		if unseen := unseen(all, shown); len(unseen) > 0 {
			s.fail("%s does not say that it removes %+v", what, unseen)
		}
	}
}

// allowed returns what is wrong with a change that removes something, unless it is a write, which try
// checks: that it exceeds the guard without an approval of an impact that was shown and says so, and
// that the log does not say what has to be added up.
func (s *soak) allowed(before model, c *fleet.Change, was, now map[string]*cluster) (wrong []string) {
	lost := before.removals(was, now)
	for _, r := range lost {
		s.lostAt[r] = c.Generation
		if r.dns != "" {
			s.lostAt[removal{dns: r.dns}] = c.Generation
		}
	}
	isAbort := c.Release != nil && c.Release.To == fleet.Rejected
	if before.live.IsZero() || c.Actor == actor && (c.Release == nil || isAbort) {
		return nil
	}
	digest, allowed, hidden := s.approved(before, c), false, lost
	if digest != "" {
		shown, known := s.shown[digest]
		if !known {
			wrong = append(wrong, fmt.Sprintf("%s is approved, and nobody was shown that", digest))
		}
		hidden = unseen(lost, shown)
		allowed = len(hidden) == 0
	}
	if r := before.rollout; r != nil && r.Confirmed != "" && c.Release != nil && r.Release == c.Release.Ref {
		allowed = allowed || s.shown[r.Confirmed] != nil && len(unseen(lost, s.shown[r.Confirmed])) == 0
	}
	if exceeds := before.exceeded(before.live, was, now, c.At); !allowed && len(exceeds) > 0 {
		wrong = append(wrong, fmt.Sprintf("the guard is exceeded, and nobody allowed that: %s by %+v", exceeds, hidden[:min(len(hidden), 20)]))
	}
	if got, want := recorded(c.Losses), before.toRecord(lost); !slices.Equal(got, want) && !(allowed && got == nil) {
		wrong = append(wrong, fmt.Sprintf("the log says that clusters lost\n%+v\nwant\n%+v", got, want))
	}
	return wrong
}

// approved returns the digest of the impact that was approved of a release that a change starts, goes on
// with or makes live; empty for none.
func (s *soak) approved(before model, c *fleet.Change) string {
	switch {
	case c.Release == nil || c.Release.To != fleet.Live && c.Release.To != fleet.RollingOut:
		return ""
	case c.Rollout != nil && c.Rollout.Started != nil:
		return c.Rollout.Started.Approved
	case before.rollout != nil && before.rollout.Release == c.Release.Ref:
		return before.rollout.Approved
	}
	r, err := s.log.Release(s.t.Context(), c.Release.Ref.ID())
	if err != nil {
		s.fail("release of %s: %v", c.Release.Ref.Revision, err)
	}
	for _, d := range r.Decisions {
		if d.Verdict == fleet.Approve && d.Generation == c.Generation {
			return d.Impact
		}
	}
	return ""
}

// client is somebody who polls one set of a URL: of a cluster by its name or a dns, or a list of clusters.
type client struct{ url, set string }

// holding is what a client got last.
type holding struct {
	generation int64
	owner      string // the cluster that was found
	ids        []string
}

// pollsByDNS reports whether a cluster polls by the dns that it had first, whoever has that by now.
func pollsByDNS(cluster string) bool { return cluster[len(cluster)-1] < '4' }

// poll polls all sets by a name or dns.
func (s *soak) poll(v *view.View, url string) {
	s.t.Helper()
	m, err := v.Member(url)
	if err != nil || isIdle(m.Cluster.Name) {
		return
	}
	name, by := m.Cluster.Name, url
	if by == name {
		by = ""
	}
	for _, set := range everySet {
		text := s.answer(m, set)
		if text == nothing {
			continue
		}
		s.server.RecordPoll(m, url, set, v.Generation(), "soak", "")
		s.polled[name] = poll{s.past[v.Generation()][name].release, v.Generation()}
		s.model.polled.count++
		s.model.polled.last[[2]string{name, set}] = lastPoll{by, s.model.polled.count}
		s.hear(client{url, set}, holding{v.Generation(), name, idsOf(s, text)})
	}
}

func idsOf(s *soak, text string) (ids []string) {
	var answer struct{ Inputs []struct{ ID string } }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		s.fail("answer %s: %v", text, err)
	}
	for _, in := range answer.Inputs {
		ids = append(ids, in.ID)
	}
	return ids
}

// hear checks that what a client got and does not get any more was removed by changes that were weighed,
// and not by some that nobody noticed.
func (s *soak) hear(c client, now holding) {
	s.t.Helper()
	was := s.held[c]
	s.held[c] = now
	since := func(r removal) bool { return s.lostAt[r] > was.generation }
	for _, id := range was.ids {
		why := []removal{{cluster: was.owner, set: c.set, id: id}, {cluster: was.owner, whole: true}}
		switch {
		case slices.Contains(now.ids, id):
			continue
		case c.set == "":
			why = []removal{{cluster: id, list: c.url}, {cluster: id, whole: true}}
		case now.owner != was.owner:
			why = append(why, removal{dns: c.url})
		}
		if !slices.ContainsFunc(why, since) {
			s.fail("%s of %q was removed from the answer of generation %d unnoticed: at %d it is %s's", id, c, was.generation, now.generation, now.owner)
		}
	}
}

var selectors = []string{"", "site=s1", "site=s2", "site in (s1,s2)", "tier=gold", "environment=dev", "site=s1,environment!=prod", "!ring"}

// pollList polls the list of some selector, as a management cluster does, at either server.
func (s *soak) pollList() {
	selector, err := labels.Parse(selectors[s.IntN(len(selectors))])
	if err != nil {
		s.fail("%v", err)
	}
	server := s.server
	if s.IntN(3) == 0 {
		server = s.reader
		s.awaitServed(server)
	}
	v, err := server.View()
	if err != nil {
		s.fail("View() = %v", err)
	}
	url, want := listURL(selector), listed(s.past[v.Generation()], selector)
	body, err := v.ClusterInputs(selector)
	s.did("list %s: %d", selector, len(want))
	switch {
	case len(want) == 0 && errors.Is(err, fleet.ErrNotFound):
		return
	case err != nil:
		s.fail("%s: %v", url, err)
	}
	ids := idsOf(s, string(body.JSON()))
	if !slices.Equal(ids, want) {
		s.fail("%s has\n%s\nwant\n%s", url, ids, want)
	}
	if err := server.RecordListPoll(s.t.Context(), selector, v.Generation(), "soak"); err != nil {
		s.fail("%s: %v", url, err)
	}
	s.model.polled.lists[url] = selector
	s.hear(client{url: url}, holding{generation: v.Generation(), ids: ids})
}

// propose moves the source to a commit. Half of the time somebody looks beforehand at what that would do,
// which is what becomes of it then.
func (s *soak) propose(c *commit, did string) {
	s.t.Helper()
	var p *fleet.Preview
	if s.IntN(2) == 0 {
		var err error
		if p, err = s.server.Preview(s.t.Context(), c.snapshot()); err != nil {
			s.fail("Preview() = %v", err)
		}
		s.show(p.Impact)
	}
	before := s.model
	s.commit(c)
	s.did("%s", did)
	s.looked()
	if p == nil || before.rollout != nil && before.rollout.Paused != nil {
		return
	}
	want := map[bool]string{true: "taken", false: p.Outcome}[p.Outcome == fleet.OutcomeChanges || p.Outcome == fleet.OutcomeNone]
	got := "taken"
	r, err := s.log.Release(s.t.Context(), fleet.ReleaseID(c.revision))
	if err != nil {
		s.fail("Release(%q) = %v", c.revision, err)
	}
	if r.State == fleet.Held || r.State == fleet.Failed {
		got = string(r.State)
	}
	if got != want || r.Impact != nil && r.Impact.Digest != p.Impact.Digest {
		s.fail("the preview of %s is %s, and it became %s; they differ from\n%s\nand\n%s on", c.revision, p.Outcome, r.State, since(encode(r.Impact), encode(p.Impact)), since(encode(p.Impact), encode(r.Impact)))
	}
}

// since returns some of a text from where it begins to differ from another one, its digest apart.
func since(other, text string) string {
	const digest = len(`{"digest":"sha256:"`) + 64
	at := min(digest, len(text), len(other))
	for at < min(len(text), len(other)) && text[at] == other[at] {
		at++
	}
	return text[max(0, at-200):min(len(text), at+300)]
}
