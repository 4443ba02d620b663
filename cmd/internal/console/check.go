package console

import (
	"math"
	"time"

	"github.com/slackdev/slackdev/cmd/internal/doctor"
)

// checkColumn is where the text of a check begins.
const checkColumn = 16

// Check shows one line of the doctor's report: a mark, a word, what was found, and what
// to do about it; that below, where the terminal is too narrow.
func (c *Console) Check(k doctor.Check) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mark, as := "✓", green
	switch k.Mark {
	case doctor.Warning:
		mark, as = "!", yellow
	case doctor.Bad:
		mark, as = "✗", red
	}
	text := clean(masked(k.Text))
	if k.Took > 0 {
		text += "  (" + doctor.Millis(k.Took) + ")"
	}
	l := (&line{}).put(mark, c.as(as)).put(" ", nil).put(clean(k.Name), c.as(bold)).at(checkColumn).put(cut(text, 1000), nil)
	if fix := clean(masked(k.Fix)); fix != "" {
		if c.Width > 0 && checkColumn+width(text)+2+2+width(fix) > c.Width {
			c.print(l.end())
			l = (&line{}).at(checkColumn)
		} else {
			l.put("  ", nil)
		}
		l.put("→ "+fix, c.as(as))
	}
	c.print(l.end())
	return nil
}

// Check writes one line of the doctor's report.
func (j *JSON) Check(k doctor.Check) error {
	return j.write(struct {
		Type string      `json:"type"`
		Name string      `json:"name"`
		Mark doctor.Mark `json:"mark"`
		Text string      `json:"text"`
		Fix  string      `json:"fix"`
		Took float64     `json:"took_ms"`
	}{"check", k.Name, k.Mark, masked(k.Text), masked(k.Fix), math.Round(float64(k.Took)/float64(10*time.Microsecond)) / 100})
}
