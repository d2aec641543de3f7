package redisstore

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// Schema returns the format of the keys at the address, and the one that this program knows.
// It changes nothing: a server without Tandem's keys has format 0.
func Schema(ctx context.Context, address string) (is, known int64, err error) {
	option, prefix, err := parse(address)
	if err != nil {
		return 0, 0, err
	}
	s := &Store{name: describe(option, prefix), prefix: prefix}
	if s.client, err = rueidis.NewClient(option); err != nil {
		return 0, 0, s.explain(ctx, "open", err)
	}
	defer s.client.Close()
	text, err := s.getString(ctx, "read the format", s.key("format"))
	if rueidis.IsRedisNil(err) {
		return 0, format, nil
	}
	if err != nil {
		return 0, 0, err
	}
	is, err = strconv.ParseInt(text, 10, 64)
	return is, format, err
}
