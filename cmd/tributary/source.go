package main

import (
	"context"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources"
)

// sourceHelp is what every command that takes a SOURCE says of it.
const sourceHelp = `SOURCE is a directory or a branch of a Git repository:

  ./fleet
  https://github.com/acme/fleet.git?ref=main
  git+file:///srv/git/fleet.git

Without ref it is the branch that the remote's HEAD names.`

// snapshot fetches the source once. The caller closes what is returned first.
func snapshot(ctx context.Context, ref string) (sources.Source, *fleet.Snapshot, error) {
	source, err := sources.Open(ref, sources.Options{})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fleet.DefaultTimeout)
	defer cancel()
	s, err := source.Fetch(ctx, "")
	if err != nil {
		_ = source.Close()
		return nil, nil, err
	}
	return source, s, nil
}
