package server_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// The server keeps ended sessions for RefreshTTL, so that it can tell clients with their
// refresh tokens why they ended, and sweeps them within an hour after that.
func TestSessionsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *server.Config) { c.Now = time.Now })
		ended, lives := h.signedIn(), h.signedIn()
		h.signOut(ended.RefreshToken)

		<-time.After(server.DefaultRefreshTTL - time.Minute)
		synctest.Wait()
		h.refresh(ended.RefreshToken).want(t, 400, "invalid_grant", "signed_out")

		<-time.After(time.Hour + 2*time.Minute)
		synctest.Wait()
		if err := h.find(ended); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the session that ended: %v", err)
		}
		if err := h.find(lives); err != nil {
			t.Errorf("the session that lives: %v", err)
		}
	})
}

// What was used once is forgotten some time after it could be used at all.
func TestUsedKeysAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *server.Config) { c.Now = time.Now })
		used := h.cfg.Store.(server.OnceStore)
		put := func(key string, until time.Time, want bool) {
			t.Helper()
			if fresh, err := used.PutOnce(t.Context(), key, until); err != nil || fresh != want {
				t.Errorf("%s: %t, %v; want %t", key, fresh, err, want)
			}
		}
		end := time.Now().Add(time.Minute)
		put("over", end, true)
		put("not over", end.Add(24*time.Hour), true)
		<-time.After(time.Hour + 2*time.Minute)
		synctest.Wait()
		put("over", end, false) // the clock of another server may be behind
		<-time.After(time.Hour)
		synctest.Wait()
		put("over", end, true)
		put("not over", end, false)
	})
}

// Nobody comes back to a session: it goes when its last token has expired for certain, though
// its user never signs in again. One that is refreshed now and then stays, however old.
func TestSessionsThatNobodyUsesAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *server.Config) { c.Now = time.Now })
		left, used := h.signedIn(), h.signIn("bob", "builder")
		for range 5 {
			if err := h.find(left); err != nil {
				t.Fatalf("the session that nobody uses: %v", err)
			}
			<-time.After(6 * 24 * time.Hour)
			used = h.refresh(used.RefreshToken)
			used.want(t, 200, "", "")
		}
		synctest.Wait()
		if err := h.find(left); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the session that nobody uses: %v", err)
		}
		if err := h.find(used); err != nil {
			t.Errorf("the session that is used: %v", err)
		}
		h.refresh(left.RefreshToken).want(t, 400, "invalid_grant", "unknown")
	})
}

// A machine has started with its clock ahead: the server sweeps nothing for an hour.
func TestAStartSweepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *server.Config) { c.Now = time.Now })
		a := h.signedIn()
		ahead := h.cfg
		ahead.Now = func() time.Time { return time.Now().Add(365 * 24 * time.Hour) }
		s := h.start(ahead)
		<-time.After(59 * time.Minute)
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		h.refresh(a.RefreshToken).want(t, 200, "", "")
	})
}

func (h *harness) find(a answer) error {
	h.t.Helper()
	id, err := rotation.ParseSessionID(a.SessionID)
	if err != nil {
		h.t.Fatal(err)
	}
	_, err = h.cfg.Store.Get(h.t.Context(), id)
	return err
}
