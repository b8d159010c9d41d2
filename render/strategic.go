package render

import (
	"context"
	"errors"
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/render/fleetrepo"
	"github.com/tributary-gitops/tributary/render/kustomize"
	"github.com/tributary-gitops/tributary/render/patch"
	"github.com/tributary-gitops/tributary/render/yamltext"
)

// StrategicMerge implements fleet.Repo: kustomize's strategic merge of a patch, YAML or
// JSON, into an object. Lists merge by their keys if kustomize has a schema for the kind,
// and are replaced otherwise. The patch need not have the object's identity, and must not
// contradict it or delete the object. Errors are fleet.Problems.
func (r *Repo) StrategicMerge(o fleet.Object, text []byte) (merged []byte, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			merged, err = nil, fleet.Problems{fleetrepo.PanicProblem("", reason)}
		}
	}()
	complete, err := fleetrepo.ReadObjectPatch(o, text)
	if err != nil {
		return nil, err
	}
	if merged, err = r.strategicMerge(o, complete); err != nil {
		return nil, fleet.Problems{{Message: kustomize.Message(err)}}
	}
	return merged, nil
}

func (r *Repo) strategicMerge(o fleet.Object, text string) ([]byte, error) {
	before, err := yamltext.DecodeJSON(o.JSON)
	if err != nil {
		return nil, err
	}
	p, err := patch.Read(fleet.Patch{Patch: text})
	if err != nil {
		return nil, err
	}
	if len(p.Merges()) != 1 {
		return nil, errors.New("must be the patch of one object")
	}
	object, err := kustomize.BlockStyle(o.JSON)
	if err != nil {
		return nil, err
	}
	built, err := r.buildFull(context.Background(), object, nil, []*patch.Patch{p})
	if err != nil {
		return nil, err
	}
	name := kustomize.Title(p.Merges()[0].ID)
	if len(built) != 1 {
		return nil, fmt.Errorf("deletes %s; to do that, DELETE the object", name)
	}
	after := built[0]
	if changed := patch.ChangedIdentity(before, after.Values()); changed != "" {
		return nil, fmt.Errorf("must not change %s of %s, because that makes it a different object", changed, name)
	}
	if at := directiveIn(after.Values()); at != "" {
		return nil, fmt.Errorf("%s: %s", at, directiveLeft)
	}
	return after.Text(), nil
}
