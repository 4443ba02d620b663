package slack

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestNewSecretRefusesWhatWouldAcceptForgeries(t *testing.T) {
	for name, value := range map[string]string{
		"empty":               "",
		"spaces":              "   ",
		"a line break":        "\n",
		"a no-break space":    "\u00a0",
		"a byte order mark":   "\ufeff",
		"a zero-width space":  "abc\u200bdef",
		"a line break inside": "abcdef\n123456",
		"NUL":                 "abcdef\x00",
		"not UTF-8":           "abcdef\xff",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSecret("MY_SECRET", value)
			if err == nil {
				t.Fatalf("accepted %q", value)
			}
			if !strings.Contains(err.Error(), "MY_SECRET") || strings.Contains(err.Error(), "abc") {
				t.Errorf("the error must name the secret and not show it: %v", err)
			}
			if _, signature := s.Sign(noon, nil); signature != "" {
				t.Errorf("what was refused signs: %s", signature)
			}
		})
	}
}

func TestNewSecretTakesOffWhiteSpaceAround(t *testing.T) {
	_, want := secret(t, "S", "abc def").Sign(noon, nil)
	for _, value := range []string{"abc def\n", " \tabc def\r\n"} {
		if _, got := secret(t, "S", value).Sign(noon, nil); got != want {
			t.Errorf("%q is another secret", value)
		}
	}
	if _, got := secret(t, "S", "abc  def").Sign(noon, nil); got == want {
		t.Error("white space inside counts")
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	const value = "8f0f1f2f3f4f5f6f"
	s := secret(t, "MY_SECRET", value)
	type holder struct {
		s  Secret
		P  *Secret
		In map[string]Secret
	}
	held := holder{s, &s, map[string]Secret{"k": s}}
	s.Sign(time.Now(), []byte("body")) // the HMAC's state must not show either
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%t", "%08b", "%p"} {
		fmt.Fprintf(&out, verb+"\n"+verb+"\n"+verb+"\n", s, &s, held)
	}
	fmt.Fprintln(&out, s, []Secret{s}, held, &held, s.key)
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "s", s, "held", held)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "s", s, "list", []Secret{s})
	for _, encode := range []func() ([]byte, error){
		func() ([]byte, error) { return json.Marshal(map[string]any{"s": s, "p": &s}) },
		func() ([]byte, error) { return xml.Marshal(s) },
		func() ([]byte, error) { return s.MarshalText() },
	} {
		b, err := encode()
		if err != nil {
			t.Error(err)
		}
		out.Write(b)
	}
	_ = gob.NewEncoder(&out).Encode(s) // an error is as good
	shown := strings.ToLower(out.String())
	for _, spelled := range []string{value, fmt.Sprintf("%x", value), fmt.Sprint([]byte(value)), fmt.Sprint([]byte(value[:4]))[1:12]} {
		if strings.Contains(shown, spelled) {
			t.Errorf("shown as %s in:\n%s", spelled, shown)
		}
	}
	if !strings.Contains(out.String(), "MY_SECRET=…") {
		t.Error("the name is not shown")
	}
}
