package sqlstore

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-gitops/tributary/fleet"
)

// defaultLimit is how many entries who does not say gets.
const defaultLimit = 100

// filter is the part of a query that chooses entries, with its arguments.
type filter struct {
	conditions []string
	args       []any
}

func filterOf(q fleet.ChangeQuery) *filter {
	f := &filter{}
	if q.Generation != 0 {
		f.add(`generation = $%d`, q.Generation)
	}
	if q.Cluster != "" { // a release has the empty name, for all
		f.add(`generation IN (SELECT generation FROM change_clusters WHERE cluster IN ($%d, ''))`, q.Cluster)
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

// add adds a condition with one argument, whose number stands at the %d.
func (f *filter) add(condition string, arg any) {
	f.args = append(f.args, arg)
	f.conditions = append(f.conditions, fmt.Sprintf(condition, len(f.args)))
}

// page is the query for a page, newest first.
func (f *filter) page(limit int) string {
	return `SELECT ` + changeColumns + ` FROM changes` + f.where() + ` ORDER BY generation DESC LIMIT ` + strconv.Itoa(limit)
}

// where are the conditions, as SQL.
func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return ` WHERE ` + strings.Join(f.conditions, ` AND `)
}

// ceilMicro is the first microsecond that is not before t. Times are kept to the
// microsecond, so what is before t is what is before that.
func ceilMicro(t time.Time) int64 {
	micro := t.UnixMicro()
	if time.UnixMicro(micro).Before(t) {
		micro++
	}
	return micro
}
