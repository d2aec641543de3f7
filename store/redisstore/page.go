package redisstore

import (
	"cmp"
	"slices"
	"strings"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/store"
)

// newestFirst sorts a subject's list in the order of [store.Place], and returns the
// part that comes after the given place.
func newestFirst(listed []rueidis.ZScore, after store.Place) []rueidis.ZScore {
	slices.SortFunc(listed, func(a, b rueidis.ZScore) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Member, b.Member))
	})
	if after.CreatedAt.IsZero() {
		return listed
	}
	at, id := float64(after.CreatedAt.UnixMilli()), after.ID.String()
	from := slices.IndexFunc(listed, func(one rueidis.ZScore) bool {
		return one.Score < at || one.Score == at && one.Member > id
	})
	if from < 0 {
		return nil
	}
	return listed[from:]
}
