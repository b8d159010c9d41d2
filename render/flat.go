package render

import (
	"path/filepath"
	"reflect"

	"sigs.k8s.io/kustomize/api/types"
)

// A base is often a directory of directories, one for each component, whose kustomizations
// do nothing but name files. To kustomize each of them is a target of its own, with a
// configuration to merge, and takes as long as the objects in it. So it is given one
// kustomization that names all the files, in their order: without transformers, generators
// or anything else on the way that means the same. Where such a build fails, it is done again
// as it was written, so that messages name what the author knows.

// namesResources tells whether a kustomization does nothing but name resources.
func namesResources(k *types.Kustomization) bool {
	rest := *k
	rest.TypeMeta, rest.Resources = types.TypeMeta{}, nil
	return k.Kind == types.KustomizationKind && len(k.Resources) > 0 && reflect.DeepEqual(rest, types.Kustomization{})
}

// include adds the files that an entry stands for.
func (v *vetted) include(next *vetted) {
	v.plain = v.plain && next.plain && len(v.files)+len(next.files) <= maxObjects
	if !v.plain {
		v.files = nil // repeated often enough they could be millions
		return
	}
	v.files = append(v.files, next.files...)
	v.flat = v.flat || next.kind != ""
}

// flattened is the kustomization of a directory that names all files; "" for one that has
// to be read as it was written.
func (v *vetting) flattened(dir string) string {
	known := v.dirs[dir]
	if known == nil || !known.sound || !known.plain || !known.flat {
		return ""
	}
	var k kustomization
	for _, file := range known.files {
		relative, err := filepath.Rel(dir, file)
		if relative = filepath.ToSlash(relative); err != nil || isRemote(relative) {
			return ""
		}
		k.Resources = append(k.Resources, relative)
	}
	return string(k.yaml())
}
