package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

const pollColumns = `cluster, input_set, polled_at, generation, release, polls_every, gap, agent, dns, polled_by, by_hand`

// SavePolls stores polls and uses of tokens, except where what is there is later: several servers
// answer one cluster. Rows are written in a fixed order, so that two servers that save at the same
// time do not deadlock.
func (s *Store) SavePolls(ctx context.Context, polls []fleet.Poll, uses map[string]time.Time) error {
	rows := make([]any, 0, 11*len(polls))
	for _, p := range sortedPolls(polls) {
		rows = append(rows, p.Cluster, p.Set, p.At.UnixMicro(), p.Generation, p.Release, p.Every.Microseconds(), p.Gap.Microseconds(), p.Agent, p.DNS, p.By, byHand(&p))
	}
	used := make([]any, 0, 2*len(uses))
	for _, id := range slices.Sorted(maps.Keys(uses)) {
		used = append(used, id, uses[id].UnixMicro())
	}
	return s.write(ctx, "polls", func(ctx context.Context, tx *sql.Tx) error {
		err := s.insertRows(ctx, tx, "polls ("+pollColumns+")",
			` ON CONFLICT (cluster, input_set, by_hand) DO UPDATE SET polled_at = excluded.polled_at, generation = excluded.generation,
				release = excluded.release, polls_every = excluded.polls_every, gap = excluded.gap, agent = excluded.agent,
				dns = excluded.dns, polled_by = excluded.polled_by
			WHERE polls.polled_at < excluded.polled_at`, 11, rows)
		if err != nil {
			return err
		}
		return s.insertRows(ctx, tx, "token_uses (token, used_at)",
			` ON CONFLICT (token) DO UPDATE SET used_at = excluded.used_at WHERE token_uses.used_at < excluded.used_at`, 2, used)
	})
}

// byHand returns 1 for a poll by hand, else 0.
func byHand(p *fleet.Poll) int {
	if p.IsByHand() {
		return 1
	}
	return 0
}

func sortedPolls(polls []fleet.Poll) []fleet.Poll {
	return slices.SortedFunc(slices.Values(polls), func(a, b fleet.Poll) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Set, b.Set), cmp.Compare(byHand(&a), byHand(&b)))
	})
}

// Polls returns the last polls that match, sorted by cluster and set, those by hand after the others.
func (s *Store) Polls(ctx context.Context, q fleet.PollQuery) ([]fleet.Poll, error) {
	column, values := "cluster", q.Clusters
	if q.Names != nil {
		column, values = "dns <> '' AND dns", q.Names
	}
	var found []fleet.Poll
	err := s.read(ctx, "polls", func(tx *sql.Tx) (err error) {
		if values == nil {
			found, err = appendPolls(ctx, tx, found, "")
			return err
		}
		for chunk := range slices.Chunk(values, maxRows) {
			var args []any
			for _, value := range chunk {
				args = append(args, value)
			}
			if found, err = appendPolls(ctx, tx, found, ` WHERE `+column+` IN `+placeholders(1, len(args)), args...); err != nil {
				return err
			}
		}
		return nil
	})
	if q.Names != nil && q.Clusters != nil {
		found = slices.DeleteFunc(found, func(p fleet.Poll) bool { return !slices.Contains(q.Clusters, p.Cluster) })
	}
	return sortedPolls(found), err
}

// appendPolls appends the polls that a condition finds.
func appendPolls(ctx context.Context, tx *sql.Tx, found []fleet.Poll, where string, args ...any) ([]fleet.Poll, error) {
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var p fleet.Poll
		var at, every, gap, hand int64
		err := rows.Scan(&p.Cluster, &p.Set, &at, &p.Generation, &p.Release, &every, &gap, &p.Agent, &p.DNS, &p.By, &hand)
		p.At = time.UnixMicro(at).UTC()
		p.Every, p.Gap = time.Duration(every)*time.Microsecond, time.Duration(gap)*time.Microsecond
		found = append(found, p)
		return err
	}, `SELECT `+pollColumns+` FROM polls`+where, args...)
	return found, err
}

// Uses returns when tokens were last used, by ID.
func (s *Store) Uses(ctx context.Context) (map[string]time.Time, error) {
	uses := map[string]time.Time{}
	err := s.read(ctx, "tokens", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var id string
			var at int64
			err := rows.Scan(&id, &at)
			uses[id] = time.UnixMicro(at).UTC()
			return err
		}, `SELECT token, used_at FROM token_uses`)
	})
	return uses, err
}
