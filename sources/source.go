package sources

import (
	"io"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/sources/dir"
	"github.com/tributary-gitops/tributary/sources/git"
	"github.com/tributary-gitops/tributary/sources/oci"
)

// Source is a fleet.Source that must be closed, because it keeps connections.
// Its snapshots remain readable after Close.
type Source interface {
	fleet.Source
	io.Closer
}

// Open returns the source that ref names: a directory, the URL of a Git
// repository such as https://host/repo.git?ref=main, or an OCI artifact such as
// oci://registry/repo:tag. Open only parses, so a source that is down can be
// opened and fetched later. If ref is not a valid SOURCE, or the options do not
// apply to it, the error is a fleet.ErrInvalid whose text never contains a
// credential.
func Open(ref string, o Options) (Source, error) {
	at, err := parseLocation(ref)
	if err != nil {
		return nil, err
	}
	if err := o.check(at); err != nil {
		return nil, err
	}
	o.Limits = o.Limits.OrDefaults()
	switch {
	case at.repository != nil:
		return git.New(git.Config{
			Name: at.String(), URL: at.repository, Ref: at.ref, Path: at.path,
			Limits: o.Limits, TLS: o.TLS, Proxy: o.Proxy, PlainHTTP: o.PlainHTTP, Options: o.Git,
		})
	case at.artifact != nil:
		return oci.New(oci.Config{
			Name: at.String(), Reference: *at.artifact, Path: at.path,
			Limits: o.Limits, TLS: o.TLS, Proxy: o.Proxy, PlainHTTP: o.PlainHTTP, Options: o.OCI,
		}), nil
	}
	return dir.New(at.directory, o.Limits, nil), nil
}
