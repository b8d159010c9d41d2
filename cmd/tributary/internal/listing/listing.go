// Package listing prints what a server has for a terminal: clusters, deltas, inputs, objects,
// releases, pins, tokens and changes, as tables.
//
//	clusters, err := client.Clusters(ctx, "environment=prod")
//	err = listing.Clusters(os.Stdout, clusters, time.Now())
//
// A function with a singular name prints one thing in full.
package listing

import (
	"maps"
	"slices"
	"strings"
)

// labelText returns labels as key=value, sorted by key.
func labelText(labels map[string]string) string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, key+"="+labels[key])
	}
	return strings.Join(all, ",")
}
