package auth

import (
	"fmt"

	"github.com/tributary-gitops/tributary/fleet"
)

// String returns the name of the role, as people give it to a token.
func (r Role) String() string {
	for name, role := range roles {
		if role == r {
			return name
		}
	}
	return "none"
}

// Allow returns an error if the identity does not have a role. The error names both.
func (who Identity) Allow(role Role) error {
	switch {
	case role == Bootstrap && who.Role != Bootstrap && who.Role != Cluster && who.Role != Admin:
		return fmt.Errorf("%w: %q has the role %s, and a cluster is registered with a token of the role bootstrap or admin, or with its own", fleet.ErrForbidden, who.Name, who.Role)
	case who.Role >= role:
		return nil
	case who.Role == Bootstrap:
		return fmt.Errorf("%w: %q has the role bootstrap, which registers clusters and nothing else; this needs the role %s", fleet.ErrForbidden, who.Name, role)
	case who.Role == Cluster:
		return fmt.Errorf("%w: %q has the role cluster, which reads the inputs of cluster %q and nothing else; this needs the role %s", fleet.ErrForbidden, who.Name, who.Cluster, role)
	}
	return fmt.Errorf("%w: %q has the role %s, and this needs the role %s", fleet.ErrForbidden, who.Name, who.Role, role)
}
