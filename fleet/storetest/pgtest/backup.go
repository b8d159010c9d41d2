package pgtest

import "testing"

// Dump writes a database, given by its URL, to a file of pg_dump's own format in
// the server's directory, as it is at one moment.
func (s *Server) Dump(t testing.TB, url, file string) {
	t.Helper()
	s.run(t, "pg_dump", "--format", "custom", "--file", file, url)
}

// Restore puts what is in such a file in the place of what is in a database, given
// by its URL.
func (s *Server) Restore(t testing.TB, file, url string) {
	t.Helper()
	s.run(t, "pg_restore", "--exit-on-error", "--single-transaction", "--clean", "--if-exists", "--no-owner", "--dbname", url, file)
}
