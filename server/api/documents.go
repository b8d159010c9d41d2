package api

import (
	"encoding/json"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Cluster is a cluster as people see it: how it is declared, where that places it, and
// what it is served.
type Cluster struct {
	fleet.Cluster
	State fleet.ClusterState `json:"state"`
	// DeclaredBy is the origin of its fields: git or api.
	DeclaredBy string `json:"declaredBy,omitempty"`
	// Resources and Patches are those that the API declares.
	Resources []json.RawMessage `json:"resources,omitempty"`
	Patches   []fleet.Patch     `json:"patches,omitempty"`
	Placement fleet.Placement   `json:"placement"`
	// Inputs has the number of inputs by input set.
	Inputs  map[string]int `json:"inputs"`
	Release ReleaseRef     `json:"release"`
	// Why says why Release is not the release that the fleet is going to; empty where
	// it is.
	Why string `json:"why,omitempty"`
	// Pin is the name of the pin that keeps the cluster on Release.
	Pin string `json:"pin,omitempty"`
	// Orphans are the stale parts of deltas: those that do not apply to the cluster.
	Orphans []fleet.StalePart `json:"orphans,omitempty"`
	// Decommissioned is set for a cluster that was decommissioned.
	Decommissioned *Decommission `json:"decommissioned,omitempty"`
	// Polls are the last ones of Flux Operator, by input set; Contact is the conclusion from them.
	Polls   []Poll  `json:"polls,omitempty"`
	Contact Contact `json:"contact"`
	// PollsByHand are the last ones of any other client, by input set.
	PollsByHand []Poll `json:"pollsByHand,omitempty"`
	// Behind reports that it lacks the release that the fleet goes to, and Failing that the release
	// that it should be on is not valid for it, or that its polls are answered 503.
	Behind  bool `json:"behind,omitempty"`
	Failing bool `json:"failing,omitempty"`
}

// ReleaseRef names a release.
type ReleaseRef struct {
	ID       string `json:"id"`
	Revision string `json:"revision"`
}

// Decommission says when a cluster was decommissioned.
type Decommission struct {
	Generation int64     `json:"generation"`
	At         time.Time `json:"at"`
}

// Contact says whether a cluster polls as it used to.
type Contact string

// A cluster has never polled, polls at its interval, or has stopped doing so.
const (
	ContactNever Contact = "never"
	ContactOK    Contact = "ok"
	ContactLate  Contact = "late"
)

// Poll is a poll whose interval is written as a duration such as 5m0s.
type Poll struct {
	fleet.Poll
	Every string `json:"every,omitempty"`
}

// Bootstrap is what the Flux Operator of a new cluster needs to follow the fleet.
type Bootstrap struct {
	// Sets are the input sets, in the order of fleet.yaml.
	Sets []BootstrapSet `json:"sets"`
	// ResourceSets are those of the fleet repo, whole, sorted by namespace and name.
	ResourceSets []json.RawMessage `json:"resourceSets"`
	// Providers say how often the providers of clusters poll. The first one counts that selects a
	// cluster.
	Providers []ProviderRule `json:"providers,omitempty"`
}

// ProviderRule is an entry of spec.providers of fleet.yaml.
type ProviderRule struct {
	// Selector is a label selector as kubectl writes one; empty for all clusters.
	Selector string `json:"selector"`
	// ReconcileEvery is a duration such as 5m0s; empty where the rule does not say.
	ReconcileEvery string     `json:"reconcileEvery,omitempty"`
	Schedule       []Schedule `json:"schedule,omitempty"`
}

// Schedule is an entry of a provider's spec.schedule.
type Schedule struct {
	Cron     string `json:"cron"`
	TimeZone string `json:"timeZone,omitempty"`
	Window   string `json:"window,omitempty"`
}

// BootstrapSet is an input set as a ResourceSetInputProvider asks for it.
type BootstrapSet struct {
	Name string `json:"name"`
	// Limit is the provider's spec.filter.limit.
	Limit int `json:"limit"`
}

// Delta is a delta with its status.
type Delta struct {
	*fleet.Delta
	Status DeltaStatus `json:"status"`
}

// DeltaStatus says what has become of a delta.
type DeltaStatus struct {
	// Clusters is the number of clusters that it selects.
	Clusters int `json:"clusters"`
	// Orphans are its stale parts: those that do not apply to some clusters.
	Orphans []StalePart `json:"orphans,omitempty"`
	// Overdue says why it is still in force after it has expired.
	Overdue string `json:"overdue,omitempty"`
}

// StalePart is a part of a delta that does not apply to a cluster.
type StalePart struct {
	Cluster string `json:"cluster"`
	fleet.StalePart
}

// Rollback asks for the deltas of an earlier generation: those of a cluster, one named
// delta, or all.
type Rollback struct {
	Generation int64  `json:"generation"`
	Cluster    string `json:"cluster"`
	Delta      string `json:"delta"`
}

// Pin is a pin with its status.
type Pin struct {
	*fleet.Pin
	Status PinStatus `json:"status"`
}

// PinStatus says what a pin does.
type PinStatus struct {
	// Clusters is the number of clusters that it keeps on its release. A cluster that
	// several pins match counts for one of them.
	Clusters int `json:"clusters"`
}

// Releases is a page of releases, and the state of the source: an error of the source
// belongs to no release.
type Releases struct {
	List[fleet.Release]
	Source Source `json:"source"`
}

// Source is the state of the source.
type Source struct {
	Name string `json:"name"`
	// LookedAt is when the source last answered; absent if it never has.
	LookedAt *time.Time `json:"lookedAt,omitempty"`
	// Error says why the last attempt to read the source failed; absent if it did not.
	Error string `json:"error,omitempty"`
	// Leading is true on the server that follows the source.
	Leading bool `json:"leading,omitempty"`
}

// Decision is the body of a decision on a release. Every field is optional.
type Decision struct {
	Reason string `json:"reason,omitempty"`
	// Digest is that of the impact that the decision is about.
	Digest string `json:"digest,omitempty"`
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Name     string            `json:"name,omitempty"`
	Role     fleet.Role        `json:"role"`
	Cluster  string            `json:"cluster,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Uses     int               `json:"uses,omitempty"`
	Selector *fleet.Selector   `json:"selector,omitempty"`
	// TTL is a duration such as 24h; empty for a token that does not expire.
	TTL string `json:"ttl,omitempty"`
}

// Token is a token as admins see it: everything but the secret.
type Token struct {
	fleet.Token
	LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
}

// CreatedToken is a new token with its secret, which is shown this once.
type CreatedToken struct {
	Token
	Secret     string `json:"token"`
	Generation int64  `json:"generation"`
}

// Whoami is what a server knows about the credential of a request.
type Whoami struct {
	Name string `json:"name"`
	Role string `json:"role"`
	// Cluster is the one that the credential is limited to.
	Cluster string `json:"cluster,omitempty"`
	// Labels are those of the clusters that it registers, and Selector selects the clusters
	// that it changes; absent for no limit.
	Labels    map[string]string `json:"labels,omitempty"`
	Selector  *fleet.Selector   `json:"selector,omitempty"`
	ExpiresAt *time.Time        `json:"expiresAt,omitempty"`
}

// Version is the version of a server.
type Version struct {
	Version string `json:"version"`
}

// Registration is what a booting cluster says about itself.
type Registration struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels,omitempty"`
	DNS    string            `json:"dns,omitempty"`
}

// RegistrationResult is what a cluster gets for its registration: its own token, which is
// shown this once.
type RegistrationResult struct {
	Cluster    string `json:"cluster"`
	Token      string `json:"token"`
	Generation int64  `json:"generation"`
}

// WebhookResult says what a webhook led to. The sender shows it to people.
type WebhookResult struct {
	// Look is true where the source will be read.
	Look bool `json:"look"`
	// Reason says why it will not.
	Reason string `json:"reason,omitempty"`
}
