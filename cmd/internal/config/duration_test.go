package config

import (
	"strings"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for name, tc := range map[string]struct {
		parse func(string) (time.Duration, error)
		text  string
		want  time.Duration
		wrong string // part of the problem; "" for none
	}{
		"the default keep-alive":   {parseKeepAlive, "2s", 2 * time.Second, ""},
		"the least keep-alive":     {parseKeepAlive, "500ms", 500 * time.Millisecond, ""},
		"the most":                 {parseKeepAlive, "10m", 10 * time.Minute, ""},
		"of several units":         {parseKeepAlive, " 1m30s ", 90 * time.Second, ""},
		"below the least":          {parseKeepAlive, "499ms", 0, `"499ms" is not between 500ms and 10m`},
		"above the most":           {parseKeepAlive, "10m1s", 0, "is not between"},
		"no keep-alive at all":     {parseKeepAlive, "0", 0, "is not between"},
		"without a unit":           {parseKeepAlive, "30", 0, `"30" is not a duration`},
		"nothing":                  {parseKeepAlive, "", 0, "is not a duration"},
		"a negative one":           {parseKeepAlive, "-2s", 0, "is not between"},
		"more than there is":       {parseKeepAlive, "99999999999h", 0, "is not a duration"},
		"a limit for CI":           {parseGiveUp, "90s", 90 * time.Second, ""},
		"never":                    {parseGiveUp, "never", 0, ""},
		"never, as a number":       {parseGiveUp, "0", 0, ""},
		"at once":                  {parseGiveUp, "1ms", 0, `is not between 1s and 720h`},
		"a word that is none":      {parseGiveUp, "tomorrow", 0, `"tomorrow" is not a duration`},
		"a limit that is negative": {parseGiveUp, "-1s", 0, "is not between"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.parse(tc.text)
			if got != tc.want || (err == nil) != (tc.wrong == "") || err != nil && !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("%q: got %v, %v, want %v, %q", tc.text, got, err, tc.want, tc.wrong)
			}
		})
	}
}

// What is shown can be typed.
func TestDurationsAreSpelledAsTheyAreRead(t *testing.T) {
	for d, want := range map[time.Duration]string{
		500 * time.Millisecond: "500ms", 2 * time.Second: "2s", time.Minute: "1m", 90 * time.Second: "1m30s",
		time.Hour: "1h", 30 * 24 * time.Hour: "720h", time.Hour + time.Second: "1h0m1s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v is spelled %q, want %q", d, got, want)
		}
		if got, err := parseDuration(want, 0, 1<<62); got != d || err != nil {
			t.Errorf("%q is read as %v, %v", want, got, err)
		}
	}
	if got := giveUpText(0); got != never {
		t.Errorf("no limit is spelled %q", got)
	}
}
