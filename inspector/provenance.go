package inspector

import "context"

// Provenance says where a request that was made here comes from. It travels in the
// context of the request to the same handler that serves everybody else.
type Provenance struct {
	Origin Origin
	Of     ID
	ID     ID     // the ID under which it will be recorded; zero: a new one
	Header Header // the head in its own order; nil: net/http's
	// Upstream is the name of the app that it is for; "" for the first.
	Upstream string
}

type provenanceKey struct{}

// WithProvenance gives a context that carries p.
func WithProvenance(ctx context.Context, p Provenance) context.Context {
	return context.WithValue(ctx, provenanceKey{}, p)
}

// ProvenanceOf gives what the context carries, the zero Provenance when nothing.
func ProvenanceOf(ctx context.Context) Provenance {
	p, _ := ctx.Value(provenanceKey{}).(Provenance)
	return p
}
