package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// SavePolls keeps polls and uses, unless what is there is later: several servers
// answer one cluster.
func (s *Store) SavePolls(ctx context.Context, polls []fleet.Poll, uses map[string]time.Time) error {
	rows := make([]any, 0, 5*len(polls))
	for _, p := range sorted(polls) {
		rows = append(rows, p.Cluster, p.Set, p.At.UnixMicro(), p.Generation, p.Agent)
	}
	used := make([]any, 0, 2*len(uses))
	for _, id := range sortedKeys(uses) {
		used = append(used, id, uses[id].UnixMicro())
	}
	return s.write(ctx, "polls", func(ctx context.Context, tx *sql.Tx) error {
		err := s.insertRows(ctx, tx, "polls (cluster, input_set, polled_at, generation, agent)",
			` ON CONFLICT (cluster, input_set) DO UPDATE SET polled_at = excluded.polled_at, generation = excluded.generation, agent = excluded.agent
			WHERE polls.polled_at < excluded.polled_at`, 5, rows)
		if err != nil {
			return err
		}
		return s.insertRows(ctx, tx, "token_uses (token, used_at)",
			` ON CONFLICT (token) DO UPDATE SET used_at = excluded.used_at WHERE token_uses.used_at < excluded.used_at`, 2, used)
	})
}

// sorted puts rows into an order, so that two servers that save at once do not
// wait for each other in a circle.
func sorted(polls []fleet.Poll) []fleet.Poll {
	return slices.SortedFunc(slices.Values(polls), func(a, b fleet.Poll) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Set, b.Set))
	})
}

func sortedKeys(uses map[string]time.Time) []string {
	var ids []string
	for id := range uses {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Polls returns the last polls of clusters, sorted by cluster and set.
func (s *Store) Polls(ctx context.Context, clusters []string) ([]fleet.Poll, error) {
	var found []fleet.Poll
	err := s.read(ctx, "polls", func(tx *sql.Tx) error {
		for chunk := range slices.Chunk(clusters, mostRows) {
			var names []any
			for _, name := range chunk {
				names = append(names, name)
			}
			err := each(ctx, tx, func(rows *sql.Rows) error {
				var p fleet.Poll
				var at int64
				err := rows.Scan(&p.Cluster, &p.Set, &at, &p.Generation, &p.Agent)
				p.At = time.UnixMicro(at).UTC()
				found = append(found, p)
				return err
			}, `SELECT cluster, input_set, polled_at, generation, agent FROM polls WHERE cluster IN `+placeholders(1, len(names)), names...)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return sorted(found), err
}

// Uses returns when tokens were last used.
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
