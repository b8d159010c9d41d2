// Package sqlstore is the durable change log: a [fleet.Store] in an SQLite file or a PostgreSQL
// database.
//
//	store, err := sqlstore.Open(ctx, "sqlite:/var/lib/tributary/tributary.db")
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	state, err := store.Load(ctx)
//
// An acknowledged change survives the process and a loss of power, and a restart serves what was
// served before, whatever has become of the source. Any number of processes may share a database.
//
// The schema, migrations/0001_schema.sql, explains the tables. Both databases get the same SQL;
// what differs between them is in dialect. The package stores and finds. It never decides
// anything, and never calls back.
package sqlstore
