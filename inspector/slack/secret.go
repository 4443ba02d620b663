package slack

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// version is the only version of the signature that there is. It begins the signed
// text and the signature (docs.slack.dev/authentication/verifying-requests-from-slack).
const version = "v0"

// Secret is a signing secret and the name that a person knows it by. The value can
// be used and not read: no verb of package fmt prints it, no encoding writes it, and
// slog shows the name alone. Copies share the value. The zero Secret has none: it
// signs nothing, and no request was ever signed with it.
type Secret struct {
	Name string
	// key is behind a pointer so that fmt, which looks into unexported fields of
	// structs that hold a Secret, finds an address.
	key *key
}

// key makes MACs with one value. An HMAC that was used once keeps both padded
// states, so taking a used one saves two of the blocks and every allocation.
type key struct {
	macs sync.Pool // of *mac
}

// mac is an HMAC with room for its work, so that a sum needs no allocation.
type mac struct {
	hash.Hash
	head []byte // what is signed before the body
	sum  []byte
}

// NewSecret takes a value without the white space around it. It refuses an empty or
// blank value: an empty key is a valid HMAC key, and whoever verifies with it accepts
// every forgery. It refuses as well what cannot be seen, such as a byte order mark,
// since no signature would ever fit. The error names the secret, never the value.
func NewSecret(name, value string) (Secret, error) {
	value = strings.TrimSpace(value)
	if value == "" {
		return Secret{}, fmt.Errorf("signing secret %s is empty", name)
	}
	for _, r := range value {
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar {
			return Secret{}, fmt.Errorf("signing secret %s holds a character that cannot be seen (%U)", name, r)
		}
	}
	raw, k := []byte(value), &key{}
	k.macs.New = func() any {
		return &mac{
			Hash: hmac.New(sha256.New, raw),
			head: make([]byte, 0, 32),
			sum:  make([]byte, 0, sha256.Size),
		}
	}
	return Secret{Name: name, key: k}, nil
}

// Sign returns the values of X-Slack-Request-Timestamp and X-Slack-Signature for
// body, sent at the given time. The zero Secret gives an empty signature.
func (s Secret) Sign(at time.Time, body []byte) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	if s.key == nil {
		return timestamp, ""
	}
	m := s.key.mac(timestamp, body)
	defer s.key.macs.Put(m)
	return timestamp, version + "=" + hex.EncodeToString(m.sum)
}

// signed reports whether sum is the MAC of a request, in constant time.
func (s Secret) signed(sum []byte, timestamp string, body []byte) bool {
	if s.key == nil {
		return false
	}
	m := s.key.mac(timestamp, body)
	defer s.key.macs.Put(m)
	return hmac.Equal(sum, m.sum)
}

// mac gives an HMAC whose sum is that of a request. Put it back when it was read.
func (k *key) mac(timestamp string, body []byte) *mac {
	m := k.macs.Get().(*mac)
	m.Reset()
	m.head = append(m.head[:0], version+":"...)
	m.head = append(m.head, timestamp...)
	m.head = append(m.head, ':')
	m.Write(m.head)
	m.Write(body)
	m.sum = m.Sum(m.sum[:0])
	return m
}

// String gives the name, with an ellipsis where the value would be.
func (s Secret) String() string { return s.Name + "=…" }

// GoString gives what String gives.
func (s Secret) GoString() string { return s.String() }

// Format writes what String gives, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is what String gives.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText gives what String gives.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON gives what String gives, as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

var (
	_ fmt.Formatter  = Secret{}
	_ fmt.GoStringer = Secret{}
	_ slog.LogValuer = Secret{}
	_ json.Marshaler = Secret{}
)
