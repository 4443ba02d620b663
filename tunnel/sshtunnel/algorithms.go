package sshtunnel

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// minRSABits is the least size of an RSA key, a host's or the user's. OpenSSH's default
// is 1024, which nobody should sign with any more.
const minRSABits = 2048

// algorithms is what we offer: of what x/crypto has, only what current OpenSSH
// enables by default, without SHA-1. AES-GCM comes first because it is two to three
// times as fast as ChaCha20 on hardware of this decade.
func algorithms() ssh.Config {
	return ssh.Config{
		KeyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519,
			ssh.KeyExchangeCurve25519,
			ssh.KeyExchangeECDHP256,
			ssh.KeyExchangeECDHP384,
			ssh.KeyExchangeECDHP521,
			ssh.KeyExchangeDH16SHA512,
			ssh.KeyExchangeDH14SHA256,
			ssh.KeyExchangeDHGEXSHA256,
		},
		Ciphers: []string{
			ssh.CipherAES128GCM,
			ssh.CipherAES256GCM,
			ssh.CipherChaCha20Poly1305,
			ssh.CipherAES128CTR,
			ssh.CipherAES192CTR,
			ssh.CipherAES256CTR,
		},
		MACs: []string{
			ssh.HMACSHA256ETM,
			ssh.HMACSHA512ETM,
			ssh.HMACSHA256,
			ssh.HMACSHA512,
		},
	}
}

// hostKeyAlgorithms is what we take from a host of which nothing is known: plain
// keys, since a certificate means nothing without its authority.
func hostKeyAlgorithms() []string {
	return []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512,
		ssh.KeyAlgoRSASHA256,
	}
}

// certAlgorithms is what we take besides where known_hosts has an authority.
func certAlgorithms() []string {
	return []string{
		ssh.CertAlgoED25519v01,
		ssh.CertAlgoECDSA256v01,
		ssh.CertAlgoECDSA384v01,
		ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01,
		ssh.CertAlgoRSASHA256v01,
	}
}

// preferKnown puts the algorithms of the keys that are known for a host first, so
// that the server shows one of those, and keeps the others, so that a server that
// has none of them shows what it has and is refused by name.
func preferKnown(known []string) []string {
	allowed := append(certAlgorithms(), hostKeyAlgorithms()...)
	var order []string
	for _, algo := range append(slices.Clone(known), hostKeyAlgorithms()...) {
		if slices.Contains(allowed, algo) && !slices.Contains(order, algo) {
			order = append(order, algo)
		}
	}
	return order
}

// forKey is the algorithms with which a host can show that it has a key of this type.
func forKey(kind string) []string {
	if kind == ssh.KeyAlgoRSA {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	return []string{kind}
}

// chooseAlgorithms applies a HostKeyAlgorithms of ssh_config to the algorithms that we
// would ask for: a list in their place, or after + a list to add (ours has all that we
// take), after - one of patterns to take away, after ^ one to put first. What we do not
// take is left out, also where it is asked for.
func chooseAlgorithms(spec string, ours []string) ([]string, error) {
	all := append(certAlgorithms(), hostKeyAlgorithms()...)
	list := strings.TrimLeft(spec, "+-^")
	wanted := slices.DeleteFunc(strings.Split(list, ","), func(name string) bool { return !slices.Contains(all, name) })
	switch spec[:len(spec)-len(list)] {
	case "+":
		wanted = append(slices.Clone(ours), wanted...)
	case "-":
		wanted = slices.DeleteFunc(slices.Clone(ours), func(name string) bool { return matchList(name, list) > 0 })
	case "^":
		wanted = append(wanted, ours...)
	case "":
	default:
		return nil, fmt.Errorf("%q begins with more than one of + - ^", spec)
	}
	if len(wanted) == 0 {
		return nil, fmt.Errorf("%q leaves none of what slackdev takes: %s", spec, strings.Join(all, ", "))
	}
	var once []string
	for _, name := range wanted {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once, nil
}
