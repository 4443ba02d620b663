package slack

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// noon is when the requests of these tests arrive.
var noon = time.Unix(1_700_000_000, 400_000_000)

func secret(t testing.TB, name, value string) Secret {
	t.Helper()
	s, err := NewSecret(name, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signedWith gives the headers that Slack would send.
func signedWith(s Secret, at time.Time, body []byte) http.Header {
	timestamp, signature := s.Sign(at, body)
	return http.Header{TimestampHeader: {timestamp}, SignatureHeader: {signature}}
}

// verifierOf knows some secrets and lives at noon.
func verifierOf(secrets ...Secret) *Verifier {
	return &Verifier{Secrets: secrets, Now: func() time.Time { return noon }}
}

// The MACs were made with Python's hmac, not with this package.
func TestSignGivesWhatSlackGives(t *testing.T) {
	s := secret(t, "DEV", "made-up signing secret 1")
	for body, want := range map[string]string{
		"token=a&command=%2Ftodo&text=caf%C3%A9": "v0=4c76763b8d78f5ac7e3cf64184f9a13873e4ba4bba9723605770f51f7e9241b1",
		"":                                       "v0=21aa0214aa8585cf92169fdb48c8e8dc17bd663568a7035a2e44cad0e209205f",
	} {
		for range 2 { // the second comes from a used HMAC
			timestamp, signature := s.Sign(time.Unix(1_700_000_000, 999), []byte(body))
			if timestamp != "1700000000" || signature != want {
				t.Errorf("sign %q: got %s and %s, want 1700000000 and %s", body, timestamp, signature, want)
			}
		}
	}
}

func TestPublishedVectorsVerify(t *testing.T) {
	for _, s := range samples(t) {
		if s.form != "vector" {
			continue
		}
		var vector struct {
			Secret    string `json:"signing_secret"`
			Timestamp json.RawMessage
			Body      string
			Signature string
		}
		if err := json.Unmarshal(s.data, &vector); err != nil {
			t.Fatal(err)
		}
		timestamp := strings.Trim(string(vector.Timestamp), `"`)
		seconds, problem := timestampOf(timestamp)
		if problem != "" {
			t.Fatal(problem)
		}
		v := &Verifier{Secrets: []Secret{secret(t, "published", vector.Secret)}, Now: func() time.Time { return time.Unix(seconds+3, 0) }}
		h := http.Header{TimestampHeader: {timestamp}, SignatureHeader: {vector.Signature}}
		if got := v.Verify(h, []byte(vector.Body)); got.Status != Valid {
			t.Errorf("%s: got %+v", s.file, got)
		}
	}
}

func TestVerifyByAge(t *testing.T) {
	dev, other := secret(t, "DEV_SECRET", "abc def"), secret(t, "OTHER", "xyz")
	body := []byte("payload=%7B%7D")
	for name, tc := range map[string]struct {
		age    time.Duration // of the request, by the clock of whoever verifies
		with   Secret
		want   Status
		detail string
	}{
		"fresh and right":                {2 * time.Second, dev, Valid, "signed with DEV_SECRET, 2s before it arrived"},
		"this very second":               {0, dev, Valid, "signed with DEV_SECRET when it arrived"},
		"a clock that runs a little off": {-7 * time.Second, dev, Valid, "signed with DEV_SECRET, 7s ahead of this clock"},
		"exactly five minutes":           {5 * time.Minute, dev, Valid, ""},
		"five minutes ahead":             {-5 * time.Minute, dev, Valid, ""},
		"a second over five minutes": {5*time.Minute + time.Second, dev, Stale,
			"its timestamp was 5m1s old when it arrived; Slack's limit is 5m"},
		"a second over, ahead": {-5*time.Minute - time.Second, dev, Stale,
			"its timestamp was 5m1s in the future: your clock is 5m1s behind; Slack's limit is 5m, and some SDKs have none for the future"},
		"last week": {170 * time.Hour, dev, Stale, "its timestamp was 7 days old when it arrived; Slack's limit is 5m"},
		"another app's": {2 * time.Second, other, Mismatch,
			"signed with something other than DEV_SECRET: another app's secret, or the body was changed on the way"},
		"another app's and old": {6*time.Minute + 12*time.Second, other, Mismatch,
			"signed with something other than DEV_SECRET: another app's secret, or the body was changed on the way; and its timestamp was 6m12s old when it arrived"},
	} {
		t.Run(name, func(t *testing.T) {
			got := verifierOf(dev).Verify(signedWith(tc.with, noon.Add(-tc.age), body), body)
			if got.Status != tc.want || got.Age != tc.age {
				t.Errorf("signed %v ago with %v: got %v at age %v, want %v", tc.age, tc.with, got.Status, got.Age, tc.want)
			}
			if tc.detail != "" && got.Detail != tc.detail {
				t.Errorf("detail\n got %s\nwant %s", got.Detail, tc.detail)
			}
			if named := tc.want == Valid || tc.want == Stale; named != (got.Secret == "DEV_SECRET") {
				t.Errorf("the matching secret is %q", got.Secret)
			}
		})
	}
}

func TestMaxAgeCanBeSet(t *testing.T) {
	s := secret(t, "S", "v")
	v := verifierOf(s)
	v.MaxAge = time.Hour
	if got := v.Verify(signedWith(s, noon.Add(-59*time.Minute), nil), nil); got.Status != Valid {
		t.Errorf("59 minutes of an hour: %+v", got)
	}
	if got := v.Verify(signedWith(s, noon.Add(-61*time.Minute), nil), nil); got.Status != Stale || !strings.Contains(got.Detail, "limit is 1h") {
		t.Errorf("61 minutes of an hour: %+v", got)
	}
}

func TestAnyOfSeveralSecretsFits(t *testing.T) {
	a, b, c := secret(t, "OLD", "1"), secret(t, "NEW", "2"), secret(t, "FOREIGN", "3")
	body := []byte("{}")
	if got := verifierOf(a, b).Verify(signedWith(b, noon, body), body); got.Status != Valid || got.Secret != "NEW" {
		t.Errorf("signed with the second: %+v", got)
	}
	if got := verifierOf(a, b).Verify(signedWith(c, noon, body), body); got.Status != Mismatch || !strings.Contains(got.Detail, "none of the 2 known secrets") {
		t.Errorf("signed with neither: %+v", got)
	}
}

func TestOneChangedByteIsAMismatch(t *testing.T) {
	s := secret(t, "S", "v")
	for name, change := range map[string]string{"a line break": "text=hi\n", "another case": "text=Hi", "nothing left": ""} {
		if got := verifierOf(s).Verify(signedWith(s, noon, []byte("text=hi")), []byte(change)); got.Status != Mismatch {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestWhatSlackCannotHaveSentIsMalformed(t *testing.T) {
	s := secret(t, "S", "v")
	body := []byte("text=hi")
	timestamp, signature := s.Sign(noon, body)
	for name, tc := range map[string]struct {
		timestamp, signature []string
		detail               string
	}{
		"no v0=":                   {[]string{timestamp}, []string{signature[3:]}, "does not begin with v0="},
		"a capital V":              {[]string{timestamp}, []string{"V" + signature[1:]}, "upper-case V"},
		"another version":          {[]string{timestamp}, []string{"v1" + signature[2:]}, "another version"},
		"white space in it":        {[]string{timestamp}, []string{"v0 =" + signature[3:]}, "white space"},
		"empty signature":          {[]string{timestamp}, []string{""}, "is empty"},
		"upper-case digits":        {[]string{timestamp}, []string{"v0=" + strings.ToUpper(signature[3:])}, "upper-case digits"},
		"text after a second =":    {[]string{timestamp}, []string{signature + "=x"}, "second ="},
		"half a MAC":               {[]string{timestamp}, []string{signature[:35]}, "32 characters"},
		"a MAC and a digit":        {[]string{timestamp}, []string{signature + "0"}, "65 characters"},
		"not hexadecimal":          {[]string{timestamp}, []string{signature[:66] + "g"}, "no hexadecimal digit"},
		"two signatures":           {[]string{timestamp}, []string{signature, signature}, "has 2 and 1"},
		"two timestamps":           {[]string{timestamp, timestamp}, []string{signature}, "has 1 and 2"},
		"empty timestamp":          {[]string{""}, []string{signature}, "is empty"},
		"a fraction":               {[]string{timestamp + ".0"}, []string{signature}, "not a whole number"},
		"a sign":                   {[]string{"+" + timestamp}, []string{signature}, "not a whole number"},
		"a negative one":           {[]string{"-1"}, []string{signature}, "not a whole number"},
		"a date":                   {[]string{"Tue, 14 Nov 2023"}, []string{signature}, "not a whole number"},
		"digits of another script": {[]string{"١٢٣"}, []string{signature}, "not a whole number"},
		"a leading zero":           {[]string{"0" + timestamp}, []string{signature}, "begins with a zero"},
		"milliseconds":             {[]string{timestamp + "123"}, []string{signature}, "milliseconds"},
		"more than an int64":       {[]string{strings.Repeat("9", 40)}, []string{signature}, "40 digits"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{TimestampHeader: tc.timestamp, SignatureHeader: tc.signature}
			got := verifierOf(s).Verify(h, body)
			if got.Status != Malformed || !strings.Contains(got.Detail, tc.detail) || !strings.Contains(got.Detail, "SDKs may differ") {
				t.Errorf("timestamp %q, signature %q: got %v: %s; want malformed, naming %q",
					tc.timestamp, tc.signature, got.Status, got.Detail, tc.detail)
			}
		})
	}
}

func TestUnsignedRequestsAreToldApart(t *testing.T) {
	s := secret(t, "S", "v")
	timestamp, signature := s.Sign(noon, nil)
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	for name, tc := range map[string]struct {
		h      http.Header
		body   string
		want   Status
		detail string
	}{
		"nothing at all":           {http.Header{}, "", Missing, "neither X-Slack-Signature nor X-Slack-Request-Timestamp"},
		"no timestamp":             {with(form, SignatureHeader, signature), "token=x", Missing, "but no X-Slack-Request-Timestamp"},
		"no signature":             {with(form, TimestampHeader, timestamp), "token=x", Missing, "but no X-Slack-Signature"},
		"a form with a token":      {form, "token=abc&command=%2Fx", TokenOnly, "legacy verification token"},
		"a form without one":       {form, "command=%2Fx", Missing, "neither X-Slack-Signature"},
		"a form with an empty one": {form, "token=&command=%2Fx", Missing, "neither X-Slack-Signature"},
		"JSON with a token":        {jsonHead, `{"token":"abc","type":"event_callback"}`, TokenOnly, "legacy verification token"},
		"JSON with null":           {jsonHead, `{"token":null}`, Missing, "neither X-Slack-Signature"},
		"a token further inside":   {jsonHead, `{"event":{"token":"abc"}}`, Missing, "neither X-Slack-Signature"},
		"a payload with a token":   {form, "payload=%7B%22token%22%3A%22abc%22%7D", TokenOnly, "legacy verification token"},
	} {
		t.Run(name, func(t *testing.T) {
			got := verifierOf(s).Verify(tc.h, []byte(tc.body))
			if got.Status != tc.want || !strings.Contains(got.Detail, tc.detail) {
				t.Errorf("got %v: %s; want %v: … %s …", got.Status, got.Detail, tc.want, tc.detail)
			}
			if strings.Contains(got.Detail, "abc") {
				t.Errorf("the detail shows the token: %s", got.Detail)
			}
		})
	}
}

func TestWithoutASecretNothingIsValid(t *testing.T) {
	body := []byte("{}")
	real := secret(t, "S", "v")
	for name, v := range map[string]*Verifier{
		"no secret":         {},
		"the zero secret":   verifierOf(Secret{}),
		"only zero secrets": verifierOf(Secret{Name: "A"}, Secret{Name: "B"}),
	} {
		if got := v.Verify(signedWith(real, noon, body), body); got.Status != Unchecked || got.Detail == "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	forged := http.Header{TimestampHeader: {"1700000000"}, SignatureHeader: {emptyKeyMAC}}
	if got := verifierOf(Secret{}, real).Verify(forged, body); got.Status != Mismatch {
		t.Errorf("signed with the empty key: got %+v", got)
	}
}

// emptyKeyMAC is v0:1700000000:{} under the empty key, by Python.
const emptyKeyMAC = "v0=e2fdcc4e9aaf4a3ef79dec780c468da77190c1816bf6870bb9e55cc91d3fd88e"

func TestADetailNeverShowsAMAC(t *testing.T) {
	s, other := secret(t, "S", "v"), secret(t, "T", "w")
	for _, with := range []Secret{s, other} {
		for _, age := range []time.Duration{0, time.Hour, -time.Hour} {
			h := signedWith(with, noon.Add(-age), nil)
			got := verifierOf(s).Verify(h, nil)
			_, right := s.Sign(noon.Add(-age), nil)
			for _, mac := range []string{h.Get(SignatureHeader)[3:], right[3:]} {
				if strings.Contains(got.Detail, mac[:16]) {
					t.Errorf("%v shows a MAC: %s", got.Status, got.Detail)
				}
			}
		}
	}
}

func TestVerifyIsSafeForManyGoroutines(t *testing.T) {
	s := secret(t, "S", "v")
	v := verifierOf(s)
	done := make(chan Status)
	for i := range 8 {
		go func() {
			body := []byte(strings.Repeat("x", i*100))
			h := signedWith(s, noon, body)
			status := Valid
			for range 200 {
				if got := v.Verify(h, body); got.Status != Valid {
					status = got.Status
				}
			}
			done <- status
		}()
	}
	for range 8 {
		if got := <-done; got != Valid {
			t.Errorf("one of eight at once: %v", got)
		}
	}
}

func TestStatusWords(t *testing.T) {
	want := []string{"unchecked", "valid", "missing", "malformed", "stale", "mismatch", "token"}
	for i, word := range want {
		if got := Status(i).String(); got != word {
			t.Errorf("Status(%d): got %s, want %s", i, got, word)
		}
	}
	if got := Status(200).String(); got != "unchecked" {
		t.Errorf("an unknown status: got %s", got)
	}
}
