package slack

import (
	"crypto/sha256"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxAge is how far a request's timestamp may lie from now, either way, before it
// is stale. Slack's documentation says five minutes
// (docs.slack.dev/authentication/verifying-requests-from-slack).
const MaxAge = 5 * time.Minute

// The headers that carry a signature, as net/http spells them.
const (
	SignatureHeader = "X-Slack-Signature"
	TimestampHeader = "X-Slack-Request-Timestamp"
)

// Status is the outcome of a verification. None of them is an error: in a
// developer's tool a wrong signature is information.
type Status uint8

// The outcomes.
const (
	Unchecked Status = iota // there is no secret to check with, or the body was too large to check
	Valid                   // signed with a known secret, and fresh
	Missing                 // no signature or no timestamp
	Malformed               // a signature or a timestamp that Slack cannot have sent
	Stale                   // signed with a known secret, too long ago or too far in the future
	Mismatch                // signed with another secret, or the body was changed on the way
	TokenOnly               // unsigned, with a legacy verification token
)

// String gives the word that JSON and the search language use. What is not one of
// the outcomes is unchecked as well: nothing vouches for it.
func (s Status) String() string {
	switch s {
	case Valid:
		return "valid"
	case Missing:
		return "missing"
	case Malformed:
		return "malformed"
	case Stale:
		return "stale"
	case Mismatch:
		return "mismatch"
	case TokenOnly:
		return "token"
	default:
		return "unchecked"
	}
}

// Verdict is what a verification found.
type Verdict struct {
	Status Status
	Secret string        // the name of the secret that matched
	Age    time.Duration // now minus the request's timestamp, whole seconds; negative when that lies in the future
	Detail string        // one sentence that names the cause; never a MAC
}

// Verifier checks signatures, version v0. It is read-only after construction, and
// then safe for use by many goroutines.
type Verifier struct {
	Secrets []Secret
	MaxAge  time.Duration    // zero: the constant MaxAge
	Now     func() time.Time // nil: time.Now
}

// Verify judges a request by its headers and the raw bytes of its body. Without a
// secret the verdict is Unchecked, whatever the request carries. A header that
// Slack cannot have sent is Malformed even where some SDK accepts it, and even when
// the MAC in it would fit.
func (v *Verifier) Verify(h http.Header, body []byte) Verdict {
	if !v.canCheck() {
		return Verdict{Status: Unchecked, Detail: "no signing secret is set, so the signature was not checked"}
	}
	signatures, timestamps := h[SignatureHeader], h[TimestampHeader]
	if len(signatures) == 0 || len(timestamps) == 0 {
		return unsigned(h, body, len(signatures) > 0, len(timestamps) > 0)
	}
	if len(signatures) > 1 || len(timestamps) > 1 {
		return malformed("a request has one " + SignatureHeader + " and one " + TimestampHeader +
			", this one has " + strconv.Itoa(len(signatures)) + " and " + strconv.Itoa(len(timestamps)))
	}
	seconds, problem := timestampOf(timestamps[0])
	if problem != "" {
		return malformed(problem)
	}
	var sum [sha256.Size]byte
	if problem := decodeSignature(&sum, signatures[0]); problem != "" {
		verdict := malformed(problem)
		verdict.Age = v.age(seconds)
		return verdict
	}
	return v.judge(&sum, timestamps[0], seconds, body)
}

// judge compares a well-formed signature with that of every secret.
func (v *Verifier) judge(sum *[sha256.Size]byte, timestamp string, seconds int64, body []byte) Verdict {
	verdict := Verdict{Age: v.age(seconds)}
	limit := v.MaxAge
	if limit == 0 {
		limit = MaxAge
	}
	fresh := verdict.Age.Abs() <= limit
	for _, s := range v.Secrets {
		if !s.signed(sum[:], timestamp, body) {
			continue
		}
		verdict.Secret = s.Name
		if fresh {
			verdict.Status, verdict.Detail = Valid, validDetail(s.Name, verdict.Age)
		} else {
			verdict.Status, verdict.Detail = Stale, staleDetail(verdict.Age, limit)
		}
		return verdict
	}
	verdict.Status = Mismatch
	verdict.Detail = "signed with " + v.noneOf() + ": another app's secret, or the body was changed on the way"
	if !fresh {
		verdict.Detail += "; and " + ageInWords(verdict.Age)
	}
	return verdict
}

// canCheck reports whether there is a secret with a value.
func (v *Verifier) canCheck() bool {
	for _, s := range v.Secrets {
		if s.key != nil {
			return true
		}
	}
	return false
}

// age is now minus a timestamp in whole seconds, as Slack and its SDKs count: the
// fraction of the current second is dropped.
func (v *Verifier) age(seconds int64) time.Duration {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	const most = int64(math.MaxInt64 / time.Second) // 292 years
	return time.Duration(min(max(now().Unix()-seconds, -most), most)) * time.Second
}

// noneOf names the secrets that did not fit.
func (v *Verifier) noneOf() string {
	if len(v.Secrets) == 1 {
		return "something other than " + v.Secrets[0].Name
	}
	return "none of the " + strconv.Itoa(len(v.Secrets)) + " known secrets"
}

// unsigned judges a request that lacks one header or both.
func unsigned(h http.Header, body []byte, signature, timestamp bool) Verdict {
	switch {
	case signature:
		return Verdict{Status: Missing, Detail: "there is an " + SignatureHeader + " but no " + TimestampHeader +
			", and Slack sends both: did something drop it on the way?"}
	case timestamp:
		return Verdict{Status: Missing, Detail: "there is an " + TimestampHeader + " but no " + SignatureHeader +
			", and Slack sends both: did something drop it on the way?"}
	case hasToken(h, body):
		return Verdict{Status: TokenOnly, Detail: "there is only a legacy verification token, " +
			"which everyone who has seen one request can send"}
	}
	return Verdict{Status: Missing, Detail: "neither " + SignatureHeader + " nor " + TimestampHeader +
		" is there, so anyone can have sent it"}
}

func malformed(problem string) Verdict {
	return Verdict{Status: Malformed, Detail: problem + "; SDKs may differ in what they accept"}
}

// timestampOf reads a timestamp: decimal seconds, spelled as Slack spells them. A
// sign, a leading zero, white space or a fraction would change the signed text in
// those SDKs that read a number and write it again.
func timestampOf(s string) (seconds int64, problem string) {
	digits := s != ""
	for i := range len(s) {
		digits = digits && '0' <= s[i] && s[i] <= '9'
	}
	switch {
	case s == "":
		return 0, "the " + TimestampHeader + " is empty"
	case !digits:
		return 0, "the " + TimestampHeader + " is not a whole number of seconds"
	case s[0] == '0' && len(s) > 1:
		return 0, "the " + TimestampHeader + " begins with a zero"
	case len(s) == len("1700000000000"):
		return 0, "the " + TimestampHeader + " looks like milliseconds, and Slack sends seconds"
	case len(s) > len("1700000000"):
		return 0, "the " + TimestampHeader + " has " + strconv.Itoa(len(s)) + " digits, too many for seconds"
	}
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, "the " + TimestampHeader + " is not a whole number of seconds"
	}
	return seconds, ""
}

// decodeSignature reads v0= and 64 lower-case hexadecimal digits.
func decodeSignature(sum *[sha256.Size]byte, s string) (problem string) {
	digits, ok := strings.CutPrefix(s, version+"=")
	if !ok {
		return signaturePrefixProblem(s)
	}
	if before, _, second := strings.Cut(digits, "="); second {
		return "the signature has text after a second =, behind " + strconv.Itoa(len(before)) + " digits"
	}
	if len(digits) != 2*sha256.Size {
		return "the signature has " + strconv.Itoa(len(digits)) + " characters after v0= instead of 64"
	}
	upper := false
	for i := range sum {
		high, low := digits[2*i], digits[2*i+1]
		if !isHex(high) || !isHex(low) {
			return "the signature holds a character that is no hexadecimal digit"
		}
		upper = upper || isUpper(high) || isUpper(low)
		sum[i] = nibble(high)<<4 | nibble(low)
	}
	if upper {
		return "the signature has upper-case digits, and Slack writes lower-case ones"
	}
	return ""
}

func signaturePrefixProblem(s string) string {
	name, _, found := strings.Cut(s, "=")
	switch {
	case s == "":
		return "the " + SignatureHeader + " is empty"
	case !found:
		return "the signature does not begin with v0="
	case strings.EqualFold(name, version):
		return "the signature begins with an upper-case V"
	case strings.TrimSpace(name) == version:
		return "the signature has white space around v0"
	case len(name) > 1 && len(name) <= 4 && name[0] == 'v':
		return "the signature is of another version than v0, which is the only one that Slack documents"
	}
	return "the signature does not begin with v0="
}

// isHex reports whether c is a hexadecimal digit in either case.
func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// nibble is the value of a hexadecimal digit.
func nibble(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// validDetail tells the age at the arrival: the text is kept, and read much later.
func validDetail(name string, age time.Duration) string {
	if age == 0 {
		return "signed with " + name + " when it arrived"
	}
	if age < 0 {
		return "signed with " + name + ", " + (-age).String() + " ahead of this clock"
	}
	return "signed with " + name + ", " + age.String() + " before it arrived" // the hot path: one allocation
}

// staleDetail does not name the secret: Verdict.Secret does.
func staleDetail(age, limit time.Duration) string {
	if age < 0 {
		return ageInWords(age) + ": your clock is " + inWords(-age) +
			" behind; Slack's limit is " + inWords(limit) + ", and some SDKs have none for the future"
	}
	return ageInWords(age) + "; Slack's limit is " + inWords(limit)
}

// ageInWords says where a timestamp lay that was age old.
func ageInWords(age time.Duration) string {
	if age < 0 {
		return "its timestamp was " + inWords(-age) + " in the future"
	}
	return "its timestamp was " + inWords(age) + " old when it arrived"
}

// inWords spells a length of whole seconds as 6m12s, and 5m0s as 5m.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day {
		return strconv.Itoa(int(d/day)) + " days"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
