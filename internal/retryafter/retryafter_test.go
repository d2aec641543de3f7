package retryafter_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/retryafter"
)

func TestParse(t *testing.T) {
	now := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	date := func(at time.Time) string { return at.Format(http.TimeFormat) }
	for name, c := range map[string]struct {
		text, date string
		want       time.Duration
	}{
		"none":                             {"", "", 0},
		"seconds":                          {"7", "", 7 * time.Second},
		"more than is believed":            {"7000", "", time.Hour},
		"more than a number holds":         {"99999999999999999999", "", time.Hour},
		"a negative number":                {"-7", "", 0},
		"less than any number holds":       {"-99999999999999999999", "", 0},
		"no number":                        {"soon", "", 0},
		"a date":                           {date(now.Add(time.Minute)), "", time.Minute},
		"a date that is past":              {date(now.Add(-time.Minute)), "", 0},
		"a date by another clock":          {date(now.Add(9 * time.Hour)), date(now.Add(9*time.Hour - time.Minute)), time.Minute},
		"a date that is far in the future": {date(now.Add(24 * time.Hour)), "", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			header.Set("Retry-After", c.text)
			header.Set("Date", c.date)
			if got := retryafter.Parse(header, now, time.Hour); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", time.Minute: "60",
	} {
		if got := retryafter.Format(wait); got != want {
			t.Errorf("%v is %s, want %s", wait, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("120", "")
	f.Add("Fri, 02 Jan 2026 03:04:05 GMT", "Fri, 02 Jan 2026 03:04:00 GMT")
	f.Fuzz(func(t *testing.T, text, date string) {
		header := http.Header{"Retry-After": {text}, "Date": {date}}
		if got := retryafter.Parse(header, time.Unix(0, 0), time.Hour); got < 0 || got > time.Hour {
			t.Errorf("%q at %q is %v", text, date, got)
		}
	})
}
