package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/slack"
)

// An exchange is kept as a head, which has everything but the bytes of the bodies,
// and a tail, which is the bytes of both. A head is the number of the codec and then
// fields: tag, length, value. A reader skips tags that it does not know, so a field can
// be added without a new number; what changes the meaning of a field needs one.
// The tests keep an encoding of every number.
const codecVersion = 1

// The tags. A number is never used again for something else.
const (
	tagID              = 1 + iota // 16 bytes
	tagOrigin                     // text
	tagOf                         // 16 bytes
	tagStarted                    // signed seconds since 1970, nanoseconds
	tagElapsed                    // signed nanoseconds
	tagFault                      // text
	tagMethod                     // text
	tagTarget                     // text
	tagHost                       // text
	tagProto                      // text
	tagRemote                     // text
	tagHeader                     // a field: length of the name, name, value
	tagTrailer                    // a field
	tagUpgraded                   // nothing
	tagBody                       // bytes in the tail, bytes that passed
	tagStatus                     // signed; there is a response
	tagResponseHeader             // a field
	tagResponseTrailer            // a field
	tagResponseBody               // bytes in the tail, bytes that passed
	tagBy                         // text
	tagKind                       // text
	tagName                       // text
	tagUser                       // a ref: length of the ID, ID, name
	tagChannel                    // a ref
	tagTeam                       // a ref
	tagEnterprise                 // a ref
	tagApp                        // text
	tagText                       // text
	tagEventID                    // text
	tagTriggerID                  // text
	tagView                       // text
	tagMessage                    // text
	tagRetry                      // signed
	tagRetryReason                // text
	tagProblem                    // text
	tagVerdict                    // number
	tagSecret                     // text: the name of the secret
	tagAge                        // signed nanoseconds
	tagDetail                     // text
	tagFinding                    // severity, then length and bytes of code, pointer, text, fix
	tagDelivery                   // text
	tagUpstream                   // text
)

// appendHead appends the head of x. Pinned is not part of it.
func appendHead(b []byte, x *inspector.Exchange) []byte {
	b = append(b, codecVersion)
	b = appendBytes(b, tagID, x.ID[:])
	b = appendText(b, tagOrigin, string(x.Origin))
	if !x.Of.IsZero() {
		b = appendBytes(b, tagOf, x.Of[:])
	}
	if !x.Started.IsZero() {
		b = appendPair(b, tagStarted, zigzag(x.Started.Unix()), uint64(x.Started.Nanosecond()))
	}
	b = appendSigned(b, tagElapsed, int64(x.Elapsed))
	b = appendText(b, tagFault, x.Fault)
	b = appendText(b, tagDelivery, x.Delivery)
	b = appendText(b, tagUpstream, x.Upstream)
	b = appendRequest(b, &x.Request)
	if x.Response != nil {
		b = appendResponse(b, x.Response)
	}
	b = appendPayload(b, &x.Slack)
	if x.Verdict.Status != 0 {
		b = append(b, tagVerdict, 1, byte(x.Verdict.Status))
	}
	b = appendText(b, tagSecret, x.Verdict.Secret)
	b = appendSigned(b, tagAge, int64(x.Verdict.Age))
	b = appendText(b, tagDetail, x.Verdict.Detail)
	for i := range x.Findings {
		b = appendFinding(b, &x.Findings[i])
	}
	return b
}

// appendTail appends the bytes of the bodies of x.
func appendTail(b []byte, x *inspector.Exchange) []byte {
	b = append(b, x.Request.Body.Bytes...)
	if x.Response != nil {
		b = append(b, x.Response.Body.Bytes...)
	}
	return b
}

func appendRequest(b []byte, r *inspector.Request) []byte {
	b = appendText(b, tagMethod, r.Method)
	b = appendText(b, tagTarget, r.Target)
	b = appendText(b, tagHost, r.Host)
	b = appendText(b, tagProto, r.Proto)
	b = appendText(b, tagRemote, r.Remote)
	b = appendFields(b, tagHeader, r.Header)
	b = appendFields(b, tagTrailer, r.Trailer)
	if r.Upgraded {
		b = append(b, tagUpgraded, 0)
	}
	return appendPair(b, tagBody, uint64(len(r.Body.Bytes)), uint64(r.Body.Size))
}

func appendResponse(b []byte, r *inspector.Response) []byte {
	b = append(b, tagStatus)
	b = append(b, byte(uvarintLen(zigzag(int64(r.Status)))))
	b = binary.AppendUvarint(b, zigzag(int64(r.Status)))
	b = appendFields(b, tagResponseHeader, r.Header)
	b = appendFields(b, tagResponseTrailer, r.Trailer)
	b = appendPair(b, tagResponseBody, uint64(len(r.Body.Bytes)), uint64(r.Body.Size))
	return appendText(b, tagBy, r.By)
}

func appendPayload(b []byte, p *slack.Payload) []byte {
	b = appendText(b, tagKind, string(p.Kind))
	b = appendText(b, tagName, p.Name)
	b = appendRef(b, tagUser, p.User)
	b = appendRef(b, tagChannel, p.Channel)
	b = appendRef(b, tagTeam, p.Team)
	b = appendRef(b, tagEnterprise, p.Enterprise)
	b = appendText(b, tagApp, p.App)
	b = appendText(b, tagText, p.Text)
	b = appendText(b, tagEventID, p.EventID)
	b = appendText(b, tagTriggerID, p.TriggerID)
	b = appendText(b, tagView, p.View)
	b = appendText(b, tagMessage, p.Message)
	b = appendSigned(b, tagRetry, int64(p.Retry))
	b = appendText(b, tagRetryReason, p.RetryReason)
	return appendText(b, tagProblem, p.Problem)
}

func appendBytes(b []byte, tag byte, v []byte) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(v)))
	return append(b, v...)
}

// appendText leaves out what is empty.
func appendText(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

// appendSigned leaves out 0.
func appendSigned(b []byte, tag byte, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, tag, byte(uvarintLen(zigzag(n))))
	return binary.AppendUvarint(b, zigzag(n))
}

func appendPair(b []byte, tag byte, x, y uint64) []byte {
	b = append(b, tag, byte(uvarintLen(x)+uvarintLen(y)))
	return binary.AppendUvarint(binary.AppendUvarint(b, x), y)
}

func appendFields(b []byte, tag byte, h inspector.Header) []byte {
	for i := range h {
		b = appendTwo(b, tag, h[i].Name, h[i].Value)
	}
	return b
}

func appendRef(b []byte, tag byte, r slack.Ref) []byte {
	if r == (slack.Ref{}) {
		return b
	}
	return appendTwo(b, tag, r.ID, r.Name)
}

// appendTwo appends two texts as one field: the length of the first, both.
func appendTwo(b []byte, tag byte, first, second string) []byte {
	n := uint64(len(first))
	b = binary.AppendUvarint(append(b, tag), uint64(uvarintLen(n)+len(first)+len(second)))
	b = binary.AppendUvarint(b, n)
	b = append(b, first...)
	return append(b, second...)
}

func appendFinding(b []byte, f *slack.Finding) []byte {
	texts := [...]string{f.Code, f.Pointer, f.Text, f.Fix}
	size := 1
	for _, s := range texts {
		size += uvarintLen(uint64(len(s))) + len(s)
	}
	b = binary.AppendUvarint(append(b, tagFinding), uint64(size))
	b = append(b, byte(f.Severity))
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func zigzag(n int64) uint64   { return uint64(n<<1) ^ uint64(n>>63) }
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

func uvarintLen(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// codecError says that a head cannot be read.
type codecError struct{ version byte }

func (e *codecError) Error() string {
	return fmt.Sprintf("a record of codec %d; this slackdev reads up to %d", e.version, codecVersion)
}

var errBroken = errors.New("a broken record")

// decode reads a head, and the bodies from tail. With a nil tail the exchange comes
// without the bytes of its bodies. It keeps tail; it copies the head.
func decode(head, tail []byte) (*inspector.Exchange, error) {
	if len(head) == 0 {
		return nil, errBroken
	}
	if head[0] != codecVersion {
		return nil, &codecError{head[0]}
	}
	d := decoder{rest: string(head[1:]), x: new(inspector.Exchange)}
	for d.rest != "" {
		tag, value, ok := d.next()
		if !ok || !d.field(tag, value) {
			return nil, fmt.Errorf("%w: tag %d", errBroken, tag)
		}
	}
	if tail != nil && !d.bodies(tail) {
		return nil, fmt.Errorf("%w: the bodies have %d bytes", errBroken, len(tail))
	}
	return d.x, nil
}

// decoder reads one head. Every text of the exchange is a part of one string.
type decoder struct {
	rest    string
	x       *inspector.Exchange
	in, out uint64 // bytes of the bodies in the tail
}

func (d *decoder) next() (tag uint64, value string, ok bool) {
	tag, n := uvarint(d.rest)
	if n == 0 {
		return 0, "", false
	}
	size, m := uvarint(d.rest[n:])
	if m == 0 || size > uint64(len(d.rest)-n-m) {
		return tag, "", false
	}
	value = d.rest[n+m : n+m+int(size)]
	d.rest = d.rest[n+m+int(size):]
	return tag, value, true
}

func (d *decoder) bodies(tail []byte) bool {
	if d.in > uint64(len(tail)) || d.out != uint64(len(tail))-d.in || d.out > 0 && d.x.Response == nil {
		return false
	}
	if d.in > 0 {
		d.x.Request.Body.Bytes = tail[:d.in:d.in]
	}
	if d.out > 0 {
		d.x.Response.Body.Bytes = tail[d.in:]
	}
	return true
}

func (d *decoder) response() *inspector.Response {
	if d.x.Response == nil {
		d.x.Response = new(inspector.Response)
	}
	return d.x.Response
}

// field takes one field, and reports whether it makes sense.
func (d *decoder) field(tag uint64, v string) bool {
	x := d.x
	ok := true
	switch tag {
	case tagID:
		ok = copy(x.ID[:], v) == len(x.ID)
	case tagOf:
		ok = copy(x.Of[:], v) == len(x.Of)
	case tagStarted:
		x.Started, ok = started(v)
	case tagElapsed:
		x.Elapsed, ok = signed[time.Duration](v)
	case tagHeader:
		ok = d.head(&x.Request.Header, v)
	case tagTrailer:
		ok = d.head(&x.Request.Trailer, v)
	case tagUpgraded:
		x.Request.Upgraded = true
	case tagBody:
		d.in, x.Request.Body.Size, ok = body(v)
	case tagStatus:
		d.response().Status, ok = signed[int](v)
	case tagResponseHeader:
		ok = d.head(&d.response().Header, v)
	case tagResponseTrailer:
		ok = d.head(&d.response().Trailer, v)
	case tagResponseBody:
		d.out, d.response().Body.Size, ok = body(v)
	case tagUser:
		x.Slack.User.ID, x.Slack.User.Name, ok = two(v)
	case tagChannel:
		x.Slack.Channel.ID, x.Slack.Channel.Name, ok = two(v)
	case tagTeam:
		x.Slack.Team.ID, x.Slack.Team.Name, ok = two(v)
	case tagEnterprise:
		x.Slack.Enterprise.ID, x.Slack.Enterprise.Name, ok = two(v)
	case tagRetry:
		x.Slack.Retry, ok = signed[int](v)
	case tagVerdict:
		if ok = len(v) == 1; ok {
			x.Verdict.Status = slack.Status(v[0])
		}
	case tagAge:
		x.Verdict.Age, ok = signed[time.Duration](v)
	case tagFinding:
		ok = d.finding(v)
	default:
		d.text(tag, v)
	}
	return ok
}

// text takes the fields that are a text, and skips what it does not know.
func (d *decoder) text(tag uint64, v string) {
	x := d.x
	switch tag {
	case tagOrigin:
		x.Origin = inspector.Origin(v)
	case tagFault:
		x.Fault = v
	case tagDelivery:
		x.Delivery = v
	case tagUpstream:
		x.Upstream = v
	case tagMethod:
		x.Request.Method = v
	case tagTarget:
		x.Request.Target = v
	case tagHost:
		x.Request.Host = v
	case tagProto:
		x.Request.Proto = v
	case tagRemote:
		x.Request.Remote = v
	case tagBy:
		d.response().By = v
	case tagKind:
		x.Slack.Kind = slack.Kind(v)
	case tagName:
		x.Slack.Name = v
	case tagApp:
		x.Slack.App = v
	case tagText:
		x.Slack.Text = v
	case tagEventID:
		x.Slack.EventID = v
	case tagTriggerID:
		x.Slack.TriggerID = v
	case tagView:
		x.Slack.View = v
	case tagMessage:
		x.Slack.Message = v
	case tagRetryReason:
		x.Slack.RetryReason = v
	case tagProblem:
		x.Slack.Problem = v
	case tagSecret:
		x.Verdict.Secret = v
	case tagDetail:
		x.Verdict.Detail = v
	}
}

func (d *decoder) head(h *inspector.Header, v string) bool {
	name, value, ok := two(v)
	if *h == nil {
		*h = make(inspector.Header, 0, 12)
	}
	*h = append(*h, inspector.Field{Name: name, Value: value})
	return ok
}

func (d *decoder) finding(v string) bool {
	if v == "" {
		return false
	}
	f := slack.Finding{Severity: slack.Severity(v[0])}
	v = v[1:]
	for _, into := range [...]*string{&f.Code, &f.Pointer, &f.Text, &f.Fix} {
		n, m := uvarint(v)
		if m == 0 || n > uint64(len(v)-m) {
			return false
		}
		*into, v = v[m:m+int(n)], v[m+int(n):]
	}
	d.x.Findings = append(d.x.Findings, f)
	return true
}

func started(v string) (time.Time, bool) {
	seconds, n := uvarint(v)
	nanos, m := uvarint(v[n:])
	if n == 0 || m == 0 || nanos >= uint64(time.Second) {
		return time.Time{}, false
	}
	return time.Unix(unzigzag(seconds), int64(nanos)), true
}

func body(v string) (kept uint64, size int64, ok bool) {
	kept, n := uvarint(v)
	passed, m := uvarint(v[n:])
	return kept, int64(passed), n > 0 && m > 0 && passed <= math.MaxInt64
}

func two(v string) (first, second string, ok bool) {
	n, m := uvarint(v)
	if m == 0 || n > uint64(len(v)-m) {
		return "", "", false
	}
	return v[m : m+int(n)], v[m+int(n):], true
}

func signed[T ~int | ~int64](v string) (T, bool) {
	n, m := uvarint(v)
	return T(unzigzag(n)), m > 0
}

// uvarint is binary.Uvarint for a string: the number of bytes is 0 where it is broken.
func uvarint(s string) (uint64, int) {
	var n uint64
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		c := s[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 {
				return 0, 0
			}
			return n | uint64(c)<<(7*i), i + 1
		}
		n |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0
}
