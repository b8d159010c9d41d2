package main

import (
	"context"
	"fmt"
	"os/user"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/sqlstore"
	"github.com/tributary-gitops/tributary/server/api"
)

// createInStore makes a token in a change log, without a server. A server that runs
// on it finds it there.
func createInStore(ctx context.Context, url string, request api.TokenRequest) (made api.CreatedToken, err error) {
	if request.TTL != "" {
		if request.TokenRequest.TTL, err = time.ParseDuration(request.TTL); err != nil {
			return made, err
		}
	}
	store, err := sqlstore.Open(ctx, url)
	if err != nil {
		return made, err
	}
	defer func() { _ = store.Close() }()
	f := fleet.New(fleet.Config{Store: store})
	if err := f.Restore(ctx); err != nil {
		return made, err
	}
	token, err := f.CreateToken(ctx, fleet.Write{Actor: whoami(), Reason: "tributary token create --store"}, request.TokenRequest)
	if err != nil {
		return made, err
	}
	return api.CreatedToken{Token: api.Token{Token: token.Token}, Secret: token.Secret, Generation: token.Generation}, nil
}

// whoami is who the history names where nobody has a credential yet.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return "who has the store"
	}
	return fmt.Sprintf("%s, who has the store", u.Username)
}
