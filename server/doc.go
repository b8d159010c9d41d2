// Package server answers over HTTP: the polls of Flux, the API for people and
// pipelines, and what probes and scrapers ask. It has the routes, decides who
// may read what, and says what went wrong as problem details (RFC 9457).
//
// A poll runs ahead of everything else (route, credential, view, bytes) because
// whole fleets poll at once and what they get was made when the release went
// live. All other requests go through the router, are logged and measured. What is
// more than can be answered is turned away at once (gate, pace, connections).
//
// It never holds a business rule, never computes what a cluster gets, and never
// writes a token anywhere.
package server
