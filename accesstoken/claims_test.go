package accesstoken

import (
	"encoding/json"
	"testing"
)

// memberNames finds the names that encoding/json finds.
func FuzzMemberNames(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"a":{"b":1},"c":["d",{"e":"f"}],"g":"h"}`, `{"a\"b":"c\\","d":"\\\""}`, `{"":[],"a" : "," }`, `{"{":"}","[":"]"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil || members == nil {
			return
		}
		found := map[string]bool{}
		for name := range memberNames([]byte(text)) {
			var decoded string
			if err := json.Unmarshal([]byte(`"`+string(name)+`"`), &decoded); err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			found[decoded] = true
		}
		for name := range members {
			if !found[name] {
				t.Errorf("%q was not found in %s", name, text)
			}
			delete(found, name)
		}
		if len(found) > 0 {
			t.Errorf("found %v, which are not in %s", found, text)
		}
	})
}
