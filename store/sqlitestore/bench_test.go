package sqlitestore_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// BenchmarkConfirm measures durable confirmations of 32 sessions at the same time.
func BenchmarkConfirm(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "tandem.db"))
	var n atomic.Uint32
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		session := someSession()
		session.ID = rotation.SessionID{byte(n.Add(1))}
		session.Subject, session.Username = "MFRGGZDFMZTWQ2LKNNWG23TPOA", "ann@example.com"
		session.Device, session.IP = "Firefox on Linux", "192.0.2.7"
		if err := s.Create(b.Context(), session); err != nil {
			b.Error(err)
			return
		}
		for pb.Next() {
			got, err := s.Confirm(b.Context(), session.ID, session.Successor(1), time.Now())
			if err != nil || !got.Confirmed {
				b.Error(got, err)
				return
			}
			session = got.Session
		}
	})
}
