package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// defaultLimit is the size of a page where the query does not say.
const defaultLimit = 100

// Changes returns the entries that match, newest first.
func (s *Store) Changes(ctx context.Context, q fleet.ChangeQuery) ([]fleet.Change, error) {
	var found []fleet.Change
	err := s.read(ctx, "history", func(tx *sql.Tx) error {
		names, err := s.releaseRefs(ctx, tx)
		if err != nil {
			return err
		}
		found, err = readChanges(ctx, tx, names, q, false)
		return err
	})
	return found, err
}

// filter is the part of a query that chooses entries, with its arguments.
type filter struct {
	conditions []string
	args       []any
}

// add adds a condition with one argument, whose number stands at the %d.
func (f *filter) add(condition string, arg any) {
	f.args = append(f.args, arg)
	f.conditions = append(f.conditions, fmt.Sprintf(condition, len(f.args)))
}

// where returns the conditions as SQL.
func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return ` WHERE ` + strings.Join(f.conditions, ` AND `)
}

func changeFilter(q fleet.ChangeQuery) *filter {
	f := &filter{}
	if q.Generation != 0 {
		f.add(`generation = $%d`, q.Generation)
	}
	if q.Cluster != "" { // the empty name stands for all clusters
		f.add(`(generation IN (SELECT generation FROM change_clusters WHERE cluster IN ($%[1]d, ''))
			OR for_assigned AND generation IN (SELECT generation FROM assignment_changes WHERE cluster = $%[1]d))`, q.Cluster)
	}
	if q.Actor != "" {
		f.add(`actor = $%d`, q.Actor)
	}
	if q.Delta != "" {
		f.add(`generation IN (SELECT generation FROM delta_changes WHERE delta = $%d)`, q.Delta)
	}
	if !q.Since.IsZero() {
		f.add(`made_at >= $%d`, ceilMicro(q.Since))
	}
	if !q.Until.IsZero() {
		f.add(`made_at <= $%d`, q.Until.UnixMicro())
	}
	if q.After != 0 {
		f.add(`generation > $%d`, q.After)
	}
	if q.Before != 0 {
		f.add(`generation < $%d`, q.Before)
	}
	return f
}

// readChanges reads a page of entries, newest first, in a few queries whatever their number.
// Whole includes what only State.Apply needs, the rollout, the candidate and the losses.
func readChanges(ctx context.Context, tx *sql.Tx, names refs, q fleet.ChangeQuery, whole bool) ([]fleet.Change, error) {
	f := changeFilter(q)
	var found []fleet.Change
	var extras []extra
	err := each(ctx, tx, func(rows *sql.Rows) error {
		c, more, err := scanChange(rows, names)
		if !whole {
			c.Rollout, c.Candidate, c.Losses, more.waves = nil, nil, nil, 0
		}
		found, extras = append(found, c), append(extras, more)
		return err
	}, `SELECT `+changeColumns+` FROM changes`+f.where()+` ORDER BY generation DESC LIMIT `+strconv.Itoa(cmp.Or(q.Limit, defaultLimit)), f.args...)
	if err != nil {
		return nil, err
	}
	for i, more := range extras {
		if more.waves == 0 {
			continue
		}
		if err := readStarted(ctx, tx, names, more.waves, found[i].Rollout.Started); err != nil {
			return nil, err
		}
	}
	byGeneration := make(map[int64]*fleet.Change, len(found))
	for i := range found {
		byGeneration[found[i].Generation] = &found[i]
	}
	for chunk := range slices.Chunk(found, maxRows) {
		where, args := generationsOf(chunk)
		if err := addThings(ctx, tx, names, byGeneration, where, args); err != nil {
			return nil, err
		}
		if err := addAssignments(ctx, tx, names, byGeneration, where, args); err != nil {
			return nil, err
		}
		if err := addClusters(ctx, tx, byGeneration, where, args); err != nil {
			return nil, err
		}
	}
	for i := range found { // here, because each database has its own order of text
		c := &found[i]
		if extras[i].forAssigned {
			for _, x := range c.Assignments {
				c.Clusters = append(c.Clusters, x.Cluster)
			}
		}
		c.Sort()
		slices.Sort(c.Clusters)
	}
	return found, nil
}

// extra is what an entry says of the rows that belong to it.
type extra struct {
	// waves is the id of the waves of a rollout that started, else 0.
	waves int64
	// forAssigned reports that the change was for every cluster whose assignment it changed.
	forAssigned bool
}

// scanChange reads an entry.
func scanChange(rows *sql.Rows, names refs) (c fleet.Change, more extra, err error) {
	var at int64
	var release, clusters, waveID, candidate sql.NullInt64
	var from, to, wave, rollout sql.NullString
	var pause, decision, progress, losses []byte
	err = rows.Scan(&c.Generation, &at, &c.Kind, &c.Actor, &c.Reason, &more.forAssigned,
		&release, &clusters, &from, &to, &wave, &pause, &decision, &rollout, &waveID, &progress, &candidate, &losses)
	if err != nil {
		return c, more, err
	}
	c.At = time.UnixMicro(at).UTC()
	if c.Losses, err = decode[fleet.Losses](losses); err != nil {
		return c, more, err
	}
	if release.Valid {
		event := &fleet.ReleaseEvent{
			Clusters: int(clusters.Int64), From: fleet.ReleaseState(from.String), To: fleet.ReleaseState(to.String), Wave: wave.String,
		}
		if event.Ref, err = names.get(release.Int64); err != nil {
			return c, more, err
		}
		event.Commit = names[release.Int64].commit
		if event.Pause, err = decode[fleet.RolloutPause](pause); err != nil {
			return c, more, err
		}
		if event.Decision, err = decode[fleet.Decision](decision); err != nil {
			return c, more, err
		}
		c.Release = event
	}
	if candidate.Valid {
		ref, err := names.get(candidate.Int64)
		if err != nil {
			return c, more, err
		}
		c.Candidate = &ref
	}
	if rollout.Valid {
		c.Rollout, err = scanRollout(rollout.String, progress)
	}
	more.waves = waveID.Int64
	return c, more, err
}

// scanRollout returns what became of the rollout. Of one that started, the waves are still
// missing.
func scanRollout(what string, progress []byte) (*fleet.RolloutChange, error) {
	p, err := decode[fleet.RolloutProgress](progress)
	switch {
	case err != nil:
		return nil, err
	case what == rolloutStarted:
		return &fleet.RolloutChange{Started: &fleet.Rollout{RolloutProgress: *p}}, nil
	case what == rolloutEnded:
		return &fleet.RolloutChange{Ended: true}, nil
	}
	return &fleet.RolloutChange{Progress: p}, nil
}

// readStarted completes a rollout that started.
func readStarted(ctx context.Context, tx *sql.Tx, names refs, waves int64, r *fleet.Rollout) error {
	var release int64
	var document []byte
	err := tx.QueryRowContext(ctx, `SELECT release, document FROM rollout_waves WHERE id = $1`, waves).Scan(&release, &document)
	if err != nil {
		return err
	}
	d, err := decode[rolloutDocument](document)
	if err != nil {
		return err
	}
	r.Waves, r.New = d.Waves, d.New
	r.Release, err = names.get(release)
	return err
}

// generationsOf returns a condition for the rows of a few changes. The number of its arguments is
// a power of two, for the reason that insertRows has.
func generationsOf(changes []fleet.Change) (where string, args []any) {
	for _, c := range changes {
		args = append(args, c.Generation)
	}
	for len(args)&(len(args)-1) != 0 {
		args = append(args, args[0])
	}
	return ` WHERE generation IN ` + placeholders(1, len(args)), args
}

// addThings adds what became of deltas, records, pins and tokens.
func addThings(ctx context.Context, tx *sql.Tx, names refs, to map[int64]*fleet.Change, where string, args []any) error {
	err := deltaLedger.history(ctx, tx, names, where, args, func(generation int64, id string, before, after *fleet.Delta) {
		c := to[generation]
		c.Deltas = append(c.Deltas, fleet.DeltaChange{Delta: id, Before: before, After: after})
	})
	if err != nil {
		return err
	}
	err = recordLedger.history(ctx, tx, names, where, args, func(generation int64, id string, before, after *fleet.ClusterRecord) {
		c := to[generation]
		c.Records = append(c.Records, fleet.RecordChange{Cluster: id, Before: before, After: after})
	})
	if err != nil {
		return err
	}
	err = pinLedger.history(ctx, tx, names, where, args, func(generation int64, id string, before, after *fleet.Pin) {
		c := to[generation]
		c.Pins = append(c.Pins, fleet.PinChange{Pin: id, Before: before, After: after})
	})
	if err != nil {
		return err
	}
	return tokenLedger.history(ctx, tx, names, where, args, func(generation int64, id string, before, after *fleet.Token) {
		c := to[generation]
		c.Tokens = append(c.Tokens, fleet.TokenChange{Token: id, Before: before, After: after})
	})
}

// addAssignments adds what became of assignments.
func addAssignments(ctx context.Context, tx *sql.Tx, names refs, to map[int64]*fleet.Change, where string, args []any) error {
	values, err := readValues(ctx, tx, `SELECT was FROM assignment_changes`+where+` UNION SELECT became FROM assignment_changes`+where, args...)
	if err != nil || len(values) == 0 {
		return err
	}
	return each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var x fleet.AssignmentChange
		var was, became sql.NullInt64
		err := rows.Scan(&generation, &x.Cluster, &was, &became)
		if err != nil {
			return err
		}
		if x.Before, err = values[was.Int64].of(x.Cluster, names); err != nil { // there is no value 0
			return err
		}
		if x.After, err = values[became.Int64].of(x.Cluster, names); err != nil {
			return err
		}
		to[generation].Assignments = append(to[generation].Assignments, x)
		return nil
	}, `SELECT generation, cluster, was, became FROM assignment_changes`+where, args...)
}

// readValues reads the values of assignments whose ids a query finds.
func readValues(ctx context.Context, tx *sql.Tx, ids string, args ...any) (map[int64]*assignmentDocument, error) {
	values := map[int64]*assignmentDocument{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var id int64
		var document []byte
		if err := rows.Scan(&id, &document); err != nil {
			return err
		}
		v, err := decode[assignmentDocument](document)
		values[id] = v
		return err
	}, `SELECT id, document FROM assignment_values WHERE id IN (`+ids+`)`, args...)
	return values, err
}

func addClusters(ctx context.Context, tx *sql.Tx, to map[int64]*fleet.Change, where string, args []any) error {
	return each(ctx, tx, func(rows *sql.Rows) error {
		var generation int64
		var cluster string
		if err := rows.Scan(&generation, &cluster); err != nil {
			return err
		}
		to[generation].Clusters = append(to[generation].Clusters, cluster)
		return nil
	}, `SELECT generation, cluster FROM change_clusters`+where+` AND cluster <> ''`, args...)
}
