package storetest

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/store"
)

// RunUsers runs the suite for a [directory.Users]. newPlace has the same contract as in
// [Run].
func RunUsers(t *testing.T, newPlace func(t testing.TB) (open func() directory.Users)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, users directory.Users, open func() directory.Users)
	}{
		{"a user comes back as it was added", addUser},
		{"a name and a subject are taken once", takenUser},
		{"a user that is not there", missingUser},
		{"a password is set", setPassword},
		{"a hash is replaced by another of the same password", replaceHash},
		{"a user is removed", removeUser},
		{"fields of a user are changed, each alone", updateUser},
		{"of parallel additions exactly one wins", parallelAdds},
	} {
		t.Run("users: "+test.name, func(t *testing.T) {
			open := newPlace(t)
			test.run(t, open(), open)
		})
	}
}

func newUser(name string) store.User {
	return store.User{Name: name, Subject: "subject of " + name, PasswordHash: "$hash$" + name, Version: 1, CreatedAt: epoch}
}

func add(t *testing.T, users directory.Users, user store.User) store.User {
	t.Helper()
	if err := users.AddUser(t.Context(), user); err != nil {
		t.Fatalf("AddUser: %v", err)
	}
	return user
}

func wantUser(t *testing.T, users directory.Users, want store.User) {
	t.Helper()
	got, err := users.UserByName(t.Context(), want.Name)
	if err != nil {
		t.Fatalf("UserByName: %v", err)
	}
	same := got.CreatedAt.Equal(want.CreatedAt) && got.DisabledAt.Equal(want.DisabledAt) && got.UnlockedAt.Equal(want.UnlockedAt)
	got.CreatedAt, got.DisabledAt, got.UnlockedAt = want.CreatedAt, want.DisabledAt, want.UnlockedAt
	if !same || got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func addUser(t *testing.T, users directory.Users, open func() directory.Users) {
	added := []store.User{add(t, users, newUser("张伟")), add(t, users, newUser("bob")), add(t, users, newUser("Ann")), add(t, users, newUser("ann"))}
	for _, user := range added {
		wantUser(t, open(), user)
	}
	listed, err := users.Users(t.Context())
	if err != nil {
		t.Fatalf("Users: %v", err)
	}
	var names []string
	for _, user := range listed {
		names = append(names, user.Name)
	}
	if want := []string{"Ann", "ann", "bob", "张伟"}; !slices.Equal(names, want) {
		t.Errorf("Users: %q, want %q", names, want)
	}
}

func takenUser(t *testing.T, users directory.Users, _ func() directory.Users) {
	ann := add(t, users, newUser("ann"))
	sameName, sameSubject := newUser("ann"), newUser("bob")
	sameName.Subject, sameSubject.Subject = "another", ann.Subject
	for _, user := range []store.User{sameName, sameSubject} {
		if err := users.AddUser(t.Context(), user); !errors.Is(err, store.ErrExists) {
			t.Errorf("AddUser of %s: %v, want ErrExists", user.Name, err)
		}
	}
	wantUser(t, users, ann)
	if _, err := users.UserByName(t.Context(), "bob"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the user that was not added: %v, want ErrNotFound", err)
	}
	sameSubject.Subject = "bob's own"
	add(t, users, sameSubject)
}

func missingUser(t *testing.T, users directory.Users, _ func() directory.Users) {
	if _, err := users.UserByName(t.Context(), "ann"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("UserByName: %v, want ErrNotFound", err)
	}
	if err := users.SetPasswordHash(t.Context(), "ann", "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("SetPasswordHash: %v, want ErrNotFound", err)
	}
	if err := users.RemoveUser(t.Context(), "ann"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("RemoveUser: %v, want ErrNotFound", err)
	}
	if err := users.ReplacePasswordHash(t.Context(), "ann", "x", "y"); err != nil {
		t.Errorf("ReplacePasswordHash: %v", err)
	}
	if all, err := users.Users(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("Users: %v, %v", all, err)
	}
}

func updateUser(t *testing.T, users directory.Users, open func() directory.Users) {
	ann, bob := add(t, users, newUser("ann")), add(t, users, newUser("bob"))
	update := func(change store.UserChange) {
		t.Helper()
		if err := users.UpdateUser(t.Context(), "ann", change); err != nil {
			t.Fatalf("UpdateUser: %v", err)
		}
		wantUser(t, open(), ann)
	}
	ann.Roles = "admin editor"
	update(store.UserChange{Roles: &ann.Roles})
	ann.DisabledAt = epoch.Add(time.Hour)
	update(store.UserChange{DisabledAt: &ann.DisabledAt})
	ann.UnlockedAt = epoch.Add(2 * time.Hour)
	update(store.UserChange{UnlockedAt: &ann.UnlockedAt})
	ann.DisabledAt, ann.Roles = time.Time{}, ""
	update(store.UserChange{DisabledAt: &ann.DisabledAt, Roles: &ann.Roles})
	update(store.UserChange{})
	wantUser(t, users, bob)
	if err := users.UpdateUser(t.Context(), "carl", store.UserChange{Roles: &ann.Roles}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("UpdateUser of a user that is not there: %v, want ErrNotFound", err)
	}

	carl := newUser("carl")
	carl.Roles, carl.DisabledAt = "admin", epoch
	wantUser(t, users, add(t, users, carl))
}

func setPassword(t *testing.T, users directory.Users, _ func() directory.Users) {
	ann, bob := add(t, users, newUser("ann")), add(t, users, newUser("bob"))
	for version := int64(2); version < 4; version++ {
		if err := users.SetPasswordHash(t.Context(), "ann", "new"); err != nil {
			t.Fatalf("SetPasswordHash: %v", err)
		}
		ann.PasswordHash, ann.Version = "new", version
		wantUser(t, users, ann)
	}
	wantUser(t, users, bob)
}

func replaceHash(t *testing.T, users directory.Users, _ func() directory.Users) {
	ann := add(t, users, newUser("ann"))
	if err := users.ReplacePasswordHash(t.Context(), "ann", "not hers", "new"); err != nil {
		t.Errorf("ReplacePasswordHash from another: %v", err)
	}
	wantUser(t, users, ann)
	if err := users.ReplacePasswordHash(t.Context(), "ann", ann.PasswordHash, "new"); err != nil {
		t.Errorf("ReplacePasswordHash: %v", err)
	}
	ann.PasswordHash = "new"
	wantUser(t, users, ann)
}

func removeUser(t *testing.T, users directory.Users, _ func() directory.Users) {
	ann, bob := add(t, users, newUser("ann")), add(t, users, newUser("bob"))
	if err := users.RemoveUser(t.Context(), "ann"); err != nil {
		t.Fatalf("RemoveUser: %v", err)
	}
	if _, err := users.UserByName(t.Context(), "ann"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("UserByName: %v, want ErrNotFound", err)
	}
	wantUser(t, users, bob)
	wantUser(t, users, add(t, users, ann)) // name and subject are free again
}

func parallelAdds(t *testing.T, users directory.Users, _ func() directory.Users) {
	var wins atomic.Int64
	inParallel(50, func(i int) {
		user := newUser("ann")
		user.Subject = string(rune('a' + i))
		switch err := users.AddUser(t.Context(), user); {
		case err == nil:
			wins.Add(1)
		case !errors.Is(err, store.ErrExists):
			t.Errorf("AddUser: %v", err)
		}
	})
	if wins.Load() != 1 {
		t.Errorf("%d additions won, want 1", wins.Load())
	}
}
