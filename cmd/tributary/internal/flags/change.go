package flags

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/tributary-gitops/tributary/cmd/tributary/internal/document"
	"github.com/tributary-gitops/tributary/cmd/tributary/internal/setting"
	"github.com/tributary-gitops/tributary/fleet"
)

// Change describes a change to an object: the flags --set and --patch with their variants.
type Change struct {
	settings                    setting.List
	patch, patchFile, patchType string
}

// Bind adds the flags to f.
func (o *Change) Bind(f *pflag.FlagSet) {
	f.Var(o.settings.Flag("set"), "set", "change, such as spec.values.operator.replicaCount=5 (may be repeated)")
	f.Var(o.settings.Flag("set-string"), "set-string", "like --set, with values that are always strings (may be repeated)")
	f.Var(o.settings.Flag("set-json"), "set-json", "like --set, with values in JSON (may be repeated)")
	f.StringVar(&o.patch, "patch", "", "patch, as YAML or JSON")
	f.StringVar(&o.patchFile, "patch-file", "", "file with the patch, - for standard input")
	f.StringVar(&o.patchType, "type", "merge", "type of the patch: merge, json or strategic")
}

var patchTypes = map[string]fleet.PatchType{
	"merge": fleet.MergePatch, "json": fleet.JSONPatch, "strategic": fleet.StrategicMergePatch,
}

// ObjectChange is a change to an object: either a patch, or assignments.
type ObjectChange struct {
	patch       *fleet.ObjectPatch
	assignments setting.Assignments
}

// Read returns the change that the flags describe. A patch file "-" is stdin.
func (o *Change) Read(stdin io.Reader) (c ObjectChange, err error) {
	kind, known := patchTypes[o.patchType]
	given := 0
	for _, is := range []bool{len(o.settings) > 0, o.patch != "", o.patchFile != ""} {
		if is {
			given++
		}
	}
	switch {
	case !known:
		return c, fmt.Errorf("--type %q: must be merge, json or strategic", o.patchType)
	case given == 0:
		return c, errors.New("patch: no change given; use --set, --patch or --patch-file")
	case given > 1:
		return c, errors.New("patch: use only one of --set, --patch and --patch-file")
	case len(o.settings) > 0 && kind != fleet.MergePatch:
		return c, errors.New("--set makes a merge patch; leave out --type, or use --patch")
	case len(o.settings) > 0:
		c.assignments, err = o.settings.Assignments()
		return c, err
	}
	text := []byte(o.patch)
	if o.patchFile != "" {
		if text, err = document.ReadFile(o.patchFile, stdin); err != nil {
			return c, err
		}
	}
	body, err := document.ToJSON(text)
	if err != nil {
		return c, fmt.Errorf("the patch: %w", err)
	}
	c.patch = &fleet.ObjectPatch{Type: kind, Body: body}
	return c, nil
}

// Indexed reports whether the change sets an entry of a list by its index, which requires the object.
func (c ObjectChange) Indexed() bool { return c.assignments.Indexed() }

// IsMerge reports whether the change is a merge patch.
func (c ObjectChange) IsMerge() bool { return c.patch == nil || c.patch.Type == fleet.MergePatch }

// Patch returns the patch for an object, which may be nil unless the assignments are
// indexed.
func (c ObjectChange) Patch(object json.RawMessage) (fleet.ObjectPatch, error) {
	if c.patch != nil {
		return *c.patch, nil
	}
	body, err := c.assignments.MergePatch(object)
	return fleet.ObjectPatch{Type: fleet.MergePatch, Body: body}, err
}
