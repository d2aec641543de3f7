package server_test

import "testing"

// Users with names in any script can sign in, and the server returns the names unchanged.
func TestNamesInAnyScript(t *testing.T) {
	people := somePeople()
	for _, name := range []string{"小明", "Żółć", "مريم", "🚲"} {
		person := people["alice"]
		person.Username, person.Subject = name, "subject of "+name
		people[name] = person
	}
	h := newHarness(t)
	h.cfg.Directory = people
	h.server = h.start(h.cfg)
	for name := range people {
		if name == "bob" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			a := h.signIn(name, "wonderland")
			a.want(t, 200, "", "")
			me := h.call("GET", "/auth/me", a.AccessToken)
			me.want(t, 200, "", "")
			if me.Username != people[name].Username || me.Subject != people[name].Subject {
				t.Errorf("me: %q, %q", me.Username, me.Subject)
			}
			h.refresh(a.RefreshToken).want(t, 200, "", "")
			if sessions := h.call("GET", "/auth/sessions", a.AccessToken).Sessions; len(sessions) != 1 {
				t.Errorf("%d sessions, want 1", len(sessions))
			}
		})
	}
}
