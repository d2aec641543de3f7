package completion_test

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/tandem-auth/tandem/internal/completion"
)

type app struct {
	Verbose bool `help:"Say more. Much more."`

	Paint struct {
		Colour string   `short:"c" enum:"red,green" default:"red"`
		Where  string   `short:"w" completion:"places"`
		Gloss  *bool    `negatable:""`
		Quick  bool     `short:"q"`
		Times  int      `short:"t" type:"counter"`
		Method string   `arg:"" completion:"brush roller"`
		Names  []string `arg:"" optional:""`
	} `cmd:"" help:"Paint something (default a wall)."`
	Look struct {
		Up   struct{} `cmd:"" aliases:"skyward"`
		Down struct{} `cmd:""`
	} `cmd:""`
	Secret struct{} `cmd:"" hidden:""`
}

func TestHowALineMayGoOn(t *testing.T) {
	parser, err := kong.New(&app{}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]completion.Source{"places": func(string) []string { return []string{"wall", "door"} }}
	for line, want := range map[string]string{
		"":                    "paint look",
		"p":                   "paint",
		"se":                  "",
		"nonsense ":           "paint look",
		"--verbose l":         "look",
		"look ":               "up down",
		"look skyward ":       "",
		"paint ":              "brush roller",
		"paint b":             "brush",
		"paint brush ":        "",
		"paint --":            "--help --verbose --colour --where --gloss --no-gloss --quick --times",
		"paint --no":          "--no-gloss",
		"paint --colour ":     "red green",
		"paint --colour g":    "green",
		"paint --colour=g":    "--colour=green",
		"paint --colour = g":  "green", // as bash splits it
		"paint --colour =":    "red green",
		"paint -c ":           "red green",
		"paint -qc ":          "red green",
		"paint -cred ":        "brush roller",
		"paint -q ":           "brush roller",
		"paint -t ":           "brush roller",
		"paint --where d":     "door",
		"paint --quick=d":     "",
		"paint --colour red ": "brush roller",
		"paint -- -":          "",
		"paint -- b":          "brush",
		"paint --nonsense ":   "brush roller",
	} {
		var got []string
		for _, c := range completion.Complete(parser.Model, strings.Split(line, " "), sources) {
			got = append(got, c.Text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	if got := completion.Complete(parser.Model, nil, nil); len(got) != 2 || got[0].Help != "Paint something" {
		t.Errorf("got %v", got)
	}
	if _, err := completion.Script("csh", "tandem"); err == nil || !strings.Contains(err.Error(), "want bash, zsh or fish") {
		t.Errorf("csh: %v", err)
	}
}
