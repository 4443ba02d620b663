package sshtunnel

import (
	"errors"
	"strings"
	"testing"

	"github.com/slackdev/slackdev/tunnel"
	"github.com/slackdev/slackdev/tunnel/wire"
)

func TestNoNameIsAskedForThatTheServerDoesNotProtect(t *testing.T) {
	s := newFakeServer(t) // says no to what it does not know
	s.forward = func(ask wire.ForwardRequest) (bool, uint32) {
		t.Errorf("%+v is asked for", ask)
		return false, 0
	}
	p := providerFor(t, s, Relay("relay://127.0.0.1", "", 0, "ana"), s.listen())
	p.Access = &Access{User: "ana", Password: "word"}
	_, err := p.Open(t.Context())
	refused := (*tunnel.RefusedError)(nil)
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "this server cannot protect names") || refused.Hint != guardsHint {
		t.Errorf("got %v", err)
	}
}

func TestEachConnectionHasItsOwnSalt(t *testing.T) {
	a := &Access{User: "ana", Password: "word"}
	one, err := a.message()
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.message()
	if err != nil {
		t.Fatal(err)
	}
	if len(one.Salt) != 16 || len(one.Sum) != 32 || one.Salt == other.Salt || one.Sum == other.Sum {
		t.Errorf("got %+v and %+v", one, other)
	}
}
