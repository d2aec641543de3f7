package renewal_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

var update = flag.Bool("update", false, "write the vectors anew")

// A vectorPair is a pair as the vectors have it: times are seconds from now.
type vectorPair struct {
	Issuer           string `json:"issuer,omitempty"`
	SessionID        string `json:"sessionId"`
	Revision         uint64 `json:"revision"`
	AccessToken      string `json:"accessToken"`
	RefreshToken     string `json:"refreshToken"`
	ReceivedAt       int    `json:"receivedAt"`
	ExpiresAt        int    `json:"expiresAt"`
	RefreshExpiresAt int    `json:"refreshExpiresAt"`
}

// A vectorView names its pairs; a pair that is missing is none.
type vectorView struct {
	Live            string `json:"live,omitempty"`
	Base            string `json:"base,omitempty"`
	BasePresentedAt *int   `json:"basePresentedAt,omitempty"`
	Stored          string `json:"stored,omitempty"`
	EndedSessionID  string `json:"endedSessionId,omitempty"`
	Server          string `json:"server"`
}

type vector struct {
	View      vectorView `json:"view"`
	Presented string     `json:"presented,omitempty"`
	Answer    string     `json:"answer,omitempty"`
	Next      string     `json:"next,omitempty"`
	Step      string     `json:"step"`
}

type vectorFile struct {
	Issuer        string                `json:"issuer"`
	FormerIssuers []string              `json:"formerIssuers"`
	Pairs         map[string]vectorPair `json:"pairs"`
	Vectors       []vector              `json:"vectors"`
}

const former = "https://login.example.com"

var named = map[string]renewal.Pair{
	"older": older, "base": base, "live": live, "sibling": sibling, "newer": newer,
	"without revision": unnumbered, "without issuer": from("", newer),
	"of a former issuer": from(former, newer), "of another server": from(theirs, newer),
	"of another session": of("bob", older), "of a session that ended here": of("eve", newer),
}

func names() []string {
	all := []string{""}
	for name := range named {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func inSeconds(at time.Time) int { return int(at.Sub(now) / time.Second) }

func (v vectorView) view() renewal.View {
	view := renewal.View{
		Live: named[v.Live], Base: named[v.Base], Stored: named[v.Stored], EndedSessionID: v.EndedSessionID,
		Issuer: ours, FormerIssuers: []string{former}, Server: renewal.Strict,
	}
	if v.Server == "forgiving" {
		view.Server = renewal.Forgiving
	}
	if v.BasePresentedAt != nil {
		view.BasePresentedAt = now.Add(time.Duration(*v.BasePresentedAt) * time.Second)
	}
	return view
}

// views are all situations that a client can be in.
func views() []vectorView {
	justNow, halfTheLifetime := 0, inSeconds(now.Add(-7*day/2))
	var all []vectorView
	for _, server := range []string{"forgiving", "strict"} {
		for _, stored := range names() {
			all = append(all, vectorView{Stored: stored, EndedSessionID: "eve", Server: server})
			for _, base := range []string{"base", "live"} {
				for _, at := range []*int{nil, &justNow, &halfTheLifetime} {
					all = append(all, vectorView{Live: "live", Base: base, BasePresentedAt: at, Stored: stored, EndedSessionID: "eve", Server: server})
				}
			}
		}
	}
	return all
}

func beforeVectors() (all []vector) {
	for _, v := range views() {
		all = append(all, vector{View: v, Step: renewal.Before(v.view(), now).String()})
	}
	return all
}

func afterVectors() (all []vector) {
	for _, v := range views() {
		if v.Base != "base" || v.BasePresentedAt == nil || *v.BasePresentedAt != 0 {
			continue // what was presented is base, just now
		}
		for _, answer := range []renewal.Answer{renewal.Granted, renewal.Ended, renewal.Stale, renewal.Failed} {
			made := vector{View: v, Presented: v.Base, Answer: answer.String()}
			made.View.Live = v.Base
			if answer == renewal.Granted {
				made.Next = "live"
			}
			made.Step = renewal.After(made.View.view(), base, answer, named[made.Next]).String()
			all = append(all, made)
		}
	}
	return all
}

// The vectors are the specification for clients in other languages: this package is what
// they were made from.
func TestVectors(t *testing.T) {
	pairs := map[string]vectorPair{}
	for name, p := range named {
		pairs[name] = vectorPair{
			p.Issuer, p.SessionID, p.Revision, p.AccessToken, p.RefreshToken,
			inSeconds(p.ReceivedAt), inSeconds(p.ExpiresAt), inSeconds(p.RefreshExpiresAt),
		}
	}
	for file, vectors := range map[string][]vector{"before.json": beforeVectors(), "after.json": afterVectors()} {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "\t")
		if err := encoder.Encode(vectorFile{ours, []string{former}, pairs, vectors}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("../testdata/vectors/renewal", file)
		if *update {
			if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text.Bytes(), want) {
			t.Errorf("%s is not what package renewal decides; go test ./renewal -update writes it anew", file)
		}
		steps := map[string]bool{}
		for _, v := range vectors {
			steps[v.Step] = true
		}
		t.Logf("%s: %d vectors with %d different steps", file, len(vectors), len(steps))
	}
}
