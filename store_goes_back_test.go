package tandem_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

// putBack makes a store have an older pair again, as a restored backup or a synced folder
// does.
func (w *world) putBack(old tandem.Pair) {
	w.Helper()
	if swapped, err := w.store.CompareAndSwap(context.Background(), w.kept(), old); !swapped || err != nil {
		w.Fatalf("put back an older pair: %t, %v", swapped, err)
	}
}

// expectNoLogout makes one call later than the server's leeway: an old token that is
// presented then ends the session.
func (w *world) expectNoLogout(s *tandem.Session) {
	w.Helper()
	w.expire()
	time.Sleep(server.DefaultLeeway + time.Second)
	if _, err := w.hello(s); err != nil || w.server.Events(server.EventReuseDetected) != 0 {
		w.Errorf("a false logout: %v (the server detected reuse %d times)", err, w.server.Events(server.EventReuseDetected))
	}
	if len(w.ends) != 0 {
		w.Errorf("the application heard of the end: %v", w.ends)
	}
}

// A store goes back in time, such as a folder that is synced. The process knows which pair
// it has presented last, and goes on from there.
func TestTheStoreGoesBackByThreePairs(t *testing.T) {
	inWorld(t, func(w *world) {
		old := w.kept()
		for range 3 {
			w.expire()
			w.mustHello(w.session)
		}
		w.putBack(old)
		w.expire()
		if _, err := w.hello(w.session); err != nil {
			t.Errorf("%v (reuse detected %d times)", err, w.server.Events(server.EventReuseDetected))
		}
	})
}

// The same holds for pairs that another process has fetched and this one has adopted.
func TestTheStoreGoesBackPastWhatWasAdopted(t *testing.T) {
	inWorld(t, func(w *world) {
		other := w.open(w.store)
		old := w.kept()
		for range 3 {
			w.expire()
			w.mustHello(other)
			w.mustHello(w.session) // adopts
		}
		w.putBack(old)
		w.expire()
		if _, err := w.hello(w.session); err != nil {
			t.Errorf("%v (reuse detected %d times)", err, w.server.Events(server.EventReuseDetected))
		}
	})
}

// The store goes back in time, and cannot be written from then on.
func TestTheStoreGoesBackAndIsReadOnlyThen(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(w.store)
		s := w.open(shaky)
		old := w.kept()
		for range 3 {
			w.expire()
			w.mustHello(s)
		}
		w.putBack(old)
		shaky.FailSwaps(errors.New("read-only file system"))
		for i := range 3 {
			w.expire()
			if _, err := w.hello(s); err != nil {
				t.Fatalf("request %d: %v (reuse detected %d times)", i+1, err, w.server.Events(server.EventReuseDetected))
			}
		}
	})
}

// The server gives two siblings, 3a and 3b, for one token. The process uses 3b; the store
// then goes back to 3a, which the process once had in use itself.
func TestTheStoreGoesBackToASiblingOfWhatWasPresented(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store)
		w.expire()
		w.mustHello(s) // the store has 2a
		second := w.kept()

		store.SaveAndFail(1, errors.New("sync: input/output error"))
		w.expire()
		w.mustHello(s) // the server gives 3a for 2a; the store has 3a, and says that it has not
		third := w.kept()
		if third.RefreshToken == second.RefreshToken {
			t.Fatal("the store has not got 3a")
		}
		w.putBack(second)
		store.FailSwaps(errors.New("input/output error"))
		w.expire()
		refreshes := w.server.Events(server.EventRefreshRetried)
		w.mustHello(s) // the server gives 3b for 2a
		if w.server.Events(server.EventRefreshRetried) != refreshes+1 {
			t.Fatal("2a was not presented again")
		}
		store.Well()
		w.expire()
		w.mustHello(s) // 3b is kept, sooner or later
		w.expire()
		w.mustHello(s) // and a successor of 2a has been presented
		if w.kept().RefreshToken == third.RefreshToken {
			t.Fatal("the store still has 3a")
		}
		w.putBack(third)
		w.expectNoLogout(s)
	})
}

// A command refreshes four times, and a daemon on the same file takes up the newest pair
// alone. The file then goes back to a pair that the daemon has never seen.
func TestTheStoreGoesBackToAPairThatTheProcessNeverSaw(t *testing.T) {
	inWorld(t, func(w *world) {
		daemon, command := w.session, w.open(w.store)
		var pairs []tandem.Pair
		for range 4 {
			w.expire()
			w.mustHello(command)
			pairs = append(pairs, w.kept())
		}
		w.mustHello(daemon)
		w.expectServed(testserver.Refresh, 4)
		w.putBack(pairs[1])
		w.expectNoLogout(daemon)
	})
}

// One process has fetched the newest pair, and another has adopted it and presented it;
// the server's reply to that is lost. The store goes back: the first process then presents
// the newest pair, which it knows to have been stored, and not the one before it.
func TestTheStoreGoesBackAfterAnotherProcessHasPresentedTheNewestPair(t *testing.T) {
	for name, fetch := range map[string]func(w *world, s *tandem.Session, store *faultystore.Store){
		"the store has saved it": func(w *world, s *tandem.Session, _ *faultystore.Store) { w.mustHello(s) },
		"the store has saved it, and said that it has not": func(w *world, s *tandem.Session, store *faultystore.Store) {
			store.SaveAndFail(1, errors.New("sync: input/output error"))
			w.mustHello(s)
			if err := s.Reload(w.Context()); err != nil {
				w.Fatal(err)
			}
		},
		"the store has saved it later": func(w *world, s *tandem.Session, store *faultystore.Store) {
			store.FailSwaps(errors.New("disk full"))
			w.mustHello(s)
			store.Well()
			time.Sleep(5 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				store := faultystore.New(w.store)
				s, other := w.open(store), w.open(w.store)
				old := w.kept()
				w.expire()
				w.mustHello(s)
				w.expire()
				fetch(w, s, store)
				w.mustHello(other)
				if token := must(s.Token(w.Context())); token != w.kept().AccessToken || token != must(other.Token(w.Context())) {
					t.Fatal("the two processes and the store do not have one pair")
				}
				w.putBack(old)
				store.FailSwaps(errors.New("read-only file system")) // and stays there
				w.expire()
				w.answer(testserver.Refresh, func(rw http.ResponseWriter, r *http.Request) {
					w.server.Server.ServeHTTP(discard{}, r)
					rw.WriteHeader(http.StatusBadGateway)
				})
				if _, err := w.hello(other); err == nil {
					t.Fatal("the reply was not lost")
				}
				w.server.Script(nil)
				w.expectNoLogout(s)
				w.expectNoLogout(other)
			})
		})
	}
}

// A program reloads while a refresh is under way, and takes up what another process has
// stored. The store falls back then. What the refresh brings is a sibling of the pair in
// use by now: kept, it would be in the place of the one that the server knows.
func TestAPairThatArrivesAfterAnotherWasAdoptedIsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		old := w.kept()
		arrives := make(chan struct{})
		slow := w.open(w.store, func(c *tandem.Config) {
			base := c.Transport
			c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(req)
				if req.URL.Path == testserver.Refresh {
					<-arrives
				}
				return resp, err
			})
		})
		w.expire()
		called := make(chan struct{})
		go func() {
			defer close(called)
			w.mustHello(slow)
		}()
		synctest.Wait() // the answer to slow's refresh is on its way
		w.mustHello(w.session)
		if err := slow.Reload(w.Context()); err != nil {
			t.Fatal(err)
		}
		if ok, err := w.store.CompareAndSwap(w.Context(), w.kept(), old); !ok || err != nil {
			t.Fatal(ok, err)
		}
		close(arrives)
		<-called
		if w.kept() != old {
			t.Error("an overtaken pair was stored")
		}
		for range 2 {
			w.expire()
			w.mustHello(w.session)
			w.expire()
			w.mustHello(slow)
		}
	})
}
