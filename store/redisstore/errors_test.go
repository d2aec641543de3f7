package redisstore

import (
	"strings"
	"testing"
)

// What a server answers is recognised in each of the forms that it has had.
func TestAdvice(t *testing.T) {
	s := &Store{prefix: "tandem:"}
	for text, want := range map[string]string{
		"MISCONF Errors writing to the AOF file: No space left on device":                                          "cannot save to its disk",
		"READONLY You can't write against a read only replica.":                                                    "it is a replica",
		"Error running script (call to f_0a): @user_script:2: @user_script: 2: -OOM command not allowed when used": "raise maxmemory",
		"The user executing the script can't run this command or subcommand script: 0a, on @user_script:3.":        "~tandem:*",
		"NOPERM this user has no permissions to run the 'waitaof' command":                                         "~tandem:*",
		"CLUSTERDOWN The cluster is down":                                                                          "is not whole",
		"something new":                                                                                            "",
	} {
		if got := s.adviseOn(text); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
