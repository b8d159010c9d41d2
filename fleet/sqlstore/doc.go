// Package sqlstore is the durable change log: a fleet.Store in an SQLite file or
// a PostgreSQL database. It is there so that an acknowledged write survives the
// process, and so that a restart serves what was served before, whatever has
// become of the source.
//
// Both databases get the same SQL. What differs between them is in dialect.
// The package keeps and finds; it never decides anything.
package sqlstore
