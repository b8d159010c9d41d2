package server

import "net/http"

// Route is a line of the table, as tests see it.
type Route struct {
	Method, Path string
	Open         bool // needs no credential
	Poll         bool
	Webhook      bool // needs the webhooks' secret
}

// Routes are all there are.
func (s *Server) Routes() []Route {
	var all []Route
	for _, rt := range s.table {
		all = append(all, Route{rt.method, rt.path, rt.least == roleAnyone, rt.handle == nil, rt.least == roleHook})
	}
	return all
}

// ProblemTypes are all types of problems that the server can answer with.
func ProblemTypes() []string {
	types := []string{ProblemType + "internal"}
	for _, row := range problems {
		types = append(types, ProblemType+row.name)
	}
	return types
}

// HTTPServer is what Serve runs, for tests that look at its bounds.
func (s *Server) HTTPServer() *http.Server { return s.httpServer() }

// OpenAPI is the document.
var OpenAPI = openAPI

// NewProblem is how an error is answered.
var NewProblem = newProblem
