package configfile_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/configfile"
)

var known = []string{"access-ttl", "allow-credentials", "allow-origin", "leeway", "listen", "max-sessions", "refresh-ttl"}

func TestAFileIsReadAsItIsMeant(t *testing.T) {
	f, err := configfile.Read(strings.NewReader("\ufeff# the server of the shop\r\n"+`
listen: :8080
access-ttl: 15m # short
leeway: 0
max-sessions: 10
allow-credentials: true
allow-origin:
  - https://app.example.com
  - capacitor://localhost
`), "tandem.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Check(known); err != nil {
		t.Error(err)
	}
	want := map[string][]string{
		"listen": {":8080"}, "access-ttl": {"15m"}, "leeway": {"0"}, "max-sessions": {"10"}, "allow-credentials": {"true"},
		"allow-origin": {"https://app.example.com", "capacitor://localhost"},
	}
	got := map[string][]string{}
	for name, s := range f.Settings {
		got[name] = s.Values
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if line := f.Settings["access-ttl"].Line; line != 4 {
		t.Errorf("access-ttl is in line %d, want 4", line)
	}
}

// JSON is YAML, so the files of earlier releases stay valid.
func TestAJSONObjectIsAFileToo(t *testing.T) {
	f, err := configfile.Read(strings.NewReader(`{"listen": ":8080", "allow-origin": ["https://app.example.com"]}`), "tandem.json")
	if err != nil || f.Settings["listen"].Values[0] != ":8080" || len(f.Settings["allow-origin"].Values) != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestAnEmptyFileHasNoSettings(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "---\n", "---\n# nothing\n"} {
		if f, err := configfile.Read(strings.NewReader(text), "tandem.yaml"); err != nil || len(f.Settings) != 0 {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
}

// An error names the line, says what to do, and does not quote values: one may be a password.
func TestAMistakeIsNamed(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct{ name, text, want string }{
		{"a misspelt name", "listen: :8080\nacess-ttl: 15m", `tandem.yaml, line 2: there is no setting "acess-ttl"; did you mean "access-ttl"?`},
		{"another way to write a name", "accessTTL: 15m", `did you mean "access-ttl"?`},
		{"letters in the wrong order", "lsiten: :8080", `did you mean "listen"?`},
		{"a name that resembles none", "colour: red", `there is no setting "colour"; tandem serve --help lists them`},
		{"two mistakes", "colour: red\nacess-ttl: 15m", `line 2: there is no setting "acess-ttl"`},
		{"no value", "listen:\naccess-ttl: 15m", `line 1: "listen" has no value; give it one, or remove the line`},
		{"a name twice", "listen: :1\nlisten: :2", `already defined`},
		{"settings below settings", "access:\n  ttl: 15m", `line 1: "access" has settings of its own below it; names are written in full`},
		{"a list in a list", "allow-origin: [[a]]", `an element in the list of "allow-origin" is no plain value`},
		{"no mapping", "listen", `must have lines such as "listen: :8080"`},
		{"no space behind the colon", "listen::8080", `must have lines such as "listen: :8080"`},
		{"a list", "- listen", `must have lines such as "listen: :8080"`},
		{"two documents", "listen: :1\n---\nlisten: :2", `has 2 documents`},
		{"a quote that is not closed", "listen: \":8080\nstore: " + secret, `is not YAML`},
		{"a tab", "listen:\n\t:8080", `is not YAML`},
		{"binary", "\x00\x01\x02", `tandem.yaml`},
		{"too much", "# " + strings.Repeat("x", 1<<20), `is larger than 1048576 bytes`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := configfile.Read(strings.NewReader(c.text), "tandem.yaml")
			if err == nil {
				err = f.Check(known)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error quotes a value: %v", err)
			}
		})
	}
}

func TestADurationHasAUnit(t *testing.T) {
	f, err := configfile.Read(strings.NewReader("access-ttl: 15\nleeway: 0\nmax-sessions: 15"), "tandem.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const want = `tandem.yaml, line 1: "access-ttl" is the number 15, without a unit; durations are written like 10s, 15m or 2h`
	if _, err := f.Values("access-ttl", true); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	for name, isDuration := range map[string]bool{"leeway": true, "max-sessions": false, "refresh-ttl": true} {
		if _, err := f.Values(name, isDuration); err != nil {
			t.Error(err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{"", "a: b", "a: [b, c]", "{\"a\": 1}", "a: &x b\nc: *x", "<<: {a: b}", "a: !!binary x", "? a\n: b", "a: 1e400", "a: .nan", "---\n---\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := configfile.Read(strings.NewReader(text), "f")
		if err != nil {
			if file != nil {
				t.Error("a file and an error")
			}
			return
		}
		for name, s := range file.Settings {
			if s.Line < 1 || s.IsNumber && len(s.Values) != 1 {
				t.Errorf("%q: %+v", name, s)
			}
		}
		_ = file.Check(known)
	})
}
