package main

import (
	"context"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/sources"
)

// snapshot fetches the source once. The caller must close the Source.
func snapshot(ctx context.Context, ref string, o sources.Options) (sources.Source, *fleet.Snapshot, error) {
	source, err := sources.Open(ref, o)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, controller.DefaultTimeout)
	defer cancel()
	fetched, err := source.Fetch(ctx, "")
	if err != nil {
		_ = source.Close()
		return nil, nil, err
	}
	return source, fetched, nil
}
