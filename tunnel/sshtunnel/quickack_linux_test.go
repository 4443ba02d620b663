package sshtunnel

import (
	"crypto/tls"
	"net"
	"testing"
)

// wrapped is a connection that hides what it wraps.
type wrapped struct{ net.Conn }

func TestAcknowledgementsFindTheSocketInsideLayers(t *testing.T) {
	s := newFakeServer(t)
	p := providerFor(t, s, Profile{}, s.listen())
	c, err := net.Dial("tcp", p.Profile.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	config := &tls.Config{ServerName: "relay.test"}
	for name, tc := range map[string]struct {
		conn net.Conn
		want bool
	}{
		"a socket":             {c, true},
		"a socket in TLS":      {tls.Client(c, config), true},
		"TLS in TLS":           {tls.Client(tls.Client(c, config), config), true},
		"something that hides": {wrapped{c}, false},
		"TLS in such a thing":  {tls.Client(wrapped{c}, config), false},
	} {
		if got := newAcker(tc.conn).raw != nil; got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}
