package fleet

import "context"

func (f *Fleet) polledRelease(ctx context.Context, members []*Member, release string, generation int64) int {
	return 0
}
