package clientsuite

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

const (
	folder = "../../../testdata/vectors/client"
	manual = "../../../docs/conformance.md"
)

func TestEveryRuleHasAScenario(t *testing.T) {
	all, err := Load(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	checked := map[int]int{}
	for _, s := range all {
		if !unicode.IsUpper(rune(s.Name[0])) && !unicode.IsDigit(rune(s.Name[0])) {
			t.Errorf("%q is no sentence", s.Name)
		}
		for _, rule := range s.Rules {
			checked[rule]++
		}
	}
	for rule := 1; rule <= lastRule; rule++ {
		if checked[rule] == 0 {
			t.Errorf("no scenario checks rule %d", rule)
		}
	}
}

// Whoever writes a runner has nothing but the manual.
func TestTheManualNamesEveryFieldAndStep(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	names := serverSteps()
	names = append(names, "signIn", "request", "join", "cancel", "signOut", "wait", RequestHeader, LengthHeader)
	for _, v := range []any{Scenario{}, Script{}, Answer{}, Settings{}, Step{}, Body{}, Expect{}, Run{}, Report{}, Call{}} {
		for field := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			names = append(names, name)
		}
	}
	for _, e := range endpoints() {
		names = append(names, string(e))
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not documented", name)
		}
	}
}

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	const good = `{"name": "It works", "rules": [1], "steps": [{"do": "signIn", "user": "ann", "expect": "ok"}], "expect": {"traffic": {"signIn": 1}, "signedIn": "ann"}}`
	if _, err := Load(fstest.MapFS{"a.json": {Data: []byte("[" + good + "]")}}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"a field that is not known":              {`"rules"`, `"colour": "red", "rules"`},
		"a field of a step that is not known":    {`"user"`, `"usre": "x", "user"`},
		"a field that the step has no use for":   {`"user"`, `"gate": "x", "user"`},
		"a step that lacks a field":              {`"user": "ann", `, ``},
		"a step that is not known":               {`"signIn", "user"`, `"signin", "user"`},
		"no rule":                                {`[1]`, `[]`},
		"a rule that is none":                    {`[1]`, `[13]`},
		"no name":                                {`It works`, ``},
		"traffic of no endpoint":                 {`{"signIn": 1}`, `{"login": 1}`},
		"the most before the least":              {`{"signIn": 1}`, `{"signIn": [2, 1]}`},
		"a need that is not known":               {`"rules"`, `"needs": ["wings"], "rules"`},
		"an answer on no endpoint":               {`"rules"`, `"server": {"answers": [{"on": "login", "status": 500}]}, "rules"`},
		"an answer that changes nothing":         {`"rules"`, `"server": {"answers": [{"on": "api"}]}, "rules"`},
		"an answer that is two":                  {`"rules"`, `"server": {"answers": [{"on": "api", "status": 500, "lose": "call"}]}, "rules"`},
		"a body without a status":                {`"rules"`, `"server": {"answers": [{"on": "api", "lose": "call", "body": "x"}]}, "rules"`},
		"an answer for some times and for ever":  {`"rules"`, `"server": {"answers": [{"on": "api", "status": 500, "times": 2, "always": true}]}, "rules"`},
		"a variant without a name":               {`"rules"`, `"variants": [{}], "rules"`},
		"a gate that nothing waits at":           {`"expect": "ok"}`, `"expect": "ok"}, {"do": "release", "gate": "x"}`},
		"a join of nothing":                      {`"expect": "ok"}`, `"expect": "ok"}, {"do": "join", "as": "x"}`},
		"a request that nobody joins":            {`"expect": "ok"}`, `"expect": "ok"}, {"do": "request", "as": "x", "background": true, "expect": "200"}`},
		"a request in the background, unnamed":   {`"expect": "ok"}`, `"expect": "ok"}, {"do": "request", "background": true, "expect": "200"}`},
		"a body of a kind that is not known":     {`"expect": "ok"}`, `"expect": "ok"}, {"do": "request", "body": {"kind": "blob", "length": 1}, "expect": "200"}`},
		"two scenarios of one name":              {good, good + "," + good},
		"something after the list":               {good, good + "] ["},
		"a wait for no endpoint":                 {`"expect": "ok"}`, `"expect": "ok"}, {"do": "await", "on": "login", "calls": 1}`},
		"an access token in the body of a login": {`"rules"`, `"server": {"answers": [{"on": "signIn", "access": 1, "status": 500}]}, "rules"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := "[" + strings.Replace(good, change[0], change[1], 1) + "]"
			if _, err := Load(fstest.MapFS{"a.json": {Data: []byte(text)}}); err == nil {
				t.Errorf("%s: no error", text)
			}
		})
	}
}
