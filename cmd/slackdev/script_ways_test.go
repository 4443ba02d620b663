//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slackdev/slackdev/tunnel/tunneltest"
	"github.com/slackdev/slackdev/tunnel/wire"
)

// startProxy is
//
//	proxy NAME http|socks5 [--login USER:PASSWORD] [HOST:PORT=ADDRESS …]
//
// NAME_PROXY, in capitals, is the address of a proxy that alone knows what HOST:PORT is.
func (s *stage) startProxy(ts *testscript.TestScript, args []string) error {
	if len(args) < 2 {
		return errors.New("usage: proxy NAME http|socks5 [--login USER:PASSWORD] [HOST:PORT=ADDRESS …]")
	}
	name, kind, args := args[0], args[1], args[2:]
	p := &tunneltest.Proxy{Hosts: map[string]string{}}
	if len(args) > 1 && args[0] == "--login" {
		p.User, p.Password, _ = strings.Cut(args[1], ":")
		args = args[2:]
	}
	for _, known := range args {
		host, addr, _ := strings.Cut(known, "=")
		p.Hosts[host] = addr
	}
	serve := map[string]func(net.Conn){"http": p.HTTP, "socks5": p.SOCKS5}[kind]
	if serve == nil {
		return fmt.Errorf("there is no proxy of the kind %q", kind)
	}
	addr, stop, err := tunneltest.Serve(serve)
	if err != nil {
		return err
	}
	s.then(stop)
	s.proxies[name] = p
	ts.Setenv(strings.ToUpper(name)+"_PROXY", addr)
	return nil
}

// proxyAsked is  proxy-asked NAME HOST:PORT:  somebody has wanted to go there.
func (s *stage) proxyAsked(_ *testscript.TestScript, args []string) error {
	if len(args) != 2 || s.proxies[args[0]] == nil {
		return errors.New("usage: proxy-asked NAME HOST:PORT")
	}
	if asked := s.proxies[args[0]].Asked(); !slices.Contains(asked, args[1]) {
		return fmt.Errorf("it was asked for %q", asked)
	}
	return nil
}

// startTLS is  tls NAME ADDRESS:  NAME_TLS, in capitals, is an address where ADDRESS is
// inside TLS, with the certificate NAME.pem, which is for relay.test.
func (s *stage) startTLS(ts *testscript.TestScript, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: tls NAME ADDRESS")
	}
	certificate, text, err := selfSigned()
	if err != nil {
		return err
	}
	if err := os.WriteFile(ts.MkAbs(args[0]+".pem"), text, 0o600); err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{wire.ALPN}}
	addr, stop, err := tunneltest.Serve(func(c net.Conn) {
		secured := tls.Server(c, config)
		if secured.Handshake() != nil {
			return
		}
		to, err := net.Dial("tcp", args[1])
		if err != nil {
			return
		}
		var back sync.WaitGroup
		back.Go(func() { _, _ = io.Copy(secured, to); _ = c.Close() })
		_, _ = io.Copy(to, secured)
		_ = to.Close()
		back.Wait()
	})
	if err != nil {
		return err
	}
	s.then(stop)
	ts.Setenv(strings.ToUpper(args[0])+"_TLS", addr)
	return nil
}

// selfSigned is a certificate for relay.test, and the same as PEM.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"relay.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text, nil
}
