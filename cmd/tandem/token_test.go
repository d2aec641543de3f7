package main

import (
	"encoding/json"
	"slices"
	"testing"
)

func FuzzExecVersion(f *testing.F) {
	for _, info := range []string{"", "{}", "null", "[]", `{"apiVersion":"client.authentication.k8s.io/v1beta1"}`, `{"apiVersion":7}`, `{"apiVersion":"client.authentication.k8s.io/v1"} x`} {
		f.Add(info)
	}
	f.Fuzz(func(t *testing.T, info string) {
		version, err := execVersion(info)
		if (err == nil) != slices.Contains(execVersions, version) {
			t.Errorf("%q, %v", version, err)
		}
		var asked struct{ APIVersion string }
		if err == nil && info != "" && (json.Unmarshal([]byte(info), &asked) != nil || asked.APIVersion != version) {
			t.Errorf("asked for %q, got %q", asked.APIVersion, version)
		}
	})
}
