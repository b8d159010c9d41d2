package render

import (
	"sync"

	"github.com/tributary-gitops/tributary/fleet"
)

// result is what a reading gave, remembered.
type result[T any] struct {
	value T
	err   error
}

// once returns what read gave for a key, reading at most a few times when many
// ask at once. read runs in withKustomize.
func once[T any](memo *sync.Map, key any, read func() (T, error)) (T, error) {
	if known, ok := memo.Load(key); ok {
		found := known.(result[T])
		return found.value, found.err
	}
	var value T
	err := withKustomize(func() (err error) {
		value, err = read()
		return err
	})
	memo.Store(key, result[T]{value, err})
	return value, err
}

// patchText is a patch without its place in the file: what it does.
type patchText struct {
	patch   string
	target  fleet.Target
	aimed   bool
	options fleet.PatchOptions
}

func patchKey(p fleet.Patch) patchText {
	key := patchText{patch: p.Patch, options: p.Options}
	if p.Target != nil {
		key.target, key.aimed = *p.Target, true
	}
	return key
}
