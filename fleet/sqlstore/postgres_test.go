package sqlstore_test

import (
	"testing"

	"github.com/tributary-gitops/tributary/fleet/storetest"
	"github.com/tributary-gitops/tributary/fleet/storetest/pgtest"
)

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(server.Database(t)) })
}
