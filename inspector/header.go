package inspector

import (
	"net/http"
	"slices"
	"strings"
)

// Field is one line of a head.
type Field struct{ Name, Value string }

// Header is the fields of a head in the order, and with the spelling, that they
// had on the wire where that is known.
type Header []Field

// Get gives the first value of a name, in any case, or "".
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// HTTP gives the fields as net/http has them.
func (h Header) HTTP() http.Header {
	m := make(http.Header, len(h))
	for _, f := range h {
		m.Add(f.Name, f.Value)
	}
	return m
}

// HeaderOf lists the fields of m by name, values of one name in their order.
func HeaderOf(m http.Header) Header {
	if len(m) == 0 {
		return nil
	}
	h := make(Header, 0, len(m))
	for name, values := range m {
		for _, v := range values {
			h = append(h, Field{name, v})
		}
	}
	slices.SortStableFunc(h, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return h
}
