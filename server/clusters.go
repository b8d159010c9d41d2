package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/view"
	"github.com/tributary-gitops/tributary/server/api"
	"github.com/tributary-gitops/tributary/server/auth"
	"github.com/tributary-gitops/tributary/server/limit"
	"github.com/tributary-gitops/tributary/server/standing"
)

// clusterAnswers returns the documents of members of a view.
func (s clusterHandlers) clusterAnswers(ctx context.Context, v *view.View, members ...*view.Member) []api.Cluster {
	polls := s.fleet.Polls(ctx, namesOf(members)...)
	answers, now := make([]api.Cluster, len(members)), s.cfg.Now()
	for i, m := range members {
		release, own := m.Release(), polls[m.Cluster.Name]
		answers[i] = api.Cluster{
			Cluster: *m.Cluster, State: m.State, Placement: m.Placement, Inputs: m.Counts(),
			Release: api.ReleaseRef{ID: release.ID(), Revision: release.Revision}, Orphans: m.Stale,
			Why: v.Why(m), DeclaredBy: declaredBy(v, m),
		}
		standing.Of(v, m, own, now).Describe(&answers[i])
		if p := v.Pin(m); p != nil {
			answers[i].Pin = p.Name
		}
		if d := v.Declared(m); d != nil && answers[i].DeclaredBy == "api" {
			answers[i].Resources, answers[i].Patches = d.Resources, d.Patches
		}
		if t := m.Tombstone(); t != nil {
			answers[i].Decommissioned = &api.Decommission{Generation: t.Generation, At: t.At}
		}
	}
	return answers
}

// declaredBy returns the origin of a member's fields: git, api, or "" if nothing declares
// it any more.
func declaredBy(v *view.View, m *view.Member) string {
	switch {
	case m.Cluster.File != "":
		return "git"
	case v.Declared(m) != nil:
		return "api"
	}
	return ""
}

func (s clusterHandlers) getClusters(r *http.Request, v *view.View, query url.Values) (any, error) {
	selector, err := selectorIn(query)
	if err != nil {
		return nil, err
	}
	limit, err := pageLimit(query, defaultClusters, maxClusters)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("cursor"))
	if err != nil || len(after) > 0 && validation.IsDNS1123Label(string(after)) != nil {
		return nil, errCursor
	}
	kinds, err := kindsIn(query)
	if err != nil {
		return nil, err
	}
	found := membersAfter(v, selector, string(after))
	if len(kinds) > 0 {
		now, polls := s.cfg.Now(), s.fleet.Polls(r.Context(), namesOf(found)...)
		found = slices.DeleteFunc(found, func(m *view.Member) bool { return !standing.Of(v, m, polls[m.Cluster.Name], now).Is(kinds...) })
	}
	page := api.List[api.Cluster]{}
	if len(found) > limit {
		found = found[:limit]
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(found[limit-1].Cluster.Name))
	}
	page.Items = s.clusterAnswers(r.Context(), v, found...)
	return page, nil
}

const defaultClusters, maxClusters = 500, 1000

// kindsIn returns the kinds of clusters that a query asks for; a cluster must be of all of them.
func kindsIn(query url.Values) (kinds []standing.Kind, err error) {
	for _, k := range standing.Kinds {
		if wanted, err := flag(query, string(k)); err != nil {
			return nil, err
		} else if wanted {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}

// membersAfter returns the clusters that match a selector and whose names come after a name. A cursor
// is a name rather than a number, so that clusters that come and go between two pages make no other
// cluster appear twice or never.
func membersAfter(v *view.View, selector labels.Selector, after string) []*view.Member {
	members := v.Members()
	start, found := slices.BinarySearchFunc(members, after, func(m *view.Member, name string) int {
		return strings.Compare(m.Cluster.Name, name)
	})
	if found {
		start++
	}
	return slices.DeleteFunc(slices.Clone(members[start:]), func(m *view.Member) bool { return !selector.Matches(labels.Set(m.Cluster.Labels)) })
}

func namesOf(members []*view.Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Cluster.Name
	}
	return names
}

func (s clusterHandlers) getCluster(r *http.Request, v *view.View, _ url.Values) (any, error) {
	member, err := memberOf(r, v)
	if err != nil {
		return nil, err
	}
	return s.clusterAnswers(r.Context(), v, member)[0], nil
}

// memberOf returns the cluster that the path names.
func memberOf(r *http.Request, v *view.View) (*view.Member, error) {
	member, err := v.Member(mux.Vars(r)["cluster"])
	return member, withList(err, "/api/v1/clusters")
}

func (s clusterHandlers) postCluster(w http.ResponseWriter, r *http.Request) error {
	write, err := writeOptions(w, r)
	if err != nil {
		return err
	}
	if hasPrecondition(r.Header) {
		return fmt.Errorf("%w: If-Match, If-None-Match: not needed, since a cluster that exists is a conflict", api.ErrBadRequest)
	}
	text, _, err := document(r, documentTypes...)
	if err != nil {
		return err
	}
	name, result, err := s.fleet.Declare(r.Context(), write, text)
	if err != nil || write.DryRun {
		return written(w, result, err)
	}
	return created(w, "/api/v1/clusters/"+name, result, result.Generation)
}

func (s clusterHandlers) patchCluster(r *http.Request, write controller.WriteOptions) (*fleet.Result, error) {
	text, _, err := document(r, api.MergePatchType)
	if err != nil {
		return nil, err
	}
	if write.IfVersion, err = s.clusterVersion(r); err != nil {
		return nil, err
	}
	result, err := s.fleet.Redeclare(r.Context(), write, mux.Vars(r)["cluster"], text)
	return result, withList(err, "/api/v1/clusters")
}

func (s clusterHandlers) deleteCluster(w http.ResponseWriter, r *http.Request) error {
	write, err := namedWriteOptions(w, r, "purge")
	if err != nil {
		return err
	}
	purge, err := flag(r.URL.Query(), "purge")
	if err != nil {
		return err
	}
	end, check := s.fleet.Decommission, s.checkConfirmed
	if purge {
		end, check = s.fleet.Purge, func(r *http.Request, _ controller.WriteOptions) error { return checkDigest(r.URL.Query()) }
	}
	if err := check(r, write); err != nil {
		return err
	}
	if write.IfVersion, err = s.clusterVersion(r); err != nil {
		return err
	}
	result, err := end(r.Context(), write, mux.Vars(r)["cluster"])
	return written(w, result, withList(err, "/api/v1/clusters"))
}

// checkConfirmed requires the name of the cluster to be decommissioned as the confirmation: a path with
// the name of another cluster is easily sent.
func (s clusterHandlers) checkConfirmed(r *http.Request, write controller.WriteOptions) error {
	v, err := s.view()
	if err != nil || write.DryRun {
		return err
	}
	m, err := memberOf(r, v)
	if err != nil || write.Confirm == m.Cluster.Name {
		return err
	}
	return fmt.Errorf("%w: confirm: the decommission of a cluster deletes all that it has: look at it with ?dryRun=true, and repeat the request with ?confirm=%s",
		api.ErrBadRequest, m.Cluster.Name)
}

func (s clusterHandlers) postRecommission(r *http.Request, write controller.WriteOptions) (result *fleet.Result, err error) {
	if write.IfVersion, err = s.clusterVersion(r); err != nil {
		return nil, err
	}
	result, err = s.fleet.Recommission(r.Context(), write, mux.Vars(r)["cluster"])
	return result, withList(err, "/api/v1/clusters")
}

// clusterVersion returns the version that a write of the cluster in the path requires. The
// client has the tag of what a GET answers.
func (s clusterHandlers) clusterVersion(r *http.Request) (*string, error) {
	if !hasPrecondition(r.Header) {
		return nil, nil
	}
	v, err := s.view()
	if err != nil {
		return nil, err
	}
	member, err := memberOf(r, v)
	if err != nil {
		return nil, err
	}
	return requiredVersion(r.Header, s.clusterAnswers(r.Context(), v, member)[0], v.ClusterVersion(member))
}

const minKey, maxKey = 20, 128 // characters of an idempotency key

func (s clusterHandlers) postRegister(w http.ResponseWriter, r *http.Request) error {
	who := identityOf(w)
	if wait := s.registerRate.Take(limit.Key{Name: who.Name}); wait > 0 {
		return limit.RateError(wait, "register fewer clusters at once")
	}
	write, err := plainWriteOptions(w, r, "a registration")
	if err != nil {
		return err
	}
	key := r.Header.Get(api.IdempotencyKey)
	if key != "" && (len(key) < minKey || len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' })) {
		return fmt.Errorf("%w: %s: must be %d to %d printable characters that nobody can guess, such as a UUID", api.ErrBadRequest, api.IdempotencyKey, minKey, maxKey)
	}
	var request api.Registration
	if err := jsonDocument(r, &request); err != nil {
		return err
	}
	by := credential.RegistrationCredential{Token: who.Token, Cluster: who.Cluster, Labels: who.Labels, Secret: api.BearerToken(r), Key: key}
	switch who.Role {
	case auth.Cluster:
		by.Role = fleet.RoleCluster
	case auth.Bootstrap:
		by.Role = fleet.RoleBootstrap
	default:
		by.Role = fleet.RoleAdmin
	}
	result, err := s.fleet.Register(r.Context(), write, by, credential.Registration(request))
	if err != nil {
		return err
	}
	return created(w, "/api/v1/clusters/"+result.Cluster, api.RegistrationResult(*result), result.Generation)
}

// How many clusters one credential registers. A thousand clusters that boot at once and
// try again are let through; one that never stops does not keep others from writing.
const (
	registrationsPerSecond = 100
	registrationsAtOnce    = 2500
)

// getBootstrap makes every provider ask for as many inputs as there can be: a set may
// grow, and Flux Operator silently deletes what is beyond its limit.
func (s clusterHandlers) getBootstrap(_ *http.Request, v *view.View, _ url.Values) (any, error) {
	all := api.Bootstrap{Sets: []api.BootstrapSet{}, ResourceSets: []json.RawMessage{}}
	for _, name := range v.Sets() {
		all.Sets = append(all.Sets, api.BootstrapSet{Name: name, Limit: fleet.MaxInputs})
	}
	for _, o := range v.ResourceSets() {
		all.ResourceSets = append(all.ResourceSets, o.JSON)
	}
	for _, r := range v.Live().Repo.Providers() {
		all.Providers = append(all.Providers, providerRule(r))
	}
	return all, nil
}

func providerRule(r fleet.ProviderRule) api.ProviderRule {
	duration := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	rule := api.ProviderRule{Selector: r.Selector.String(), ReconcileEvery: duration(r.Every)}
	for _, s := range r.Schedule {
		rule.Schedule = append(rule.Schedule, api.Schedule{Cron: s.Cron, TimeZone: s.TimeZone, Window: duration(s.Window)})
	}
	return rule
}
