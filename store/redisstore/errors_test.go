package redisstore

import (
	"io"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
)

// The store recognises the server's errors in the wording of every version.
func TestAdvice(t *testing.T) {
	s := &Store{prefix: "tandem:"}
	for text, want := range map[string]string{
		"MISCONF Errors writing to the AOF file: No space left on device":                                          "cannot save to its disk",
		"READONLY You can't write against a read only replica.":                                                    "it is a replica",
		"Error running script (call to f_0a): @user_script:2: @user_script: 2: -OOM command not allowed when used": "raise maxmemory",
		"The user executing the script can't run this command or subcommand script: 0a, on @user_script:3.":        "~tandem:*",
		"NOPERM this user has no permissions to run the 'waitaof' command":                                         "~tandem:*",
		"CLUSTERDOWN The cluster is down":                                                                          "is not whole",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                         "it is a replica",
		"something new": "",
	} {
		if got := s.adviseOn(text); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// The store asks whether the server is running only when the server has not answered, and
// not when it has answered that a change was lost.
func TestAdviceOnErrorsOfItsOwn(t *testing.T) {
	s := &Store{prefix: "tandem:"}
	for _, err := range []error{errEndsLost, errNotOnDisk, errNoAnswer, damaged(io.ErrUnexpectedEOF)} {
		if got := s.advise(err); got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
	if got := s.advise(io.ErrUnexpectedEOF); !strings.Contains(got, "is it running") {
		t.Errorf("a lost connection: %q", got)
	}
}

// An error tells whether the connection leads to a replica, and whether the server
// executed the command.
func TestWhatAnAnswerSays(t *testing.T) {
	e := enginetest.Redis(t)
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for text, want := range map[string]struct{ elsewhere, replica, demoted bool }{
		"READONLY You can't write against a read only replica.":                                           {elsewhere: true, replica: true},
		"ERR Error running script (call to f_0a): @user_script:2: -READONLY You can't write against it.":  {elsewhere: true, replica: true},
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                {elsewhere: true, replica: true},
		"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)":    {replica: true, demoted: true},
		"ERR WAITAOF cannot be used with replica instances. Please also note that writes are just local.": {replica: true, demoted: true},
		"LOADING Redis is loading the dataset in memory":                                                  {elsewhere: true},
		"CLUSTERDOWN The cluster is down":                                                                 {elsewhere: true},
		"OOM command not allowed when used memory > 'maxmemory'.":                                         {},
		"ERR unknown command 'READONLY'":                                                                  {},
	} {
		answer := s.client.Do(t.Context(), s.client.B().Eval().Script("return redis.error_reply(ARGV[1])").Numkeys(0).Arg(text).Build()).Error()
		if isElsewhere(answer) != want.elsewhere || isReplica(answer) != want.replica || isDemoted(answer) != want.demoted {
			t.Errorf("%v: elsewhere %t, replica %t, demoted %t; want %+v", answer, isElsewhere(answer), isReplica(answer), isDemoted(answer), want)
		}
	}
}
