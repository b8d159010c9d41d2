package pgtest

import "testing"

// Dump writes the database at a URL, as it is at one moment, to a file of pg_dump's own format in
// the server's directory.
func (s *Server) Dump(t testing.TB, url, file string) {
	t.Helper()
	s.run(t, "pg_dump", "--format", "custom", "--file", file, url)
}

// Restore replaces the contents of the database at a URL by those of such a file.
func (s *Server) Restore(t testing.TB, file, url string) {
	t.Helper()
	s.run(t, "pg_restore", "--exit-on-error", "--single-transaction", "--clean", "--if-exists", "--no-owner", "--dbname", url, file)
}
