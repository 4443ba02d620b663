package config

import (
	"strings"
	"time"
)

// The bounds of the durations that can be chosen.
const (
	leastKeepAlive = 500 * time.Millisecond // less would ask a network in its own jitter
	mostKeepAlive  = 10 * time.Minute
	leastGiveUp    = time.Second
	mostGiveUp     = 30 * 24 * time.Hour
)

// never is a duration that does not end.
const never = "never"

// parseDuration reads 90s, 1m30s, 500ms within bounds.
func parseDuration(text string, least, most time.Duration) (time.Duration, error) {
	const hint = "for example  500ms  30s  5m"
	d, err := time.ParseDuration(strings.TrimSpace(text))
	if err != nil {
		return 0, wrong(hint, "%q is not a duration", clip(text))
	}
	if d < least || d > most {
		return 0, wrong(hint, "%q is not between %s and %s", clip(text), durationText(least), durationText(most))
	}
	return d, nil
}

func parseKeepAlive(text string) (time.Duration, error) {
	return parseDuration(text, leastKeepAlive, mostKeepAlive)
}

// parseGiveUp gives 0 for never, which is also spelled 0.
func parseGiveUp(text string) (time.Duration, error) {
	switch strings.TrimSpace(text) {
	case never, "0", "0s":
		return 0, nil
	}
	return parseDuration(text, leastGiveUp, mostGiveUp)
}

func giveUpText(d time.Duration) string {
	if d == 0 {
		return never
	}
	return durationText(d)
}

// durationText spells a duration without the units that are zero: 10m, not 10m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
