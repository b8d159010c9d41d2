package sqlstore

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// What is stored as documents is the domain's own JSON, except where that names a release: the
// stored form then has the release's id in release_refs.

// assignmentDocument is the stored form of an assignment without its cluster, which is beside it.
type assignmentDocument struct {
	Release  int64               `json:"release,omitempty"`
	Reason   fleet.Reason        `json:"reason"`
	Detail   string              `json:"detail,omitempty"`
	Spec     *fleet.ClusterSpec  `json:"spec,omitempty"`
	Since    int64               `json:"since"`
	Previous *assignmentDocument `json:"previous,omitempty"`
}

func storedAssignment(a *fleet.Assignment, ids releaseIDs) *assignmentDocument {
	if a == nil {
		return nil
	}
	return &assignmentDocument{
		Release: ids[a.Release], Reason: a.Reason, Detail: a.Detail, Spec: a.Spec, Since: a.Since,
		Previous: storedAssignment(a.Previous, ids),
	}
}

// of returns the assignment of a cluster. The document may be nil.
func (d *assignmentDocument) of(cluster string, names refs) (*fleet.Assignment, error) {
	if d == nil {
		return nil, nil
	}
	a := &fleet.Assignment{Cluster: cluster, Reason: d.Reason, Detail: d.Detail, Spec: d.Spec, Since: d.Since}
	var err error
	if a.Release, err = names.get(d.Release); err != nil {
		return nil, err
	}
	a.Previous, err = d.Previous.of(cluster, names)
	return a, err
}

// previous returns the release of the assignment's Previous, 0 where there is none.
func (d *assignmentDocument) previous() int64 {
	if d.Previous == nil {
		return 0
	}
	return d.Previous.Release
}

// recordDocument is the stored form of a record. Its outer Decommissioned hides that of the
// domain, and the Row of a tombstone likewise.
type recordDocument struct {
	fleet.ClusterRecord
	Decommissioned *tombstoneDocument `json:"decommissioned,omitempty"`
}

type tombstoneDocument struct {
	fleet.Tombstone
	Row *assignmentDocument `json:"row,omitempty"`
}

func storedRecord(r *fleet.ClusterRecord, ids releaseIDs) any {
	d := recordDocument{ClusterRecord: *r}
	if r.Decommissioned != nil {
		d.Decommissioned = &tombstoneDocument{Tombstone: *r.Decommissioned, Row: storedAssignment(r.Decommissioned.Row, ids)}
	}
	return d
}

func readRecord(document []byte, names refs) (*fleet.ClusterRecord, error) {
	d, err := decode[recordDocument](document)
	if err != nil {
		return nil, err
	}
	r := d.ClusterRecord
	if d.Decommissioned != nil {
		tombstone := d.Decommissioned.Tombstone
		if tombstone.Row, err = d.Decommissioned.Row.of(r.Cluster, names); err != nil {
			return nil, err
		}
		r.Decommissioned = &tombstone
	}
	return &r, nil
}

// pinDocument is the stored form of a pin. Its Release hides that of the domain.
type pinDocument struct {
	fleet.Pin
	Release int64 `json:"release"`
}

func storedPin(p *fleet.Pin, ids releaseIDs) any {
	d := pinDocument{Pin: *p, Release: ids[p.Ref()]}
	d.Revision, d.Snapshot = "", ""
	return d
}

func readPin(document []byte, names refs) (*fleet.Pin, error) {
	d, err := decode[pinDocument](document)
	if err != nil {
		return nil, err
	}
	ref, err := names.get(d.Release)
	p := d.Pin
	p.Release, p.Revision, p.Snapshot = ref.ID(), ref.Revision, ref.Snapshot
	return &p, err
}

// rolloutDocument is what of a rollout stays the same while it is in progress.
type rolloutDocument struct {
	Waves []fleet.Wave `json:"waves"`
	New   []string     `json:"new,omitempty"`
}

// encode writes JSON without the escapes that are meant for HTML; NULL for nil.
func encode[T any](noun string, v *T) (*string, error) {
	if v == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", noun, fleet.ErrInvalid, err)
	}
	text := string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
	return &text, nil
}

// decode reads a document; NULL is nil.
func decode[T any](document []byte) (*T, error) {
	if document == nil {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal(document, v); err != nil {
		return nil, fmt.Errorf("%T: %w", *v, err)
	}
	return v, nil
}
