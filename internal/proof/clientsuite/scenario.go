// Package clientsuite tests clients of any language against one table of scenarios: what
// the server does, what the client is asked to do, and what the result must be. The suite
// plays the server: the real one, with a script that loses replies, answers 503 or sends
// an HTML page. docs/conformance.md describes the format and the control API.
package clientsuite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// A Scenario is one story. Its fields are described in docs/conformance.md.
type Scenario struct {
	Name string `json:"name"`
	// Rules are the numbers of the rules that the scenario checks.
	Rules    []int    `json:"rules"`
	Why      string   `json:"why,omitempty"`
	Needs    []string `json:"needs,omitempty"`
	Server   Script   `json:"server,omitzero"`
	Client   Settings `json:"client,omitzero"`
	Steps    []Step   `json:"steps"`
	Expect   Expect   `json:"expect"`
	Variants []Script `json:"variants,omitempty"`
}

// A Script says how the server's answers differ from the real ones.
type Script struct {
	Name      string   `json:"name,omitempty"` // of a variant
	ExpiresIn int      `json:"expiresIn,omitempty"`
	Clock     int      `json:"clock,omitempty"`
	Answers   []Answer `json:"answers,omitempty"`
}

// An Answer says what happens to the next call, or calls, of an endpoint.
type Answer struct {
	On     Endpoint `json:"on"`
	Access int      `json:"access,omitempty"`
	Times  int      `json:"times,omitempty"`
	Always bool     `json:"always,omitempty"`

	HoldCall  string `json:"holdCall,omitempty"`
	HoldReply string `json:"holdReply,omitempty"`
	Lose      string `json:"lose,omitempty"`

	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	Edit    map[string]any    `json:"edit,omitempty"`
}

// An Endpoint is the kind of a call; the suite counts calls by it.
type Endpoint string

// The endpoints.
const (
	SignIn    Endpoint = "signIn"
	Refresh   Endpoint = "refresh"
	SignOut   Endpoint = "signOut"
	API       Endpoint = "api"
	Elsewhere Endpoint = "elsewhere"
)

func endpoints() []Endpoint { return []Endpoint{SignIn, Refresh, SignOut, API, Elsewhere} }

// Settings configure the client. A zero value stands for the client's own default. Times
// are in seconds.
type Settings struct {
	Origins        []string `json:"origins,omitempty"`
	RefreshAhead   int      `json:"refreshAhead,omitempty"`
	RefreshTimeout int      `json:"refreshTimeout,omitempty"`
	OnEnd          string   `json:"onEnd,omitempty"`
	RejectedBody   string   `json:"rejectedBody,omitempty"`
}

// A Step is one action of the runner, or of the suite on the runner's request.
type Step struct {
	Do         string   `json:"do"`
	Client     string   `json:"client,omitempty"`
	User       string   `json:"user,omitempty"`
	Password   string   `json:"password,omitempty"`
	As         string   `json:"as,omitempty"`
	Count      int      `json:"count,omitempty"`
	Method     string   `json:"method,omitempty"`
	URL        string   `json:"url,omitempty"`
	Body       *Body    `json:"body,omitempty"`
	Background bool     `json:"background,omitempty"`
	Seconds    int      `json:"seconds,omitempty"`
	On         Endpoint `json:"on,omitempty"`
	Calls      int      `json:"calls,omitempty"`
	Gate       string   `json:"gate,omitempty"`
	Answers    []Answer `json:"answers,omitempty"`
	Expect     string   `json:"expect,omitempty"`
}

// IsServers reports whether the suite performs the step.
func (s Step) IsServers() bool { return slices.Contains(serverSteps(), s.Do) }

// A Body is what a request carries: the letters a to z, over and over.
type Body struct {
	Kind   string `json:"kind"`
	Length int    `json:"length"`
}

// Text returns the body.
func (b Body) Text() []byte {
	text := make([]byte, b.Length)
	for i := range text {
		text[i] = letter(i)
	}
	return text
}

func letter(i int) byte { return byte('a' + i%26) }

// Expect is the required result of a scenario.
type Expect struct {
	Traffic  map[Endpoint]Count `json:"traffic"`
	SignedIn string             `json:"signedIn"`
	Ends     []string           `json:"ends,omitempty"`
}

// A Count is the permitted number of calls: in JSON a number, or a list of minimum and
// maximum.
type Count struct{ Min, Max int }

// Has reports whether n calls are permitted.
func (c Count) Has(n int) bool { return c.Min <= n && n <= c.Max }

// String says it in words.
func (c Count) String() string {
	if c.Min == c.Max {
		return fmt.Sprint(c.Min)
	}
	return fmt.Sprintf("%d to %d", c.Min, c.Max)
}

// MarshalJSON is the inverse of UnmarshalJSON.
func (c Count) MarshalJSON() ([]byte, error) {
	if c.Min == c.Max {
		return json.Marshal(c.Min)
	}
	return json.Marshal([]int{c.Min, c.Max})
}

// UnmarshalJSON takes a number or a list of two.
func (c *Count) UnmarshalJSON(text []byte) error {
	var n int
	if json.Unmarshal(text, &n) == nil {
		*c = Count{n, n}
		return nil
	}
	var list []int
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 2 || list[0] > list[1] {
		return fmt.Errorf("%s is neither a count nor the least and the most", text)
	}
	*c = Count{list[0], list[1]}
	return nil
}

// Load reads the scenarios of all .json files of a folder, each a list of scenarios, and
// returns every variant as a scenario of its own. An unknown field, or one that its step
// cannot have, is an error.
func Load(folder fs.FS) ([]Scenario, error) {
	names, err := fs.Glob(folder, "*.json")
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		var some []Scenario
		if err := unmarshal(text, &some); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range some {
			if err := s.validate(); err != nil {
				return nil, fmt.Errorf("%s: %q: %w", name, s.Name, err)
			}
			all = append(all, s.expand()...)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no scenario in there; is it testdata/vectors/client?")
	}
	seen := map[string]bool{}
	for _, s := range all {
		if seen[s.Name] {
			return nil, fmt.Errorf("two scenarios are named %q", s.Name)
		}
		seen[s.Name] = true
	}
	return all, nil
}

// expand returns a scenario for each variant. The variant's answers come before the
// scenario's.
func (s Scenario) expand() []Scenario {
	if len(s.Variants) == 0 {
		return []Scenario{s}
	}
	var all []Scenario
	for _, v := range s.Variants {
		one := s
		one.Variants = nil
		one.Name += ": " + v.Name
		one.Server.Answers = slices.Concat(v.Answers, s.Server.Answers)
		if v.Clock != 0 {
			one.Server.Clock = v.Clock
		}
		if v.ExpiresIn != 0 {
			one.Server.ExpiresIn = v.ExpiresIn
		}
		all = append(all, one)
	}
	return all
}

// unmarshal is json.Unmarshal that refuses unknown fields.
func unmarshal(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after the end")
	}
	return nil
}
