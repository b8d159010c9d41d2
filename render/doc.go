// Package render turns a fleet repo into inputs. It compiles a tree once
// (fleet.yaml, cluster files, schemas, and one kustomize build for each stack)
// and then renders each cluster with its own resources and patches, cheaply.
//
// It exists because running kustomize for every cluster costs milliseconds
// where microseconds must do. What a cluster gets is nevertheless what
// `kustomize build` gives for what the cluster stands for: every shortcut here
// is exact, and where none is, kustomize itself runs.
//
// It is pure: it reads nothing but the tree, and knows no clock, no network and
// no process. A tree is untrusted; whatever it holds ends in bounded time as a
// rendering or as problems.
package render
