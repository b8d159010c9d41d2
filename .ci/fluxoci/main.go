// Command fluxoci pushes and pulls artifacts with Flux's own library, as
// `flux push artifact` and `flux pull artifact` do, for the tests. It is a separate module,
// so that Flux's dependencies do not become Tributary's.
//
//	fluxoci push DIR registry/repository:tag    prints the digest of the artifact
//	fluxoci pull registry/repository:tag DIR    prints the artifact's source and revision
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/oci"
	"github.com/google/go-containerregistry/pkg/crane"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fluxoci:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	client := oci.NewClient([]crane.Option{crane.Insecure})
	switch {
	case len(args) == 3 && args[0] == "push":
		meta := oci.Metadata{Source: "https://git.example.com/fleet.git", Revision: "main@sha1:0123456789012345678901234567890123456789"}
		pushed, err := client.Push(ctx, args[2], args[1], oci.WithPushMetadata(meta))
		if err != nil {
			return err
		}
		fmt.Println(pushed)
		return nil
	case len(args) == 3 && args[0] == "pull":
		if err := os.MkdirAll(args[2], 0o755); err != nil {
			return err
		}
		meta, err := client.Pull(ctx, args[1], args[2])
		if err != nil {
			return err
		}
		fmt.Println(meta.Source, meta.Revision, meta.Created)
		return nil
	}
	return fmt.Errorf("usage: fluxoci push DIR REFERENCE, or fluxoci pull REFERENCE DIR")
}
