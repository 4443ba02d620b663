package inspector

import (
	"bytes"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Compare orders IDs by time, and within a millisecond as they were made.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// Abbreviation is the beginning or the end of an ID as people write it. Stores use
// it to resolve one.
type Abbreviation struct{ text string }

// maxMatches is how many IDs an AmbiguousError has.
const maxMatches = 10

// EnoughMatches is how many IDs a store need find, the newest first: one more than
// an error shows.
const EnoughMatches = maxMatches + 1

// ParseAbbreviation takes up to 26 characters of an ID, in either case; false when
// no ID can have them.
func ParseAbbreviation(s string) (Abbreviation, bool) {
	s = strings.ToUpper(s)
	ok := s != "" && len(s) <= ulid.EncodedSize && strings.Trim(s, ulid.Encoding) == ""
	return Abbreviation{s}, ok
}

// Match reports whether id begins or ends with it.
func (a Abbreviation) Match(id ID) bool {
	s := id.String()
	return strings.HasPrefix(s, a.text) || strings.HasSuffix(s, a.text)
}

// Range gives the least and the greatest ID that begins with it. Where none does,
// low is greater than high.
func (a Abbreviation) Range() (low, high ID) {
	rest := ulid.EncodedSize - len(a.text)
	l, err := ulid.ParseStrict(a.text + strings.Repeat("0", rest))
	if err != nil { // more than 128 bits
		return ID{1}, ID{}
	}
	h := ulid.MustParseStrict(a.text + strings.Repeat("Z", rest))
	return ID(l), ID(h)
}

// Tail gives the whole bytes that an ID which ends with it ends with; none when it is
// too short for one.
func (a Abbreviation) Tail() []byte {
	id, err := ulid.ParseStrict(strings.Repeat("0", ulid.EncodedSize-len(a.text)) + a.text)
	if err != nil {
		return nil
	}
	return id[len(id)-len(a.text)*5/8:]
}

// One gives the one ID that was found: ErrNotFound when there is none, an
// *AmbiguousError when there are several. IDs may stand more than once.
func (a Abbreviation) One(found []ID) (ID, error) {
	found = slices.Clone(found)
	slices.SortFunc(found, func(x, y ID) int { return y.Compare(x) })
	found = slices.Compact(found)
	switch len(found) {
	case 0:
		return ID{}, ErrNotFound
	case 1:
		return found[0], nil
	}
	return ID{}, &AmbiguousError{Text: a.text, Matches: found[:min(len(found), maxMatches)]}
}
