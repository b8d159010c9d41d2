package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// Append makes a change durable, in one transaction: it takes the generation, writes the entry,
// then what became of each thing, to the ledgers and to the present state.
func (s *Store) Append(ctx context.Context, c *fleet.Change) error {
	return s.write(ctx, fmt.Sprintf("change %d", c.Generation), func(ctx context.Context, tx *sql.Tx) error {
		if err := s.takeGeneration(ctx, tx, c); err != nil {
			return err
		}
		ids, err := s.nameReleases(ctx, tx, c)
		if err != nil {
			return err
		}
		a := appending{Store: s, tx: tx, change: c, ids: ids}
		for _, step := range []func(context.Context) error{
			a.saveRollout, a.saveEntry, a.saveClusters, a.saveReleases, a.goLive,
			a.saveDeltas, a.saveRecords, a.savePins, a.saveTokens, a.saveAssignments, a.saveLosses, a.purge,
		} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return s.notify(ctx, tx, changeNotice)
	})
}

// takeGeneration takes the next generation. It is the first statement, so that another writer
// waits here and finds the generation taken.
func (s *Store) takeGeneration(ctx context.Context, tx *sql.Tx, c *fleet.Change) error {
	if err := s.limitIdle(ctx, tx); err != nil {
		return err
	}
	text, args := `UPDATE head SET generation = $1 WHERE generation + 1 = $1`, []any{c.Generation}
	if c.Holder != "" {
		text += ` AND EXISTS (SELECT 1 FROM lease WHERE holder = $2 AND until > ` + s.dialect.now + `)`
		args = append(args, c.Holder)
	}
	result, err := s.exec(ctx, tx, text, args...)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	why := "another change has taken the generation, or the one before it is missing"
	if c.Holder != "" {
		why += ", or this server no longer holds the lease"
	}
	return fmt.Errorf("change %d: %w: %s", c.Generation, fleet.ErrConflict, why)
}

// appending is one change while it is appended.
type appending struct {
	*Store
	tx     *sql.Tx
	change *fleet.Change
	ids    releaseIDs
	// waves is the id of what the rollout that starts has in rollout_waves, or nil.
	waves *int64
}

// The values of changes.rollout.
const (
	rolloutStarted    = "started"
	rolloutProgressed = "progress"
	rolloutEnded      = "ended"
)

// saveRollout stores what became of the rollout: its waves once, when it starts, and its progress
// with each step.
func (a *appending) saveRollout(ctx context.Context) error {
	switch r := a.change.Rollout; {
	case r == nil:
		return nil
	case r.Ended:
		_, err := a.exec(ctx, a.tx, `UPDATE head SET rollout = NULL, progress = NULL`)
		return err
	case r.Started != nil:
		if err := a.requireSnapshot(ctx, r.Started.Release); err != nil {
			return err
		}
		id, err := a.saveWaves(ctx, r.Started, a.ids[r.Started.Release])
		a.waves = &id
		return err
	case r.Progress == nil:
		return nil
	default:
		progress, err := encode("rollout", r.Progress)
		if err != nil {
			return err
		}
		_, err = a.exec(ctx, a.tx, `UPDATE head SET progress = $1 WHERE rollout IS NOT NULL`, progress)
		return err
	}
}

// saveWaves stores the waves of a rollout and makes it the one in progress.
func (a *appending) saveWaves(ctx context.Context, r *fleet.Rollout, release int64) (id int64, err error) {
	document, err := encode("rollout", &rolloutDocument{r.Waves, r.New})
	if err != nil {
		return 0, err
	}
	progress, err := encode("rollout", &r.RolloutProgress)
	if err != nil {
		return 0, err
	}
	if id, err = a.reserveIDs(ctx, 1); err != nil {
		return 0, err
	}
	_, err = a.exec(ctx, a.tx, `INSERT INTO rollout_waves (id, release, document) VALUES ($1, $2, $3)`, id, release, document)
	if err != nil {
		return 0, err
	}
	_, err = a.exec(ctx, a.tx, `UPDATE head SET rollout = $1, progress = $2`, id, progress)
	return id, err
}

// reserveIDs returns the first of n ids that no row has had before. Prune relies on that.
func (a *appending) reserveIDs(ctx context.Context, n int) (first int64, err error) {
	if _, err := a.exec(ctx, a.tx, `UPDATE head SET last_id = last_id + $1`, n); err != nil {
		return 0, err
	}
	err = a.tx.QueryRowContext(ctx, `SELECT last_id FROM head`).Scan(&first)
	return first - int64(n) + 1, err
}

// requireSnapshot returns an ErrNotFound where the snapshot of a release is not in the store:
// no cluster could be put on the release.
func (a *appending) requireSnapshot(ctx context.Context, ref fleet.ReleaseRef) error {
	var one int
	err := a.tx.QueryRowContext(ctx, `SELECT 1 FROM snapshots WHERE digest = $1`, ref.Snapshot).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("snapshot %s: %w", ref.Snapshot, fleet.ErrNotFound)
	}
	return err
}

const changeColumns = `generation, made_at, kind, actor, reason, for_assigned,
	release, release_clusters, from_state, to_state, wave, pause, decision, rollout, waves, progress, candidate, losses`

func (a *appending) saveEntry(ctx context.Context) error {
	c := a.change
	values := []any{c.Generation, c.At.UnixMicro(), string(c.Kind), c.Actor, c.Reason, isForAssigned(c)}
	if r := c.Release; r == nil {
		values = append(values, nil, nil, nil, nil, nil, nil, nil)
	} else {
		pause, err := encode("pause", r.Pause)
		if err != nil {
			return err
		}
		decision, err := encode("decision", r.Decision)
		if err != nil {
			return err
		}
		values = append(values, a.ids[r.Ref], r.Clusters, string(r.From), string(r.To), orNull(r.Wave), pause, decision)
	}
	switch r := c.Rollout; {
	case r == nil:
		values = append(values, nil, nil, nil)
	case r.Ended:
		values = append(values, rolloutEnded, nil, nil)
	case r.Started != nil:
		progress, err := encode("rollout", &r.Started.RolloutProgress)
		if err != nil {
			return err
		}
		values = append(values, rolloutStarted, a.waves, progress)
	default:
		progress, err := encode("rollout", r.Progress)
		if err != nil {
			return err
		}
		values = append(values, rolloutProgressed, nil, progress)
	}
	if c.Candidate == nil {
		values = append(values, nil)
	} else {
		id := a.ids[*c.Candidate]
		values = append(values, id)
		if _, err := a.exec(ctx, a.tx, `UPDATE head SET candidate = NULLIF($1, 0)`, id); err != nil {
			return err
		}
	}
	losses, err := encode("losses", c.Losses)
	if err != nil {
		return err
	}
	values = append(values, losses)
	_, err = a.exec(ctx, a.tx, `INSERT INTO changes (`+changeColumns+`) VALUES `+placeholders(1, len(values)), values...)
	return err
}

// isForAssigned reports whether a change was for every cluster whose assignment it changed.
func isForAssigned(c *fleet.Change) bool {
	if len(c.Assignments) == 0 || len(c.Assignments) > len(c.Clusters) {
		return false
	}
	names := make(map[string]bool, len(c.Clusters))
	for _, name := range c.Clusters {
		names[name] = true
	}
	return !slices.ContainsFunc(c.Assignments, func(x fleet.AssignmentChange) bool { return !names[x.Cluster] })
}

// saveClusters stores the clusters that the change was for, except those whose assignments say so.
func (a *appending) saveClusters(ctx context.Context) error {
	clusters := a.change.Clusters
	switch {
	case goesLive(a.change):
		clusters = []string{""} // all of them
	case isForAssigned(a.change):
		assigned := make(map[string]bool, len(a.change.Assignments))
		for _, x := range a.change.Assignments {
			assigned[x.Cluster] = true
		}
		clusters = slices.DeleteFunc(slices.Clone(clusters), func(name string) bool { return assigned[name] })
	}
	switch len(clusters) {
	case 0:
		return nil
	case 1: // most changes
		_, err := a.exec(ctx, a.tx, `INSERT INTO change_clusters (generation, cluster) VALUES ($1, $2)`, a.change.Generation, clusters[0])
		return err
	}
	none := make([]int64, len(clusters))
	_, err := a.exec(ctx, a.tx, `INSERT INTO change_clusters (generation, cluster)
		SELECT CAST($2 AS BIGINT), key FROM `+a.dialect.pairs, pairs(clusters, none), a.change.Generation)
	return err
}

// pairs writes names and numbers as the JSON object that dialect.pairs reads; a number of 0 is
// written as null. So ten thousand rows are one parameter of one statement, which costs a tenth
// of what it costs to bind each value.
func pairs(names []string, numbers []int64) string {
	var b strings.Builder
	b.Grow(24 * len(names))
	for i, name := range names {
		b.WriteByte("{,"[min(i, 1)])
		key, _ := json.Marshal(name) // a string always has a JSON form
		b.Write(key)
		b.WriteByte(':')
		if numbers[i] == 0 {
			b.WriteString("null")
		} else {
			b.WriteString(strconv.FormatInt(numbers[i], 10))
		}
	}
	b.WriteByte('}')
	return b.String()
}

// goesLive reports whether a change puts a release live.
func goesLive(c *fleet.Change) bool { return c.Kind == fleet.WentLive && c.Release != nil }

func (a *appending) goLive(ctx context.Context) error {
	if !goesLive(a.change) {
		return nil
	}
	ref := a.change.Release.Ref
	if err := a.requireSnapshot(ctx, ref); err != nil {
		return err
	}
	if _, err := a.exec(ctx, a.tx, `UPDATE head SET live = $1, live_release = $2`, a.change.Generation, a.ids[ref]); err != nil {
		return err
	}
	_, err := a.exec(ctx, a.tx, `UPDATE releases SET went_live = $1 WHERE release = $2 AND generation = $1`, a.change.Generation, ref.ID())
	return err
}

func (a *appending) saveDeltas(ctx context.Context) error {
	rows, err := rowsOf(deltaLedger, a.change.Deltas, a.ids, splitDelta)
	if err != nil {
		return err
	}
	return a.save(ctx, deltaLedger.changes, deltaLedger.current, deltaLedger.id, rows, nil, nil)
}

// save adds rows to a ledger and applies them to the present state.
func (a *appending) save(ctx context.Context, changes, current, id string, rows []row, columns []string, releases func(i int) []any) error {
	if err := a.recordChanges(ctx, a.tx, changes, id, a.change.Generation, rows); err != nil {
		return err
	}
	return a.applyToCurrent(ctx, a.tx, current, id, a.change.Generation, rows, columns, releases)
}

func (a *appending) saveRecords(ctx context.Context) error {
	rows, err := rowsOf(recordLedger, a.change.Records, a.ids, splitRecord)
	if err != nil {
		return err
	}
	releases := func(i int) []any {
		r := a.change.Records[i].After
		if !r.IsDecommissioned() || r.Decommissioned.Row == nil {
			return []any{0, 0}
		}
		d := storedAssignment(r.Decommissioned.Row, a.ids)
		return []any{d.Release, d.previous()}
	}
	return a.save(ctx, recordLedger.changes, recordLedger.current, recordLedger.id, rows, []string{"release", "previous"}, releases)
}

func (a *appending) savePins(ctx context.Context) error {
	for _, p := range a.change.Pins {
		if p.After == nil {
			continue
		}
		if err := a.requireSnapshot(ctx, p.After.Ref()); err != nil {
			return err
		}
	}
	rows, err := rowsOf(pinLedger, a.change.Pins, a.ids, splitPin)
	if err != nil {
		return err
	}
	releases := func(i int) []any { return []any{a.ids[a.change.Pins[i].After.Ref()]} }
	return a.save(ctx, pinLedger.changes, pinLedger.current, pinLedger.id, rows, []string{"release"}, releases)
}

// saveTokens stores tokens as they are after the change. Only Prune drops one.
func (a *appending) saveTokens(ctx context.Context) error {
	rows, err := rowsOf(tokenLedger, a.change.Tokens, a.ids, splitToken)
	if err != nil {
		return err
	}
	if err := a.recordChanges(ctx, a.tx, tokenLedger.changes, tokenLedger.id, a.change.Generation, rows); err != nil {
		return err
	}
	for i, x := range a.change.Tokens {
		t := x.After
		if t == nil {
			return fmt.Errorf("token %s: %w: a token is revoked rather than removed", x.Token, fleet.ErrInvalid)
		}
		_, err := a.exec(ctx, a.tx, `INSERT INTO tokens (token, generation, role, document, hash, salt, proof, ends_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (token) DO UPDATE SET generation = excluded.generation, document = excluded.document, ends_at = excluded.ends_at`,
			t.ID, a.change.Generation, string(t.Role), rows[i].became, t.Hash[:], t.Salt, t.Proof, endOf(t))
		if err != nil {
			return err
		}
	}
	return nil
}

// endOf returns when a token ended or will end, in microseconds; nil for never.
func endOf(t *fleet.Token) *int64 {
	var end *int64
	for _, at := range []*time.Time{t.ExpiresAt, t.RevokedAt} {
		if at == nil {
			continue
		}
		if micro := at.UnixMicro(); end == nil || micro < *end {
			end = &micro
		}
	}
	return end
}

// saveAssignments stores what became of the clusters' assignments: each value once, and then all
// rows in three statements, however many clusters there are.
func (a *appending) saveAssignments(ctx context.Context) error {
	if len(a.change.Assignments) == 0 {
		return nil
	}
	names, values := make([]string, len(a.change.Assignments)), make([]int64, len(a.change.Assignments))
	kept := 0
	places := map[assignmentKey]int{} // in distinct
	var distinct []*assignmentDocument
	for i, x := range a.change.Assignments {
		names[i] = x.Cluster
		if x.After == nil {
			continue
		}
		kept++
		key := keyOf(x.After)
		place, known := places[key]
		if !known {
			place = len(distinct)
			places[key] = place
			distinct = append(distinct, storedAssignment(x.After, a.ids))
		}
		values[i] = int64(place)
	}
	first, err := a.reserveIDs(ctx, len(distinct))
	if err != nil {
		return err
	}
	for i, x := range a.change.Assignments {
		if x.After != nil {
			values[i] += first
		}
	}
	rows := make([]any, 0, 4*len(distinct))
	for i, d := range distinct {
		document, err := encode("assignment", d)
		if err != nil {
			return err
		}
		rows = append(rows, first+int64(i), d.Release, d.previous(), document)
	}
	if err := a.insertRows(ctx, a.tx, "assignment_values (id, release, previous, document)", "", 4, rows); err != nil {
		return err
	}
	all := pairs(names, values)
	_, err = a.exec(ctx, a.tx, `INSERT INTO assignment_changes (generation, cluster, was, became)
		SELECT CAST($2 AS BIGINT), key, a.value, CAST(p.value AS BIGINT)
		FROM `+a.dialect.pairs+` p LEFT JOIN assignments a ON a.cluster = p.key`, all, a.change.Generation)
	if err != nil {
		return err
	}
	if kept > 0 {
		_, err = a.exec(ctx, a.tx, `INSERT INTO assignments (cluster, generation, value)
			SELECT key, CAST($2 AS BIGINT), CAST(value AS BIGINT) FROM `+a.dialect.pairs+` WHERE value IS NOT NULL
			ON CONFLICT (cluster) DO UPDATE SET generation = excluded.generation, value = excluded.value`, all, a.change.Generation)
		if err != nil {
			return err
		}
	}
	if kept < len(names) {
		_, err = a.exec(ctx, a.tx, `DELETE FROM assignments
			WHERE cluster IN (SELECT key FROM `+a.dialect.pairs+` WHERE value IS NULL)`, all)
	}
	return err
}

// assignmentKey is equal for assignments that differ in nothing but the cluster.
type assignmentKey struct{ row, previous fleet.Assignment }

func keyOf(a *fleet.Assignment) assignmentKey {
	key := assignmentKey{row: *a}
	if a.Previous != nil {
		key.previous = *a.Previous
	}
	key.row.Cluster, key.row.Previous, key.previous.Cluster = "", nil, ""
	return key
}

// saveLosses drops the losses that have ended by the time of the change, and adds its own, which its
// entry has.
func (a *appending) saveLosses(ctx context.Context) error {
	if _, err := a.exec(ctx, a.tx, `DELETE FROM losses WHERE ends_at <= $1`, a.change.At.UnixMicro()); err != nil || a.change.Losses == nil {
		return err
	}
	_, err := a.exec(ctx, a.tx, `INSERT INTO losses (generation, ends_at) VALUES ($1, $2)`, a.change.Generation, a.change.Losses.Until.UnixMicro())
	return err
}

// purge removes what the store has, beside the record itself, of clusters that are forgotten: their
// polls, which the next cluster of that name did not make, and their place in the rollout. The
// waves as they were stay for the entry of the change that started it.
func (a *appending) purge(ctx context.Context) error {
	purged := a.change.Purges()
	for _, name := range purged {
		if _, err := a.exec(ctx, a.tx, `DELETE FROM polls WHERE cluster = $1`, name); err != nil {
			return err
		}
	}
	if len(purged) == 0 {
		return nil
	}
	var release int64
	var document, progress []byte
	err := a.tx.QueryRowContext(ctx, `SELECT r.release, r.document, h.progress FROM head h JOIN rollout_waves r ON r.id = h.rollout`).
		Scan(&release, &document, &progress)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	rollout, err := readRollout(document, progress, fleet.ReleaseRef{})
	if err != nil {
		return err
	}
	next := (&fleet.State{Rollout: rollout}).Apply(&fleet.Change{Kind: a.change.Kind, Records: a.change.Records}).Rollout
	if reflect.DeepEqual(next, rollout) {
		return nil
	}
	_, err = a.saveWaves(ctx, next, release)
	return err
}

// readRollout puts a rollout together from what is stored.
func readRollout(document, progress []byte, release fleet.ReleaseRef) (*fleet.Rollout, error) {
	d, err := decode[rolloutDocument](document)
	if err != nil {
		return nil, err
	}
	p, err := decode[fleet.RolloutProgress](progress)
	if err != nil {
		return nil, err
	}
	return &fleet.Rollout{Release: release, Waves: d.Waves, New: d.New, RolloutProgress: *p}, nil
}
