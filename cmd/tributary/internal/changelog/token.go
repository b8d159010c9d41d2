package changelog

import (
	"context"
	"fmt"
	"os/user"
	"time"

	"github.com/tributary-gitops/tributary/fleet/controller"
	"github.com/tributary-gitops/tributary/fleet/credential"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/server/api"
)

// CreateToken creates a token in a change log without a server. Servers that use the
// change log accept the token. Unless create is set, there must be a change log.
func CreateToken(ctx context.Context, url string, create bool, request api.TokenRequest) (made api.CreatedToken, err error) {
	wanted := credential.Request{
		Name: request.Name, Role: request.Role, Cluster: request.Cluster, Labels: request.Labels, Uses: request.Uses, Selector: request.Selector,
	}
	if request.TTL != "" {
		if wanted.TTL, err = time.ParseDuration(request.TTL); err != nil {
			return made, err
		}
	}
	if !create {
		if err := sqlstore.RequireDatabase(ctx, url); err != nil {
			return made, fmt.Errorf("--store: %w; name the store of the server, or add --create to begin one before the server's first start", err)
		}
	}
	store, err := sqlstore.Open(ctx, url)
	if err != nil {
		return made, err
	}
	defer func() { _ = store.Close() }()
	f := controller.New(controller.Config{Store: store})
	if err := f.Restore(ctx); err != nil {
		return made, err
	}
	token, err := f.CreateToken(ctx, controller.WriteOptions{Actor: actor(), Reason: "tributary token create --store"}, wanted)
	if err != nil {
		return made, err
	}
	return api.CreatedToken{Token: api.Token{Token: token.Token}, Secret: token.Secret, Generation: token.Generation}, nil
}

// actor returns the actor for the history, where no credential is used.
func actor() string {
	u, err := user.Current()
	if err != nil {
		return "direct access to the store"
	}
	return fmt.Sprintf("%s, with direct access to the store", u.Username)
}
