package visible_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tandem-auth/tandem/internal/visible"
)

func TestText(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":              {"Ann's phone, 2", "Ann's phone, 2"},
		"other scripts":      {"小明 Größe עברית العربية हिन्दी", "小明 Größe עברית العربية हिन्दी"},
		"an emoji":           {"phone 📱", "phone 📱"},
		"a terminal":         {"a\x1b[2J\x07\u009b1mb\x7f", "a[2J1mb"},
		"lines":              {"a\r\nb\tc", "abc"},
		"right to left":      {"photo\u202egnp.exe\u2066\u200f", "photognp.exe"},
		"zero width":         {"p\u200ba\u200dy\ufeffp\u2060a\u00adl", "paypal"},
		"tags":               {"a\U000e0041\U000e007fb", "ab"},
		"variations":         {"a\ufe0fb\U000e0100", "ab"},
		"fillers":            {"a\u3164b\u115fc\u17b4d", "abcd"},
		"spaces":             {"a\u00a0b\u3000c\u2028d\u2800e", "a b c d e"},
		"private characters": {"a\ue000b\U0010fffd", "ab"},
		"no UTF-8":           {"a\xffb", "a\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := visible.Text(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := visible.Lines("a\u202e\nb\x1b\n"); got != "a\nb\n" {
		t.Errorf("lines: %q", got)
	}
}

// The result of Text never contains hidden characters, and Text does not change it again.
func FuzzText(f *testing.F) {
	f.Add("a\u202eb\x1b\xff 小明")
	f.Fuzz(func(t *testing.T, in string) {
		out := visible.Text(in)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, visible.IsHidden) || visible.Text(out) != out {
			t.Errorf("%q became %q", in, out)
		}
	})
}
