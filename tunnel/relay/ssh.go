package relay

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/ssh"
)

// What Permissions.Extensions carries: the identity of a client. It is read from
// there and nowhere else, for only there it is the key that has signed and not
// one that was merely offered (CVE-2024-45337).
const (
	extKey         = "slackdev-key" // in wire format
	extFingerprint = "slackdev-fingerprint"
)

// sshConfig allows keys only, and the algorithms that OpenSSH 10 enables on its own.
func (s *server) sshConfig() (*ssh.ServerConfig, error) {
	if s.HostKey == nil {
		return nil, errors.New("start the relay: a host key is needed")
	}
	hostKey := s.HostKey
	if signer, ok := hostKey.(ssh.AlgorithmSigner); ok && hostKey.PublicKey().Type() == ssh.KeyAlgoRSA {
		var err error
		hostKey, err = ssh.NewSignerWithAlgorithms(signer, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
		if err != nil {
			return nil, fmt.Errorf("start the relay: use the host key: %w", err)
		}
	}
	c := &ssh.ServerConfig{
		Config: ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519,
				ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521},
			Ciphers: ciphers(aesIsFast()),
			MACs:    []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512},
		},
		PublicKeyAuthAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512},
		MaxAuthTries:      6,
		ServerVersion:     "SSH-2.0-slackdev_relay",
		PublicKeyCallback: s.checkKey,
	}
	c.AddHostKey(hostKey)
	return c, nil
}

// ciphers prefers AES-GCM. A client's own order wins in SSH, and OpenSSH asks for
// ChaCha20 first, so that one is offered only where it is the faster one.
func ciphers(fastAES bool) []string {
	list := []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR}
	if !fastAES {
		list = append([]string{ssh.CipherChaCha20Poly1305}, list...)
	}
	return list
}

// aesIsFast says whether the machine has instructions for AES. It finds out by
// trying, in under a millisecond: without them AES-GCM takes ten times as long as
// ChaCha20, with them less.
func aesIsFast() bool {
	key, nonce, text := make([]byte, 32), make([]byte, 12), make([]byte, 8<<10)
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return false
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return false
	}
	chacha, err := chacha20poly1305.New(key)
	if err != nil { // not in FIPS 140 mode, for one
		return true
	}
	best := func(a cipher.AEAD) time.Duration {
		least := time.Hour
		for range 8 {
			start := time.Now()
			a.Seal(nil, nonce, text, nil)
			least = min(least, time.Since(start))
		}
		return least
	}
	return best(gcm) < 2*best(chacha)
}

// checkKey accepts an allowed key. Nothing that it does may stay if the client
// then cannot sign with the key.
func (s *server) checkKey(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, errors.New("certificates are not checked here: use the plain key")
	}
	if k, ok := key.(ssh.CryptoPublicKey); ok {
		if k, ok := k.CryptoPublicKey().(*rsa.PublicKey); ok && (k.N.BitLen() < 2048 || k.N.BitLen() > 8192) {
			return nil, errors.New("an RSA key needs 2048 to 8192 bits")
		}
	}
	if s.Allow != nil && !s.Allow(key) {
		return nil, errors.New("this key may not use this relay")
	}
	return &ssh.Permissions{Extensions: map[string]string{
		extKey:         string(key.Marshal()),
		extFingerprint: ssh.FingerprintSHA256(key),
	}}, nil
}

// serveSSH takes connections until the listener ends.
func (s *server) serveSSH(l net.Listener) error {
	return s.accept(l, func(c net.Conn) {
		if !s.admit(&s.logins, c) {
			c.Close()
			s.log.Warn("too many connections that are not logged in", "from", c.RemoteAddr())
			return
		}
		s.tasks.Go(func() { s.login(c) })
	})
}

// accept calls f for each connection. When descriptors or memory run out it waits
// a little and goes on.
func (s *server) accept(l net.Listener, f func(net.Conn)) error {
	const longest = time.Second
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		var temporary interface{ Temporary() bool }
		switch {
		case err == nil:
			pause = 0
			f(c)
			continue
		case !errors.As(err, &temporary) || !temporary.Temporary():
			return err
		}
		pause = min(max(2*pause, 5*time.Millisecond), longest)
		s.log.Warn("cannot take a connection", "err", err, "retry", pause)
		select {
		case <-time.After(pause):
		case <-s.stopping:
		}
	}
}

// sourceOf is the address that limits go by: an IPv4 address, or the /64 that one
// customer has of IPv6.
func sourceOf(c net.Conn) string {
	a, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return sourceAt(a.Addr().Unmap())
}

func sourceAt(ip netip.Addr) string {
	if ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// nameSource is the address that c's names are counted for, or "" where it tells
// nothing: everybody on this machine has that of loopback, and so has everybody
// behind a proxy on it.
func nameSource(c net.Conn) string {
	source := sourceOf(c)
	if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil && a.Addr().Unmap().IsLoopback() {
		return ""
	}
	return source
}

// lobby has the strangers: connections that have not logged in yet, or not finished
// their TLS handshake. server.mu guards it.
type lobby struct {
	most, each int // in all, and from one source
	in         map[net.Conn]bool
	bySource   map[string]int
}

func newLobby(most, each int) lobby {
	return lobby{most: most, each: each, in: map[net.Conn]bool{}, bySource: map[string]int{}}
}

// admit counts a stranger, if there is room for one. Who is admitted must be dismissed.
func (s *server) admit(l *lobby, c net.Conn) bool {
	source := sourceOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(l.in) >= l.most || l.bySource[source] >= l.each {
		return false
	}
	l.in[c] = true
	l.bySource[source]++
	return true
}

func (s *server) dismiss(l *lobby, c net.Conn) {
	source := sourceOf(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(l.in, c)
	decrement(l.bySource, source)
}

// enter makes c one of the clients, if it may be one. Who has entered must exit.
func (s *server) enter(c *client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return errors.New("the relay is stopping")
	case len(s.clients) >= s.limits.Clients:
		return errors.New("too many clients")
	case s.byKey[c.id] >= s.limits.ClientsEach:
		return errors.New("too many clients with this key")
	}
	s.clients[c] = true
	s.byKey[c.id]++
	return nil
}

func (s *server) exit(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, c)
	decrement(s.byKey, c.id)
}

// decrement keeps no zeros, so that a map of counters does not grow.
func decrement(m map[string]int, k string) {
	if m[k]--; m[k] <= 0 {
		delete(m, k)
	}
}

// login makes a client of a stranger and serves it, or closes the connection.
func (s *server) login(nc net.Conn) {
	watched := newWatchedConn(nc)
	nc.SetDeadline(time.Now().Add(s.limits.Login))
	conn, channels, requests, err := ssh.NewServerConn(watched, s.config)
	s.dismiss(&s.logins, nc)
	if err != nil {
		s.log.Info("not logged in", "from", nc.RemoteAddr(), "err", err)
		return
	}
	nc.SetDeadline(time.Time{})
	c, err := s.newClient(conn, watched)
	if err == nil {
		err = s.enter(c)
	}
	if err != nil {
		s.log.Warn("client refused", "from", nc.RemoteAddr(), "err", err)
		conn.Close()
		s.tasks.Go(func() { ssh.DiscardRequests(requests) })
		for ch := range channels {
			ch.Reject(ssh.ResourceShortage, "the relay has no room")
		}
		return
	}
	defer s.exit(c)
	c.serve(channels, requests)
}
