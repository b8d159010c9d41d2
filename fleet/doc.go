// Package fleet is the vocabulary of Tributary and its live state: clusters,
// snapshots, releases, the problems that keep a snapshot from being released,
// and Fleet, which follows a source, has every snapshot rendered and checked
// for all clusters, and publishes the result as an immutable View.
//
// It stands in the middle: sources, render, server and the change log import
// it, and it imports none of them. It never knows SQL, HTTP, Git or kustomize.
package fleet
