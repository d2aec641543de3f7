package clientsuite

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// lastRule is the number of the last rule in docs/conformance.md.
const lastRule = 12

// serverSteps are the steps that a runner passes on to the suite unchanged.
func serverSteps() []string { return []string{"script", "await", "release", "end"} }

// fieldsOf returns, for a kind of step, the required and the optional fields.
func fieldsOf(do string) (must, may []string, known bool) {
	switch do {
	case "signIn":
		return []string{"user", "expect"}, []string{"client", "password"}, true
	case "request":
		return []string{"expect"}, []string{"client", "as", "count", "method", "url", "body", "background"}, true
	case "join", "cancel":
		return []string{"as"}, nil, true
	case "signOut":
		return []string{"expect"}, []string{"client"}, true
	case "wait":
		return []string{"seconds"}, nil, true
	case "script":
		return nil, []string{"answers"}, true
	case "await":
		return []string{"on", "calls"}, nil, true
	case "release":
		return []string{"gate"}, nil, true
	case "end":
		return []string{"user"}, nil, true
	}
	return nil, nil, false
}

func (s Scenario) validate() error {
	if s.Name == "" || len(s.Steps) == 0 {
		return errors.New("a name and steps are needed")
	}
	if len(s.Rules) == 0 || slices.Min(s.Rules) < 1 || slices.Max(s.Rules) > lastRule {
		return fmt.Errorf("rules are numbers from 1 to %d, at least one", lastRule)
	}
	for _, need := range s.Needs {
		if need != "streams" {
			return fmt.Errorf("needs %q: only streams are known", need)
		}
	}
	gates := map[string]bool{}
	answers := slices.Clone(s.Server.Answers)
	for _, v := range s.Variants {
		if v.Name == "" {
			return errors.New("a variant needs a name")
		}
		answers = append(answers, v.Answers...)
	}
	for _, step := range s.Steps {
		answers = append(answers, step.Answers...)
	}
	for _, a := range answers {
		if err := a.validate(); err != nil {
			return err
		}
		gates[a.HoldCall+a.HoldReply] = true
	}
	if err := validateSteps(s.Steps, gates); err != nil {
		return err
	}
	for endpoint := range s.Expect.Traffic {
		if !slices.Contains(endpoints(), endpoint) {
			return fmt.Errorf("traffic of %q: the endpoints are %q", endpoint, endpoints())
		}
	}
	return nil
}

func (a Answer) validate() error {
	kinds := 0
	for _, set := range []bool{a.Lose != "", a.Status != 0, a.Edit != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case !slices.Contains(endpoints(), a.On):
		return fmt.Errorf("an answer on %q: the endpoints are %q", a.On, endpoints())
	case kinds > 1:
		return errors.New("an answer has one of status, edit and lose")
	case kinds == 0 && a.HoldCall == "" && a.HoldReply == "":
		return errors.New("an answer that changes nothing")
	case a.HoldCall != "" && a.HoldReply != "":
		return errors.New("an answer holds the call or the reply, not both")
	case a.Lose != "" && a.Lose != "call" && a.Lose != "reply":
		return fmt.Errorf("lose %q: the call or the reply can be", a.Lose)
	case a.Times < 0, a.Times > 0 && a.Always:
		return errors.New("an answer goes for some times, or always")
	case a.Status == 0 && (a.Body != "" || a.Headers != nil):
		return errors.New("headers and a body go with a status")
	case a.Access != 0 && a.On != API:
		return errors.New("access tokens go to the api")
	}
	return nil
}

func validateSteps(steps []Step, gates map[string]bool) error {
	background := map[string]bool{}
	for i, step := range steps {
		if err := step.validateFields(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		switch {
		case step.Do == "request" && step.Background && (step.As == "" || background[step.As]):
			return fmt.Errorf("step %d: a request in the background needs a name of its own", i+1)
		case step.Do == "request" && step.Background:
			background[step.As] = true
		case step.Do == "join", step.Do == "cancel":
			if !background[step.As] {
				return fmt.Errorf("step %d: no request %q is under way", i+1, step.As)
			}
			delete(background, step.As)
		case step.Do == "release" && !gates[step.Gate]:
			return fmt.Errorf("step %d: no answer waits for the gate %q", i+1, step.Gate)
		case step.Do == "await" && !slices.Contains(endpoints(), step.On):
			return fmt.Errorf("step %d: await on %q: the endpoints are %q", i+1, step.On, endpoints())
		case step.Body != nil && !slices.Contains([]string{"text", "form", "stream"}, step.Body.Kind):
			return fmt.Errorf("step %d: a body is a text, a form or a stream", i+1)
		}
	}
	if len(background) > 0 {
		return fmt.Errorf("nobody joins the requests %q", slices.Sorted(maps.Keys(background)))
	}
	return nil
}

// validateFields refuses fields that have no meaning for this kind of step.
func (s Step) validateFields() error {
	must, may, known := fieldsOf(s.Do)
	if !known {
		return fmt.Errorf("nothing is known of %q", s.Do)
	}
	value := reflect.ValueOf(s)
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		set := !value.Field(i).IsZero()
		switch {
		case name == "do":
		case slices.Contains(must, name) && !set:
			return fmt.Errorf("%s needs %s", s.Do, name)
		case set && !slices.Contains(must, name) && !slices.Contains(may, name):
			return fmt.Errorf("%s has no use for %s", s.Do, name)
		}
	}
	return nil
}
