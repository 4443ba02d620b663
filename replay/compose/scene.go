package compose

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// scene is who does what in every request that is made here: ana, in the channel dev
// of a small company's workspace, with a to-do app. All of it is invented. The fields
// stay the same within a request; each call of a method gives something fresh.
type scene struct {
	Token                   string // the legacy verification token
	Team, TeamDomain        string
	Channel, ChannelName    string
	User, UserName          string
	App, Bot, BotUser, View string
	Unix                    int64  // now, in seconds
	MessageTS, ActionTS     string // now, as the ts of a message and of a press
	EarlierTS               string // of a message that the app posted before
	Tomorrow                string // a date
	Event                   string // the filled-in event, for the envelope

	random io.Reader
}

// teamNumber is the number of the team in its trigger_ids.
const teamNumber = "7230184556913"

func newScene(now time.Time, random io.Reader) *scene {
	s := &scene{
		Token: "slackdevSendsThisToken24", Team: "T07SDEV4TEAM", TeamDomain: "slackdev-example",
		Channel: "C07SDEV4DEV", ChannelName: "dev", User: "U07SDEV4ANA", UserName: "ana",
		App: "A07SDEV4APP", Bot: "B07SDEV4BOT", BotUser: "U07SDEV4BOT",
		Unix: now.Unix(), Tomorrow: now.AddDate(0, 0, 1).Format(time.DateOnly), random: random,
	}
	s.MessageTS, s.ActionTS = timestamp(now, s.Digits(6)), timestamp(now, s.Digits(6))
	s.EarlierTS = timestamp(now.Add(-2*time.Minute), s.Digits(6))
	s.View = s.FreshID("V")
	return s
}

// timestamp spells a message's ts: seconds and six digits that make it unique.
func timestamp(now time.Time, digits string) string { return fmt.Sprintf("%d.%s", now.Unix(), digits) }

const (
	digits  = "0123456789"
	capital = digits + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	letters = capital + "abcdefghijklmnopqrstuvwxyz"
)

// pick gives n characters by chance.
func (s *scene) pick(n int, from string) string {
	b := s.bytes(n)
	for i := range b {
		b[i] = from[int(b[i])%len(from)]
	}
	return string(b)
}

func (s *scene) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = io.ReadFull(s.random, b) // where chance ends, zeros serve
	return b
}

// Digits gives n digits of which the first is not 0.
func (s *scene) Digits(n int) string { return s.pick(1, digits[1:]) + s.pick(n-1, digits) }

// Alphanumerics gives n letters and digits.
func (s *scene) Alphanumerics(n int) string { return s.pick(n, letters) }

// FreshID gives an id like Ev07K3M9QX2B.
func (s *scene) FreshID(prefix string) string { return prefix + "07" + s.pick(8, capital) }

// TriggerID gives a trigger_id: two numbers and 32 hexadecimal digits.
func (s *scene) TriggerID() string {
	return s.Digits(13) + "." + teamNumber + "." + hex.EncodeToString(s.bytes(16))
}

// ResponseURL gives a response_url in Slack's shape. Slack answers it with an
// error, since it gave it to nobody.
func (s *scene) ResponseURL(sort string) string {
	return "https://hooks.slack.com/" + sort + "/" + s.Team + "/" + s.Digits(13) + "/" + s.Alphanumerics(24)
}

// UUID gives a random UUID (RFC 9562, version 4).
func (s *scene) UUID() string {
	b := s.bytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
