package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/view"
)

// Declare declares a cluster through the API, as a document says, YAML or JSON, and returns its name.
// What is wrong with the document is Problems. It is an ErrConflict where the API or the fleet repo
// declares the cluster already, where it is decommissioned, and where another cluster has its dns. An
// orphaned cluster follows the live release again, as it is declared now.
func (c *Controller) Declare(ctx context.Context, o WriteOptions, document []byte) (string, *fleet.Result, error) {
	name, declared, err := c.cfg.Renderer.ReadDeclaration(document)
	if err != nil {
		return "", nil, err
	}
	result, err := c.write(ctx, o, fleet.Written, func(v *view.View) (*mutation, error) {
		if err := checkDeclarable(v, name, declared.DNS); err != nil {
			return nil, err
		}
		after := &fleet.ClusterRecord{Cluster: name, Since: v.Generation() + 1, Declared: declared}
		return &mutation{records: []fleet.RecordChange{recordChange(name, v.State().Records[name], after)}}, nil
	})
	return name, result, err
}

// checkDeclarable returns why a cluster cannot be declared.
func checkDeclarable(v *view.View, name, dns string) error {
	m := v.Named(name)
	switch {
	case m == nil:
	case m.State == fleet.ClusterDecommissioned:
		return errDecommissioned(m)
	case m.State == fleet.ClusterOrphaned:
	case m.Cluster.File != "":
		return fmt.Errorf("cluster %q: %w: %s declares it; change that file", name, fleet.ErrConflict, m.Cluster.File)
	case v.Declared(m) == nil:
		return errBrokenFile(name)
	default:
		return fmt.Errorf("cluster %q: %w: it is declared already; change the declaration instead", name, fleet.ErrConflict)
	}
	return checkDNS(v, name, dns)
}

// checkDNS returns an ErrConflict where a dns is that of another cluster, also of one that is orphaned
// or decommissioned.
func checkDNS(v *view.View, name, dns string) error {
	if owner := dnsOwner(v, dns); owner != "" && owner != name {
		return fmt.Errorf("dns %q: %w: it is that of cluster %q", dns, fleet.ErrConflict, owner)
	}
	return nil
}

func dnsOwner(v *view.View, dns string) string {
	if dns == "" {
		return ""
	}
	if m, err := v.Member(dns); err == nil {
		return m.Cluster.Name
	}
	return ""
}

func errBrokenFile(name string) error {
	return fmt.Errorf("cluster %q: %w: the fleet repo declares it, in a file that has a fault; fix that file", name, fleet.ErrConflict)
}

func errDecommissioned(m *view.Member) error {
	return fmt.Errorf("cluster %q: %w: it is decommissioned; recommission it if it is to come back, or purge it if another cluster is to have its name", m.Cluster.Name, fleet.ErrConflict)
}

// Redeclare changes what the API declares of a cluster by a merge patch (RFC 7386) of it.
func (c *Controller) Redeclare(ctx context.Context, o WriteOptions, cluster string, patch []byte) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.Written, func(v *view.View) (*mutation, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return nil, err
		}
		name := m.Cluster.Name
		record := v.State().Records[name]
		switch {
		case m.State == fleet.ClusterDecommissioned:
			return nil, errDecommissioned(m)
		case m.State == fleet.ClusterOrphaned:
			return nil, fmt.Errorf("cluster %q: %w: its file has vanished, and it stays on its release; declare it through the API, restore its file, or decommission it", name, fleet.ErrConflict)
		case m.Cluster.File != "":
			return nil, fmt.Errorf("cluster %q: %w: %s declares it; change that file", name, fleet.ErrConflict, m.Cluster.File)
		case !record.IsDeclared():
			return nil, errBrokenFile(name)
		}
		if err := o.check(v.ClusterVersion(m)); err != nil {
			return nil, err
		}
		after := *record
		if after.Declared, err = c.patchDeclaration(name, record.Declared, patch); err != nil {
			return nil, err
		}
		if err := checkDNS(v, name, after.Declared.DNS); err != nil {
			return nil, err
		}
		if string(fleet.EncodeJSON(record)) == string(fleet.EncodeJSON(&after)) {
			return &mutation{}, nil
		}
		return &mutation{records: []fleet.RecordChange{recordChange(name, record, &after)}}, nil
	})
}

// patchDeclaration returns a declaration after a merge patch, read as strictly as a new one.
func (c *Controller) patchDeclaration(name string, d *fleet.Declaration, patch []byte) (*fleet.Declaration, error) {
	document, err := jsonpatch.MergePatch(fleet.EncodeJSON(d), patch)
	if err != nil {
		return nil, fmt.Errorf("merge patch: %w: %w", fleet.ErrInvalid, err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(document, &fields); err != nil {
		return nil, fmt.Errorf("merge patch: %w: it must be an object", fleet.ErrInvalid)
	}
	if given, ok := fields["name"]; ok && string(given) != string(fleet.EncodeJSON(name)) {
		return nil, fleet.Problems{{Field: "name", Message: fmt.Sprintf("is not that of cluster %q; a cluster keeps its name", name)}}
	}
	fields["name"] = fleet.EncodeJSON(name)
	_, changed, err := c.cfg.Renderer.ReadDeclaration(fleet.EncodeJSON(fields))
	return changed, err
}

// Decommission answers all sets of a cluster empty from now on, whatever the fleet repo says, until it
// is recommissioned or purged. Flux deletes then what it made of them.
func (c *Controller) Decommission(ctx context.Context, o WriteOptions, cluster string) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.Decommissioned, func(v *view.View) (*mutation, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return nil, err
		}
		if m.State == fleet.ClusterDecommissioned {
			return &mutation{}, nil
		}
		if err := o.check(v.ClusterVersion(m)); err != nil {
			return nil, err
		}
		name := m.Cluster.Name
		before := v.State().Records[name]
		after := fleet.ClusterRecord{Cluster: name}
		if before != nil {
			after.Declared, after.Since = before.Declared, before.Since
		}
		after.Decommissioned = &fleet.Tombstone{
			Generation: v.Generation() + 1, At: c.now(), DNS: m.Cluster.DNS, Labels: m.Cluster.Labels, Sets: m.ServedSets(),
			Row: rollout.NewRules(v.State(), lookup(v.Releases())).TombstoneRow(name),
		}
		return &mutation{records: []fleet.RecordChange{recordChange(name, before, &after)}}, nil
	})
}

// Recommission brings a decommissioned cluster back as it was, on the release where it should be by now. A
// cluster that nothing declares any more is orphaned on the release that it was on. It is an ErrConflict
// where another cluster has its dns by now.
func (c *Controller) Recommission(ctx context.Context, o WriteOptions, cluster string) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.Recommissioned, func(v *view.View) (*mutation, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return nil, err
		}
		name := m.Cluster.Name
		if m.State != fleet.ClusterDecommissioned {
			return nil, fmt.Errorf("cluster %q: %w: it is not decommissioned", name, fleet.ErrConflict)
		}
		if err := o.check(v.ClusterVersion(m)); err != nil {
			return nil, err
		}
		if err := checkDNS(v, name, m.Cluster.DNS); err != nil {
			return nil, err
		}
		before := v.State().Records[name]
		after := *before
		after.Decommissioned = nil
		restored := &mutation{records: []fleet.RecordChange{recordChange(name, before, &after)}}
		if row := before.Decommissioned.Row; row != nil && !row.Release.IsZero() {
			// The rules need it only where nothing declares the cluster any more, and refuse without it.
			if restored.pinned, err = c.loadRelease(ctx, row.Release, time.Time{}); err != nil && !errors.Is(err, fleet.ErrUnavailable) {
				return nil, err
			}
		}
		return restored, nil
	})
}

// Purge forgets a decommissioned cluster, with its own delta, its tokens, and its name in deltas and
// pins. It is unknown from then on, and a cluster that gets its name is another one. It is an
// ErrConflict while the fleet repo declares the cluster.
func (c *Controller) Purge(ctx context.Context, o WriteOptions, cluster string) (*fleet.Result, error) {
	return c.write(ctx, o, fleet.Purged, func(v *view.View) (*mutation, error) {
		m, err := v.Member(cluster)
		if err != nil {
			return nil, err
		}
		name, s := m.Cluster.Name, v.State()
		if m.State != fleet.ClusterDecommissioned {
			return nil, fmt.Errorf("cluster %q: %w: decommission it first, so that what it has is deleted", name, fleet.ErrConflict)
		}
		releases := []*fleet.Compiled{v.Live()}
		if s.Rollout != nil {
			releases = append(releases, v.Compiled(s.Rollout.Release))
		}
		for _, release := range releases {
			if release == nil {
				continue
			}
			if file := release.File(name); file != nil {
				return nil, fmt.Errorf("cluster %q: %w: %s declares it, and it would come back; remove that file first", name, fleet.ErrConflict, file.File)
			}
			if fault, broken := release.Repo.Broken()[name]; broken {
				return nil, fmt.Errorf("cluster %q: %w: %s declares it, with a fault, and it would come back; remove that file first", name, fleet.ErrConflict, fault.File)
			}
		}
		if err := o.check(v.ClusterVersion(m)); err != nil {
			return nil, err
		}
		return &mutation{
			records: []fleet.RecordChange{recordChange(name, s.Records[name], nil)},
			deltas:  s.Deltas.Without(name), pins: s.Pins.Without(name), tokens: c.Tokens().EndAll(name, c.now()),
			warnings: c.setsLeft(ctx, m),
		}, nil
	})
}

// setsLeft returns warnings about sets that a decommissioned cluster has polled, but not since: what
// they made stays in the cluster, since no poll will be answered any more.
func (c *Controller) setsLeft(ctx context.Context, m *view.Member) (warnings []string) {
	for _, p := range c.Polls(ctx, m.Cluster.Name)[m.Cluster.Name] {
		if !p.IsByHand() && m.HasSet(p.Set) && p.Generation < m.Tombstone().Generation {
			warnings = append(warnings, fmt.Sprintf("cluster %q has polled set %q, but not since it was decommissioned: what the set made stays in the cluster", m.Cluster.Name, p.Set))
		}
	}
	return warnings
}

// Register gives a cluster a token of its own, and declares it where nothing does. With the cluster's
// own token, that is replaced. It is an ErrConflict where the cluster has a token already or is
// declared differently, and an ErrForbidden where the credential does not allow it. A request that is
// repeated with the same key and credential gets the same token again.
func (c *Controller) Register(ctx context.Context, o WriteOptions, by credential.RegistrationCredential, r credential.Registration) (*credential.RegistrationResult, error) {
	if problems := r.Check(); len(problems) > 0 {
		return nil, problems
	}
	out := &credential.RegistrationResult{Cluster: r.Name}
	result, err := c.write(ctx, o, fleet.Registered, func(v *view.View) (*mutation, error) {
		now := credential.Current{Tokens: c.Tokens(), DNSOwner: func(dns string) string { return dnsOwner(v, dns) }, Now: c.now()}
		if m := v.Named(r.Name); m != nil {
			now.Cluster, now.Decommissioned = m.Cluster, m.State == fleet.ClusterDecommissioned
		}
		plan, err := r.Decide(by, o.Actor, now)
		if err != nil {
			return nil, err
		}
		out.Token = plan.Secret
		m := &mutation{tokens: plan.Tokens}
		if len(plan.Tokens) > 0 {
			m.about = r.Name
		}
		if plan.Declared != nil {
			after := &fleet.ClusterRecord{Cluster: r.Name, Since: v.Generation() + 1, Declared: plan.Declared}
			m.records = []fleet.RecordChange{recordChange(r.Name, v.State().Records[r.Name], after)}
		}
		return m, nil
	})
	if err != nil {
		return nil, err
	}
	out.Generation = result.Generation
	return out, nil
}
