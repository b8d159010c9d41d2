package rollout_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-gitops/tributary/fleet"
	"github.com/tributary-gitops/tributary/fleet/rollout"
	"github.com/tributary-gitops/tributary/fleet/storetest/invariants"
)

// A scenario is some events, one after the other. The table has the rows that the last event writes,
// and the release that each cluster is on afterwards. It reads like this:
//
//	events   live A; start B; abort                     separated by semicolons
//	rows     ann: no row, bob: orphaned B               reason and release, then detail, what is
//	                                                    kept of the file, and the row that it covers
//	on       ann=A bob=B cid=-                          - stands for no release
//
// Unless a scenario says otherwise, the releases A, B and C have the files ann/dev, bob/dev and
// cid/prod, where the part after the slash is the label env. The waves are dev, prod and the rest.
//
// The events, where X is a release:
//
//	files X: ann/dev cid! dan/dev+
//	                            the files that X has; one with ! cannot be read, one with + has a dns
//	invalid X: ann bob          clusters that X is not valid for, from now on
//	valid X: ann bob            the opposite
//	live X                      X goes live for the whole fleet
//	start X                     X begins to roll out, or takes over
//	step                        the rollout reaches the next wave; the last makes its release live
//	part N                      the rollout has reached N clusters of the next wave
//	pause                       the rollout is paused
//	abort, revert               the rollout is aborted; the source goes back to live
//	pin P X: ann bob            pin P keeps those clusters on X; env=dev selects
//	unpin P                     pin P is removed, or expires
//	declare dan/dev             the API declares dan, or dan registers itself
//	relabel dan/prod            the API declares dan otherwise
//	decommission ann, purge ann
type scenario struct {
	name, events, rows, on string
}

var scenarios = []scenario{
	// Releases.
	{"first release", "live A", "", "ann=A bob=A cid=A"},
	{"release without exceptions writes no row", "live A; live B", "", "ann=B bob=B cid=B"},
	{"file that cannot be read has no release yet", "files A: ann/dev bob!; live A",
		"bob: failing -", "ann=A bob=-"},
	{"file that is mended", "files A: ann/dev bob!; live A; live B",
		"bob: no row", "ann=B bob=B cid=B"},
	{"invalid release keeps the one before", "live A; invalid B: bob; live B",
		"bob: failing A", "ann=B bob=A cid=B"},
	{"invalid release again keeps the good one", "live A; invalid B: bob; live B; invalid C: bob; live C",
		"", "ann=C bob=A cid=C"},
	{"release that is valid again", "live A; invalid B: bob; live B; live C",
		"bob: no row", "ann=C bob=C cid=C"},
	{"file that cannot be read keeps the release before", "live A; files B: ann/dev bob! cid/prod; live B",
		"bob: failing A", "ann=B bob=A cid=B"},
	{"new file of an invalid cluster", "live A; files B: ann/dev bob/dev cid/prod eve/dev; invalid B: eve; live B",
		"eve: failing -", "ann=B bob=B cid=B eve=-"},
	{"new file that stays invalid", "live A; files B: ann/dev bob/dev cid/prod eve/dev; invalid B: eve; live B; files C: ann/dev bob/dev cid/prod eve/dev; invalid C: eve; live C",
		"", "ann=C bob=C cid=C eve=-"},
	{"invalid new file that vanishes", "live A; files B: ann/dev bob/dev cid/prod eve/dev; invalid B: eve; live B; live C",
		"eve: no row", "ann=C bob=C cid=C"},

	// Orphaned clusters.
	{"vanished file", "live A; files B: ann/dev bob/dev; live B",
		"cid: orphaned A", "ann=B bob=B cid=A"},
	{"vanished file stays vanished", "live A; files B: ann/dev bob/dev; live B; files C: ann/dev; live C",
		"bob: orphaned B", "ann=C bob=B cid=A"},
	{"file that returns", "live A; files B: ann/dev bob/dev; live B; live C",
		"cid: no row", "ann=C bob=C cid=C"},
	{"file that returns but is invalid", "live A; files B: ann/dev bob/dev; live B; invalid C: cid; live C",
		"cid: failing A", "ann=C bob=C cid=A"},
	{"vanished file of a failing cluster", "live A; invalid B: cid; live B; files C: ann/dev bob/dev; live C",
		"cid: orphaned A", "ann=C bob=C cid=A"},
	{"vanished file of a pinned cluster", "live A; pin p A: cid; files B: ann/dev bob/dev; live B",
		"cid: orphaned A", "ann=B bob=B cid=A"},
	{"pin does not move an orphan", "live A; files B: ann/dev bob/dev; live B; pin p B: cid",
		"", "ann=B bob=B cid=A"},
	{"orphan that is declared anew", "live A; files B: ann/dev bob/dev; live B; declare cid/prod",
		"cid: no row", "ann=B bob=B cid=B"},
	{"orphan that is declared anew and pinned", "live A; files B: ann/dev bob/dev; live B; pin p A: env=prod; declare cid/prod",
		"cid: pinned A by p", "ann=B bob=B cid=A"},
	{"orphan is in no wave", "live A; files B: ann/dev bob/prod; live B; start C",
		"ann: rollout C", "ann=C bob=B cid=A"},
	{"file that returns with a rollout", "live A; files B: ann/dev bob/prod; live B; start C; step",
		"ann: no row, cid: no row", "ann=C bob=C cid=C"},
	{"orphan is decommissioned", "live A; files B: ann/dev bob/dev; live B; decommission cid",
		"cid: no row", "ann=B bob=B cid decommissioned from A"},
	{"orphan that returns to a pin", "live A; files B: ann/dev bob/dev; live B; pin p B: env=prod; live C",
		"cid: pinned B by p", "ann=C bob=C cid=B"},

	// Rollouts.
	{"first wave", "live A; start B",
		"ann: rollout B, bob: rollout B", "ann=B bob=B cid=A"},
	{"last wave", "live A; start B; step",
		"ann: no row, bob: no row", "ann=B bob=B cid=B"},
	{"part of a wave", "live A; files B: ann/dev bob/dev cid/prod; start B; part 1",
		"cid: rollout B", "ann=B bob=B cid=B"},
	{"wave that is invalid for a cluster", "live A; invalid B: bob; start B",
		"ann: rollout B, bob: failing A", "ann=B bob=A cid=A"},
	{"new cluster of a rollout", "live A; files B: ann/dev bob/dev cid/prod eve/prod; start B",
		"ann: rollout B, bob: rollout B, eve: rollout B", "ann=B bob=B cid=A eve=B"},
	{"new cluster that is invalid", "live A; files B: ann/dev bob/dev cid/prod eve/prod; invalid B: eve; start B",
		"ann: rollout B, bob: rollout B, eve: failing - with eve/prod", "ann=B bob=B cid=A eve=-"},
	{"wave of a release without the file", "live A; files B: ann/dev cid/prod; start B",
		"ann: rollout B", "ann=B bob=A cid=A"},
	{"rollout without the file goes live", "live A; files B: ann/dev cid/prod; start B; step",
		"ann: no row, bob: orphaned A", "ann=B bob=A cid=B"},
	{"abort", "live A; start B; abort",
		"ann: no row, bob: no row", "ann=A bob=A cid=A"},
	{"abort orphans new clusters", "live A; files B: ann/dev bob/dev cid/prod eve/prod; start B; abort",
		"ann: no row, bob: no row, eve: orphaned B", "ann=A bob=A cid=A eve=B"},
	{"abort forgets clusters that were never served", "live A; files B: ann/dev bob/dev cid/prod eve/prod; invalid B: eve; start B; abort",
		"ann: no row, bob: no row, eve: no row", "ann=A bob=A cid=A"},
	{"abort of a wave that was invalid", "live A; invalid B: bob; start B; abort",
		"ann: no row, bob: no row", "ann=A bob=A cid=A"},
	{"abort returns to a failing row", "live A; invalid B: bob; live B; start C; abort",
		"ann: no row, bob: failing A", "ann=B bob=A cid=B"},
	{"source goes back", "live A; start B; revert",
		"ann: no row, bob: no row", "ann=A bob=A cid=A"},
	{"source goes back from new clusters", "live A; files B: ann/dev bob/dev cid/prod eve/prod; start B; revert",
		"ann: no row, bob: no row, eve: orphaned B", "ann=A bob=A cid=A eve=B"},
	{"wave with a file that cannot be read", "live A; files B: ann/dev bob! cid/prod; start B",
		"ann: rollout B, bob: failing A", "ann=B bob=A cid=A"},
	{"release that goes live at once ends the rollout", "live A; start B; live C",
		"ann: no row, bob: no row", "ann=C bob=C cid=C"},
	{"paused rollout keeps its clusters", "live A; start B; pause",
		"", "ann=B bob=B cid=A"},

	// Takeovers.
	{"takeover", "live A; start B; step; start C",
		"ann: rollout C, bob: rollout C", "ann=C bob=C cid=B"},
	{"takeover of part of the fleet", "live A; files C: ann/prod bob/dev cid/prod; start B; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B", "ann=C bob=C cid=A"},
	{"takeover, then abort", "live A; start B; start C; abort",
		"ann: superseded B, bob: superseded B", "ann=B bob=B cid=A"},
	{"takeover that orphans, then abort", "live A; files B: ann/dev bob/dev cid/prod eve/dev; start B; start C; abort",
		"ann: superseded B, bob: superseded B", "ann=B bob=B cid=A eve=B"},
	{"takeover, then the source goes back", "live A; start B; start C; revert",
		"ann: no row, bob: no row", "ann=A bob=A cid=A"},
	{"takeover goes live", "live A; start B; start C; step",
		"ann: no row, bob: no row", "ann=C bob=C cid=C"},
	{"takeover that is invalid goes back to what it covers", "live A; start B; invalid C: ann; start C",
		"ann: failing B over superseded B, bob: rollout C over superseded B", "ann=B bob=C cid=A"},
	{"failing row under a takeover", "live A; invalid B: bob; start B; start C",
		"ann: rollout C over superseded B, bob: rollout C over failing A", "ann=C bob=C cid=A"},
	{"failing row under a takeover, then abort", "live A; invalid B: bob; start B; start C; abort",
		"ann: superseded B, bob: no row", "ann=B bob=A cid=A"},
	{"takeover of a pinned new cluster", "live A; files B: ann/dev bob/dev cid/prod eve/dev; start B; pin p B: eve; start C; unpin p",
		"eve: superseded B", "ann=C bob=C cid=A eve=B"},
	{"takeover of a new cluster that is pinned to a release without it", "live A; files B: ann/dev bob/dev cid/prod eve/dev; start B; pin p A: eve; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B, eve: pinned A by p with eve/dev over superseded B", "ann=C bob=C cid=A eve=A"},
	{"takeover of an invalid new cluster", "live A; files B: ann/dev bob/dev cid/prod eve/dev; invalid B: eve; start B; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B, eve: no row", "ann=C bob=C cid=A"},
	{"takeover after the superseded clusters moved on", "live A; start B; start C; step; start B",
		"ann: rollout B, bob: rollout B", "ann=B bob=B cid=C"},
	{"second takeover covers the last release only", "live A; files D: ann/dev bob/dev cid/prod; start B; start C; start D",
		"ann: rollout D over superseded C, bob: rollout D over superseded C", "ann=D bob=D cid=A"},
	{"takeover, then the source goes back from new clusters", "live A; files B: ann/dev bob/dev cid/prod eve/dev; start B; start C; revert",
		"ann: no row, bob: no row, eve: orphaned B", "ann=A bob=A cid=A eve=B"},
	{"takeover that has the new cluster too", "live A; files B: ann/dev bob/dev cid/prod eve/prod; files C: ann/dev bob/dev cid/prod eve/prod; start B; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B, eve: superseded B", "ann=C bob=C cid=A eve=B"},

	// Pins.
	{"pin to the live release", "live A; pin p A: ann",
		"ann: pinned A by p", "ann=A bob=A cid=A"},
	{"pin to an earlier release", "live A; live B; pin p A: env=dev",
		"ann: pinned A by p, bob: pinned A by p", "ann=A bob=A cid=B"},
	{"pin survives a release", "live A; pin p A: ann; live B",
		"", "ann=A bob=B cid=B"},
	{"pin that names a cluster comes first", "live A; live B; pin a B: env=dev; pin z A: ann",
		"ann: pinned A by z", "ann=A bob=B cid=B"},
	{"first pin by name comes first", "live A; live B; pin z A: env=dev; pin a B: env=dev",
		"ann: pinned B by a, bob: pinned B by a", "ann=B bob=B cid=B"},
	{"unpin leaves the other pin", "live A; live B; pin a B: env=dev; pin z A: ann; unpin z",
		"ann: pinned B by a", "ann=B bob=B cid=B"},
	{"unpin", "live A; pin p A: ann; live B; unpin p",
		"ann: no row", "ann=B bob=B cid=B"},
	{"unpin to a release that is invalid", "live A; pin p A: ann; live B; invalid B: ann; unpin p",
		"ann: failing A", "ann=A bob=B cid=B"},
	{"pin to another release", "live A; live B; pin p A: ann; live C; pin p B: ann",
		"ann: pinned B by p", "ann=B bob=C cid=C"},
	{"pin holds against a wave", "live A; pin p A: ann; start B",
		"bob: rollout B", "ann=A bob=B cid=A"},
	{"pin of a cluster that was reached", "live A; start B; pin p A: ann",
		"ann: pinned A by p", "ann=A bob=B cid=A"},
	{"unpin after the wave", "live A; pin p A: ann; start B; unpin p",
		"ann: rollout B", "ann=B bob=B cid=A"},
	{"unpin before the wave", "live A; pin p C: cid; start B; unpin p",
		"cid: no row", "ann=B bob=B cid=A"},
	{"pin covers a superseded row", "live A; start B; start C; abort; pin p A: ann",
		"ann: pinned A by p over superseded B", "ann=A bob=B cid=A"},
	{"unpin returns to a superseded row", "live A; start B; start C; abort; pin p A: ann; unpin p",
		"ann: superseded B", "ann=B bob=B cid=A"},
	{"unpin returns to the rollout over a superseded row", "live A; start B; start C; pin p A: ann; unpin p",
		"ann: rollout C over superseded B", "ann=C bob=C cid=A"},
	{"going live drops what a pin covers", "live A; start B; start C; pin p A: ann; live C",
		"ann: pinned A by p, bob: no row", "ann=A bob=C cid=C"},
	{"pin covers a failing row", "live A; invalid B: bob; live B; pin p A: bob; unpin p",
		"bob: failing A", "ann=B bob=A cid=B"},
	{"abort under a pin", "live A; start B; pin p A: ann; abort",
		"bob: no row", "ann=A bob=A cid=A"},
	{"pinned release has other labels", "files A: ann/prod bob/dev cid/prod; live A; live B; pin p A: env=dev",
		"ann: pinned A by p, bob: pinned A by p", "ann=A bob=A cid=B"},
	{"declared cluster keeps its declaration under a pin", "files A: ann/dev bob/dev cid/prod dan/dev; live A; files B: ann/dev bob/dev cid/prod; live B; declare dan/prod; pin p A: dan",
		"dan: pinned A by p", "ann=B bob=B cid=B dan=A"},
	{"vanished file, pinned, returns", "live A; pin p A: cid; files B: ann/dev bob/dev; live B; live C",
		"cid: pinned A by p", "ann=C bob=C cid=A"},
	{"pinned clusters that a release relabels", "live A; live B; pin p A: env=prod; files C: ann/prod bob/dev cid/dev; live C",
		"ann: pinned A by p, cid: no row", "ann=A bob=C cid=C"},
	{"release relabels onto a pin that is invalid", "live A; live B; pin p A: env=prod; invalid A: ann; files C: ann/prod bob/dev cid/prod; live C",
		"ann: failing B", "ann=B bob=C cid=A"},
	{"pin to the release that rolls out, then abort", "live A; start B; pin p B: cid; abort",
		"ann: no row, bob: no row", "ann=A bob=A cid=B"},
	{"pin of a new cluster, then abort", "live A; files B: ann/dev bob/dev cid/prod eve/dev; start B; pin p B: eve; abort",
		"ann: no row, bob: no row, eve: orphaned B", "ann=A bob=A cid=A eve=B"},
	{"pinned release has no file", "live A; files B: ann/dev bob/dev cid/prod dan/dev; live B; pin p A: dan",
		"dan: pinned A by p", "ann=B bob=B cid=B dan=A"},
	{"pinned release has no file, and the file vanishes", "live A; files B: ann/dev bob/dev cid/prod dan/dev; live B; pin p A: dan; live C",
		"dan: orphaned A with dan/dev", "ann=C bob=C cid=C dan=A"},
	{"pinned release is invalid for the new file", "live A; files B: ann/dev bob/dev cid/prod dan/dev; live B; pin p A: dan; invalid A: dan; files C: ann/dev bob/dev cid/prod dan/prod; live C",
		"dan: pinned A by p with dan/dev", "ann=C bob=C cid=C dan=A"},
	{"pinned release is invalid for the first file", "live A; declare dan/dev; pin p A: dan; invalid A: dan; files B: ann/dev bob/dev cid/prod dan/dev+; live B",
		"dan: pinned A by p with dan/dev", "ann=B bob=B cid=B dan=A"},
	{"pinned cluster whose file cannot be read", "live A; files B: ann/dev bob/dev cid/prod dan/dev; live B; pin p A: env=dev; files C: ann/dev bob/dev cid/prod dan!; live C",
		"dan: pinned A by p with dan/dev", "ann=A bob=A cid=C dan=A"},
	{"takeover of a new cluster that was never served", "live A; files B: ann/dev bob/dev cid/prod eve/prod; invalid B: eve; start B; files C: ann/dev bob/dev cid/prod eve/prod; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B, eve: rollout C", "ann=C bob=C cid=A eve=C"},
	{"takeover of a new cluster that was never served, by an unreadable file", "live A; files B: ann/dev bob/dev cid/prod eve/prod; invalid B: eve; start B; files C: ann/dev bob/dev cid/prod eve!; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B", "ann=C bob=C cid=A eve=-"},
	{"takeover of a new cluster that was never served, by a release without it", "live A; files B: ann/dev bob/dev cid/prod eve/prod; invalid B: eve; start B; start C",
		"ann: rollout C over superseded B, bob: rollout C over superseded B, eve: no row", "ann=C bob=C cid=A"},
	{"pin in a paused rollout", "live A; start B; pause; pin p A: env=dev",
		"ann: pinned A by p, bob: pinned A by p", "ann=A bob=A cid=A"},

	// Clusters that the API declares.
	{"registration", "live A; declare dan/dev",
		"", "ann=A bob=A cid=A dan=A"},
	{"registration onto a pin", "live A; live B; pin p A: env=dev; declare dan/dev",
		"dan: pinned A by p", "ann=A bob=A cid=B dan=A"},
	{"registration before its wave", "live A; start B; declare dan/prod",
		"", "ann=B bob=B cid=A dan=A"},
	{"registration into a wave that was reached", "live A; start B; declare dan/dev; step",
		"ann: no row, bob: no row", "ann=B bob=B cid=B dan=B"},
	{"registration in a paused rollout", "live A; start B; pause; declare dan/dev",
		"", "ann=B bob=B cid=A dan=A"},
	{"relabelling in a paused rollout", "live A; declare dan/dev; start B; pause; relabel dan/prod",
		"", "ann=B bob=B cid=A dan=B"},
	{"relabelling before the wave", "live A; declare dan/prod; start B; relabel dan/dev",
		"", "ann=B bob=B cid=A dan=A"},
	{"relabelling under a pin that names it", "live A; declare dan/prod; live B; pin p A: dan; relabel dan/dev",
		"", "ann=B bob=B cid=B dan=A"},
	{"declared cluster is aborted", "live A; declare dan/dev; start B; abort",
		"ann: no row, bob: no row, dan: no row", "ann=A bob=A cid=A dan=A"},
	{"relabelling in a rollout keeps the wave", "live A; declare dan/dev; start B; relabel dan/prod",
		"", "ann=B bob=B cid=A dan=B"},
	{"relabelling onto a pin", "live A; live B; pin p A: env=prod; declare dan/dev; relabel dan/prod",
		"dan: pinned A by p", "ann=B bob=B cid=A dan=A"},
	{"relabelling away from a pin", "live A; live B; pin p A: env=prod; declare dan/prod; relabel dan/dev",
		"dan: no row", "ann=B bob=B cid=A dan=B"},
	{"relabelling away from a pin after its wave", "live A; pin p A: env=prod; declare dan/prod; declare eli/dev; start B; step; relabel dan/dev",
		"dan: no row", "ann=B bob=B cid=A dan=B eli=B"},
	{"declared cluster gets a file", "live A; declare dan/dev; files B: ann/dev bob/dev cid/prod dan/dev+; live B",
		"", "ann=B bob=B cid=B dan=B"},
	{"declared cluster gets a file that is invalid", "live A; declare dan/dev; invalid B: dan; files B: ann/dev bob/dev cid/prod dan/dev+; live B",
		"dan: failing A with dan/dev", "ann=B bob=B cid=B dan=A"},
	{"failing cluster keeps the spec that its release lacks", "live A; files B: ann/dev bob/dev cid/prod dan/dev; live B; pin p A: dan; invalid B: dan; unpin p; invalid C: dan; files C: ann/dev bob/dev cid/prod dan/prod; live C",
		"dan: failing A with dan/dev", "ann=C bob=C cid=C dan=A"},
	{"file that contradicts a declaration", "live A; declare dan/dev; files B: ann/dev bob/dev cid/prod dan/prod; live B",
		"", "ann=B bob=B cid=B dan=B"},
	{"file that contradicts a declaration and is invalid", "live A; declare dan/dev; invalid B: dan; files B: ann/dev bob/dev cid/prod dan/prod; live B",
		"dan: failing A with dan/dev", "ann=B bob=B cid=B dan=A"},
	{"rollout contradicts a declaration", "live A; declare dan/prod; files B: ann/dev bob/dev cid/prod dan/dev; start B",
		"ann: rollout B, bob: rollout B, dan: rollout B", "ann=B bob=B cid=A dan=B"},
	{"rollout contradicts a declaration and is invalid", "live A; declare dan/dev; invalid B: dan; files B: ann/dev bob/dev cid/prod dan/prod; start B",
		"ann: rollout B, bob: rollout B, dan: failing A with dan/dev", "ann=B bob=B cid=A dan=A"},
	{"rollout contradicts a declaration and is invalid, then abort", "live A; declare dan/dev; invalid B: dan; files B: ann/dev bob/dev cid/prod dan/prod; start B; abort",
		"ann: no row, bob: no row, dan: orphaned A with dan/dev", "ann=A bob=A cid=A dan=A"},
	{"rollout contradicts a superseded declaration, then abort", "live A; declare dan/dev; start B; files C: ann/dev bob/dev cid/prod dan/prod; start C; abort",
		"ann: superseded B, bob: superseded B, dan: superseded B with dan/dev", "ann=B bob=B cid=A dan=B"},
	{"rollout contradicts a failing declaration, then abort", "live A; declare dan/dev; invalid B: dan; live B; files C: ann/dev bob/dev cid/prod dan/prod; start C; abort",
		"ann: no row, bob: no row, dan: orphaned A with dan/dev", "ann=B bob=B cid=B dan=A"},
	{"rollout contradicts a declaration onto a pin", "live A; declare dan/dev; pin p A: env=prod; files B: ann/dev bob/dev cid/prod dan/prod; start B",
		"ann: rollout B, bob: rollout B, dan: pinned A by p with dan/prod", "ann=B bob=B cid=A dan=A"},
	{"rollout contradicts a declaration onto a pin that is invalid", "live A; declare dan/dev; pin p A: env=prod; invalid A: dan; files B: ann/dev bob/dev cid/prod dan/prod; start B",
		"ann: rollout B, bob: rollout B, dan: pinned A by p with dan/dev", "ann=B bob=B cid=A dan=A"},
	{"declared cluster is invalid", "live A; declare dan/dev; invalid B: dan; live B",
		"dan: failing A", "ann=B bob=B cid=B dan=A"},

	// Decommissioned clusters.
	{"decommission", "live A; decommission ann",
		"", "ann decommissioned from A bob=A cid=A"},
	{"decommission of a pinned cluster", "live A; pin p A: ann; decommission ann",
		"ann: no row", "ann decommissioned from A bob=A cid=A"},
	{"decommission in a rollout", "live A; start B; decommission ann",
		"ann: no row", "ann decommissioned from B bob=B cid=A"},
	{"decommission of a new cluster, then abort", "live A; files B: ann/dev bob/dev cid/prod eve/dev; start B; decommission eve; abort",
		"ann: no row, bob: no row", "ann=A bob=A cid=A eve decommissioned from B"},
	{"decommission of a superseded cluster", "live A; start B; start C; abort; decommission ann",
		"ann: no row", "ann decommissioned from B bob=B cid=A"},
	{"decommissioned cluster in a release", "live A; decommission ann; live B",
		"", "ann decommissioned from A bob=B cid=B"},
	{"purge in a rollout", "live A; declare dan/dev; start B; decommission dan; purge dan",
		"", "ann=B bob=B cid=A"},
	{"purge after the source lost the file", "live A; decommission cid; files B: ann/dev bob/dev; live B; purge cid",
		"", "ann=B bob=B"},
	{"decommissioned cluster is in no wave", "live A; decommission ann; start B",
		"bob: rollout B", "ann decommissioned from A bob=B cid=A"},
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			rows := ""
			for event := range strings.SplitSeq(s.events, ";") {
				rows = w.apply(strings.TrimSpace(event))
				w.checkInvariants(event)
			}
			if on := w.on(); rows != s.rows || on != s.on {
				t.Errorf("%s\n{%q, %q,\n\t%q, %q},\nwant\n\t%q, %q", s.events, s.name, s.events, rows, on, s.rows, s.on)
			}
		})
	}
}

// world is a fleet whose releases are made up.
type world struct {
	t        *testing.T
	state    *fleet.State
	releases map[string]*fleet.Compiled
	invalid  map[string]bool // ann@B: B is not valid for ann
	was      map[string]bool // clusters that a file or the API ever declared
}

// repo is a fleet repo of which only the waves and the unreadable files are known.
type repo struct {
	fleet.Repo
	broken map[string]fleet.Problem
}

func (r repo) Broken() map[string]fleet.Problem { return r.broken }
func (repo) Unread() map[string]fleet.Problem   { return nil }
func (repo) CommitURL() string                  { return "" }
func (repo) Waves() []fleet.WaveRule {
	env := func(value string) fleet.Selector {
		return fleet.Selector{MatchLabels: map[string]string{"env": value}}
	}
	return []fleet.WaveRule{{Name: "dev", Selector: env("dev")}, {Name: "prod", Selector: env("prod")}}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, state: fleet.NewState(&fleet.LogState{}), releases: map[string]*fleet.Compiled{}, invalid: map[string]bool{}, was: map[string]bool{}}
	for _, name := range []string{"A", "B", "C"} {
		w.setFiles(name, []string{"ann/dev", "bob/dev", "cid/prod"})
	}
	return w
}

func ref(release string) fleet.ReleaseRef {
	return fleet.ReleaseRef{Revision: release, Snapshot: "sha256:" + release}
}

func (w *world) setFiles(release string, files []string) {
	c := &fleet.Compiled{Ref: ref(release), Files: map[string]*fleet.Cluster{}}
	broken := map[string]fleet.Problem{}
	for _, file := range files {
		name, env, _ := strings.Cut(strings.TrimRight(file, "!+"), "/")
		if strings.HasSuffix(file, "!") {
			broken[name] = fleet.Problem{File: name + ".yaml", Message: "broken"}
			continue
		}
		c.Files[name] = &fleet.Cluster{Name: name, File: name + ".yaml", Labels: map[string]string{"env": env}}
		if strings.HasSuffix(file, "+") {
			c.Files[name].DNS = name + ".example.com"
		}
	}
	c.Names, c.Repo = slices.Sorted(maps.Keys(c.Files)), repo{broken: broken}
	w.releases[release] = c
}

func (w *world) lookup(r fleet.ReleaseRef) *fleet.Compiled { return w.releases[r.Revision] }

// apply applies an event, and returns the rows that it writes.
func (w *world) apply(event string) string {
	w.t.Helper()
	head, tail, _ := strings.Cut(event, ":")
	verb, list := strings.Fields(head), strings.Fields(tail)
	arg := func(i int) string { return append(verb, "", "", "")[i] }
	rules := rollout.NewRules(w.state, w.lookup)
	c := &fleet.Change{Generation: w.state.Generation + 1}
	var p *rollout.Plan
	var err error
	switch arg(0) {
	case "files":
		w.setFiles(arg(1), list)
		return ""
	case "invalid", "valid":
		for _, name := range list {
			w.invalid[name+"@"+arg(1)] = arg(0) == "invalid"
		}
		return ""
	case "live":
		p, err = w.goLive(rules, c, arg(1))
	case "start":
		release := w.releases[arg(1)]
		waves, added := rules.Waves(release)
		if len(waves) < 2 {
			w.t.Fatalf("%s: %d waves; it would go live at once", event, len(waves))
		}
		c.Kind, c.Rollout = fleet.ReleaseRolledOut, &fleet.RolloutChange{Started: &fleet.Rollout{
			Release: release.Ref, Waves: waves, New: added, RolloutProgress: fleet.RolloutProgress{Step: 1, Generation: c.Generation},
		}}
		w.dropContradicted(rules, c, release)
		p, err = rules.Start(c, release)
	case "step", "part":
		progress := w.state.Rollout.RolloutProgress
		if arg(0) == "part" {
			_, _ = fmt.Sscan(arg(1), &progress.Part)
		} else if progress.Step, progress.Part = progress.Step+1, 0; progress.Step == len(w.state.Rollout.Waves) {
			p, err = w.goLive(rules, c, w.state.Rollout.Release.Revision)
			break
		}
		c.Kind, c.Rollout = fleet.ReleaseRolledOut, &fleet.RolloutChange{Progress: &progress}
		p, err = rules.Step(c)
	case "pause":
		progress := w.state.Rollout.RolloutProgress
		progress.Paused = &fleet.RolloutPause{Reason: fleet.PauseManual}
		c.Rollout = &fleet.RolloutChange{Progress: &progress}
		w.state = w.state.Apply(c)
		return ""
	case "abort", "revert":
		c.Kind = fleet.ReleaseRolledOut
		p, err = rules.End(c, arg(0) == "revert")
	case "pin", "unpin":
		c.Kind, c.Pins = fleet.Pinned, []fleet.PinChange{{Pin: arg(1), Before: w.state.Pins.Get(arg(1)), After: pin(arg(1), arg(2), list)}}
		p, err = rules.Repin(c, w.releases[arg(2)])
	default:
		c.Kind, c.Records = fleet.Written, []fleet.RecordChange{w.record(rules, arg(0), arg(1))}
		if arg(0) == "purge" {
			c.Kind = fleet.Purged
		}
		p, err = rules.Redeclare(c, nil)
	}
	if err != nil {
		w.t.Fatalf("%s: %v", event, err)
	}
	w.evaluate(p)
	before := w.state
	w.state = before.Apply(p.Change())
	var rows []string
	for _, a := range p.Change().Assignments {
		if before.Assignments[a.Cluster] != a.Before {
			w.t.Errorf("%s: %s is changed from another row than it has", event, a.Cluster)
		}
		rows = append(rows, a.Cluster+": "+rowText(a.After))
	}
	return strings.Join(rows, ", ")
}

func (w *world) goLive(rules *rollout.Rules, c *fleet.Change, release string) (*rollout.Plan, error) {
	c.Kind, c.Release = fleet.WentLive, &fleet.ReleaseEvent{Ref: ref(release), To: fleet.Live}
	w.dropContradicted(rules, c, w.releases[release])
	return rules.GoLive(c, w.releases[release])
}

// dropContradicted ends declarations that the files of a release contradict, as the controller does.
func (w *world) dropContradicted(rules *rollout.Rules, c *fleet.Change, release *fleet.Compiled) {
	for _, name := range rules.Contradicted(release) {
		c.Records = append(c.Records, fleet.RecordChange{Cluster: name, Before: w.state.Records[name]})
	}
}

func pin(name, release string, scope []string) *fleet.Pin {
	if release == "" {
		return nil
	}
	p := &fleet.Pin{Name: name, Release: release, Revision: release, Snapshot: ref(release).Snapshot}
	if env, selects := strings.CutPrefix(scope[0], "env="); selects {
		p.Selector = &fleet.Selector{MatchLabels: map[string]string{"env": env}}
	} else {
		p.Clusters = scope
	}
	return p
}

func (w *world) record(rules *rollout.Rules, verb, cluster string) fleet.RecordChange {
	name, env, _ := strings.Cut(cluster, "/")
	before := w.state.Records[name]
	after := &fleet.ClusterRecord{Cluster: name}
	if before != nil {
		*after = *before
	}
	declared := &fleet.Declaration{Labels: map[string]string{"env": env}}
	switch verb {
	case "declare":
		after.Since, after.Declared = w.state.Generation+1, declared
	case "relabel":
		after.Declared = declared
	case "decommission":
		after.Decommissioned = &fleet.Tombstone{Row: rules.TombstoneRow(name)}
	case "purge":
		after = nil
	default:
		w.t.Fatalf("there is no event %q", verb)
	}
	return fleet.RecordChange{Cluster: name, Before: before, After: after}
}

// evaluate does what the controller does by rendering: it says which clusters their release is not
// valid for, first for where they should be, and again for where they are moved.
func (w *world) evaluate(p *rollout.Plan) {
	p.Fail(p.Unreadable())
	for range 2 {
		var failing []fleet.FailingCluster
		for _, name := range p.Touched() {
			on := p.State().On(name)
			if w.invalid[name+"@"+on.Revision] && !p.State().Records[name].IsDecommissioned() && (w.state.On(name) != on || !sameSpec(w.spec(w.state, name), w.spec(p.State(), name))) {
				failing = append(failing, fleet.FailingCluster{Cluster: name, Reason: "invalid"})
			}
		}
		p.Fail(failing)
	}
}

// spec returns what a cluster is on the release that it is on.
func (w *world) spec(s *fleet.State, name string) *fleet.Cluster {
	a := s.Assignments[name]
	if a == nil {
		a = &fleet.Assignment{}
	}
	return s.Spec(name, w.lookup(s.On(name)), a.Reason, a.Spec, w.lookup)
}

func sameSpec(a, b *fleet.Cluster) bool { return a != nil && b != nil && a.SameIdentity(b) }

func rowText(a *fleet.Assignment) string {
	if a == nil {
		return "no row"
	}
	text := string(a.Reason) + " " + releaseText(a.Release)
	if a.Reason == fleet.ReasonPinned {
		text += " by " + a.Detail
	}
	if a.Spec != nil {
		text += " with " + a.Cluster + "/" + a.Spec.Labels["env"] + strings.Repeat("+", min(len(a.Spec.DNS), 1))
	}
	if a.Previous != nil {
		text += " over " + rowText(a.Previous)
	}
	return text
}

func releaseText(r fleet.ReleaseRef) string {
	if r.IsZero() {
		return "-"
	}
	return r.Revision
}

// on returns the release of each cluster.
func (w *world) on() string {
	var all []string
	for _, name := range w.state.Names(w.lookup) {
		if text := releaseText(w.state.On(name)); w.state.Records[name].IsDecommissioned() {
			all = append(all, name+" decommissioned from "+releaseText(w.state.Records[name].Decommissioned.Row.Release))
		} else {
			all = append(all, name+"="+text)
		}
	}
	return strings.Join(all, " ")
}

// checkInvariants checks what holds after every change, and that no cluster is forgotten.
func (w *world) checkInvariants(event string) {
	w.t.Helper()
	s := w.state
	if s.Live == nil {
		return
	}
	isValid := func(s *fleet.State, name string, on rollout.Target) bool {
		if on.Reason == "" && s.On(name).IsZero() && w.lookup(on.Release).File(name) == nil && !s.Records[name].IsDeclared() {
			return false // The live release has none of a cluster that was never served.
		}
		_, broken := w.lookup(on.Release).Repo.Broken()[name]
		return !broken && !w.invalid[name+"@"+on.Release.Revision]
	}
	for _, broken := range (invariants.Rules{Compiled: w.lookup, IsValid: isValid}).Broken(s) {
		w.t.Errorf("after %s: %s", event, broken)
	}
	live := w.lookup(s.LiveRef())
	for _, name := range slices.Concat(s.Names(w.lookup), slices.Sorted(maps.Keys(w.was))) {
		row, isPurge := s.Assignments[name], strings.HasPrefix(strings.TrimSpace(event), "purge")
		known := row != nil || live.File(name) != nil || s.Records[name].IsDeclared() || s.Records[name].IsDecommissioned()
		if w.was[name] && !known && !isPurge {
			w.t.Errorf("after %s: %s is forgotten", event, name)
		}
		if row != nil && !row.Release.IsZero() && w.lookup(row.Release) == nil {
			w.t.Errorf("after %s: %s is on a release that is not stored: %s", event, name, rowText(row))
		}
		if w.was[name] = known && !s.On(name).IsZero(); !w.was[name] {
			delete(w.was, name)
		}
	}
}
