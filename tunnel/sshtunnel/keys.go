package sshtunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Keys are the keys that a login may use, in the order in which they are offered:
// given ones, the named files', the agent's, the default files', our own. A Profile
// that takes any key gets the given ones, the named ones and our own alone: who else
// the user is, is not its business.
//
// A certificate goes in front of its key: one that lies beside the key's file
// (FILE-cert.pub), one of Certificates, or one that the agent has. A key that the
// agent has as well is used there. An encrypted file is opened only when the server
// has said that it takes that key.
type Keys struct {
	Signers      []ssh.Signer // given as they are
	Named        []string     // files that a person named; missing ones are skipped. FILE.pub names a key of the agent
	Certificates []string     // files of certificates for these keys, or for the agent's
	Agent        string       // socket of an SSH agent; empty: none
	Files        []string     // files to try where none are named; missing ones are skipped
	Only         bool         // of the agent's keys only those that are in a file, too, and our own only where no file is named
	Own          string       // slackdev's own ed25519 key, made on first use; empty: none
	Without      []string     // ways to log in that are not to be tried: "publickey", "password", "keyboard-interactive"
}

// maxKeyFile bounds what is read of a key file, maxOffers how many keys one login
// shows; most servers hang up after six.
const (
	maxKeyFile = 64 << 10
	maxOffers  = 48
)

// DefaultKeyFiles are the files in an .ssh folder that OpenSSH tries by itself, the
// better ones first.
func DefaultKeyFiles(folder string) []string {
	var files []string
	for _, name := range []string{"id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa"} {
		files = append(files, filepath.Join(folder, name))
	}
	return files
}

// offer is one key or certificate that a login may show.
type offer struct {
	signer ssh.Signer
	from   string // a file, "the agent"
}

// String is for a person who has to find the key.
func (o offer) String() string {
	return ssh.FingerprintSHA256(plainKey(o.signer.PublicKey())) + " (" + o.from + ")"
}

// keyring collects the keys for one login.
type keyring struct {
	keys    *Keys
	desk    *desk
	agent   []ssh.Signer
	certs   []*ssh.Certificate // of Certificates, with certFile
	list    []offer
	seen    map[string]bool // by public key
	paired  map[*ssh.Certificate]bool
	skipped []string // keys that cannot be used, and why
}

// offers collects the keys for one login. Keys that cannot be used are named in
// skipped; our own key must work. The agent's keys work until done is called.
func (k *Keys) offers(ctx context.Context, anyKey bool, d *desk) (list []offer, skipped []string, done func(), err error) {
	done = func() {}
	r := &keyring{keys: k, desk: d, seen: map[string]bool{}, paired: map[*ssh.Certificate]bool{}}
	if k.Agent != "" && (!anyKey || len(k.Named) > 0) {
		fromAgent, closeAgent, err := agentSigners(ctx, k.Agent)
		if err != nil {
			r.skip("the SSH agent", err)
		} else {
			r.agent, done = fromAgent, closeAgent
		}
	}
	r.readCertificates()
	for _, s := range k.Signers {
		r.add(s, "given")
	}
	r.files(ctx, k.Named)
	if !anyKey {
		defaults := k.Files
		if len(k.Named) > 0 {
			defaults = nil // as ssh does: who names keys, means these
		}
		if !k.Only {
			for _, s := range r.agent {
				r.add(s, "the agent")
			}
		}
		r.files(ctx, defaults)
	}
	for _, c := range r.certs {
		if !r.paired[c] && !anyKey {
			r.skip("the certificate of "+ssh.FingerprintSHA256(c.Key), errors.New("its key is neither in a file nor in the agent"))
		}
	}
	if k.Own != "" && (anyKey || !k.Only || len(k.Named) == 0) {
		own, err := OwnKey(k.Own)
		if err != nil {
			done()
			return nil, nil, nil, err
		}
		r.add(own, k.Own)
	}
	return r.list[:min(len(r.list), maxOffers)], r.skipped, done, nil
}

func (r *keyring) skip(what string, err error) {
	r.skipped = append(r.skipped, what+" skipped: "+err.Error())
}

// add offers a key behind its certificates, unless it is offered already.
func (r *keyring) add(s ssh.Signer, from string) {
	public := s.PublicKey()
	for _, c := range r.certs {
		if !r.paired[c] && sameKey(c.Key, public) {
			r.paired[c] = true
			if certified, err := ssh.NewCertSigner(c, onlySHA2(s)); err != nil {
				r.skip("the certificate for "+from, err)
			} else {
				r.put(certified, from+", certificate")
			}
		}
	}
	r.put(s, from)
}

func (r *keyring) put(s ssh.Signer, from string) {
	public := s.PublicKey()
	id := string(public.Marshal())
	if r.seen[id] {
		return
	}
	r.seen[id] = true
	if err := usable(public); err != nil {
		r.skip("key "+from, err)
		return
	}
	r.list = append(r.list, offer{signer: onlySHA2(s), from: from})
}

// usable says why a key or a certificate cannot be used.
func usable(public ssh.PublicKey) error {
	parsed, err := ssh.ParsePublicKey(public.Marshal()) // the agent's are not parsed
	if err != nil {
		return fmt.Errorf("a key of the type %s is not supported", clip(public.Type(), 60))
	}
	plain := parsed
	if c, ok := parsed.(*ssh.Certificate); ok {
		plain = c.Key
		now := uint64(time.Now().Unix())
		switch {
		case c.CertType != ssh.UserCert:
			return errors.New("the certificate is not for users")
		case c.ValidBefore != ssh.CertTimeInfinity && now >= c.ValidBefore:
			return fmt.Errorf("the certificate ended at %s", time.Unix(int64(c.ValidBefore), 0).Format(time.DateTime))
		case now < c.ValidAfter:
			return fmt.Errorf("the certificate begins at %s", time.Unix(int64(c.ValidAfter), 0).Format(time.DateTime))
		}
	}
	if bits := rsaBits(plain); bits > 0 && bits < minRSABits {
		return fmt.Errorf("an RSA key of %d bits is not safe, it takes %d", bits, minRSABits)
	}
	return nil
}

// plainKey is the key that a certificate is about, or the key itself.
func plainKey(public ssh.PublicKey) ssh.PublicKey {
	parsed, err := ssh.ParsePublicKey(public.Marshal())
	if err != nil {
		return public
	}
	if c, ok := parsed.(*ssh.Certificate); ok {
		return c.Key
	}
	return parsed
}

func sameKey(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) }

// onlySHA2 keeps an RSA key from signing with SHA-1.
func onlySHA2(s ssh.Signer) ssh.Signer {
	kind := s.PublicKey().Type()
	algos, ok := s.(ssh.AlgorithmSigner)
	if !ok || kind != ssh.KeyAlgoRSA && kind != ssh.CertAlgoRSAv01 {
		return s
	}
	sha2, err := ssh.NewSignerWithAlgorithms(algos, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256})
	if err != nil {
		return s // it is restricted already, to fewer
	}
	return sha2
}

// fromAgent gives the agent's signer for a key, nil where it has none.
func (r *keyring) fromAgent(public ssh.PublicKey) ssh.Signer {
	for _, s := range r.agent {
		if sameKey(s.PublicKey(), public) {
			return s
		}
	}
	return nil
}

// files offers the keys in files, and what the agent has for them.
func (r *keyring) files(ctx context.Context, files []string) {
	for _, file := range files {
		s, err := r.load(ctx, file)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.skip("key "+file, err)
			}
			continue
		}
		public := s.PublicKey()
		for _, a := range r.agent { // its certificates for this key
			if plain := plainKey(a.PublicKey()); sameKey(plain, public) && !sameKey(a.PublicKey(), public) {
				r.put(a, "the agent, certificate")
			}
		}
		if c, err := readCertificate(strings.TrimSuffix(file, ".pub") + "-cert.pub"); err == nil {
			r.certs = append(r.certs, c)
		} else if !errors.Is(err, fs.ErrNotExist) {
			r.skip("the certificate of "+file, err)
		}
		r.add(s, file)
	}
}

// load gives the signer for a key file: the agent's, or one of the file.
func (r *keyring) load(ctx context.Context, file string) (ssh.Signer, error) {
	id, err := readIdentity(file)
	if err != nil {
		return nil, err
	}
	if id.public != nil {
		if s := r.fromAgent(id.public); s != nil {
			return s, nil
		}
	}
	switch {
	case id.why != nil:
		return nil, id.why
	case id.signer != nil:
		return id.signer, nil
	}
	return r.desk.locked(ctx, file, id)
}

// readCertificates reads the files of certificates that somebody named.
func (r *keyring) readCertificates() {
	for _, file := range r.keys.Certificates {
		c, err := readCertificate(file)
		if err != nil {
			r.skip("certificate "+file, err)
			continue
		}
		r.certs = append(r.certs, c)
	}
}

func readCertificate(file string) (*ssh.Certificate, error) {
	text, _, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, errors.New("it holds no certificate")
	}
	c, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, errors.New("it holds a key and no certificate")
	}
	return c, nil
}

// identity is what a key file gives before anybody has been asked for anything.
type identity struct {
	public ssh.PublicKey // nil: it shows only when the key is open
	signer ssh.Signer    // nil: it is not open
	text   []byte        // of an encrypted key
	why    error         // the file's key cannot be used by us: only an agent can
}

// readIdentity reads a key file. Where the private half is not to be had, the public
// one may still name a key of the agent.
func readIdentity(file string) (identity, error) {
	text, info, err := readKeyFile(file)
	if err != nil {
		if public := readPublic(file + ".pub"); public != nil && errors.Is(err, fs.ErrNotExist) {
			return identity{public: public, why: errors.New("there is only its public half, and the agent does not have it")}, nil
		}
		return identity{}, err
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		return identity{public: public, why: errors.New("it is the public half of a key that the agent does not have")}, nil
	}
	id := identity{}
	signer, err := ssh.ParsePrivateKey(text)
	locked := (*ssh.PassphraseMissingError)(nil)
	switch {
	case err == nil:
		id.signer, id.public = signer, signer.PublicKey()
	case errors.As(err, &locked):
		id.text, id.public = text, locked.PublicKey
	}
	if id.public == nil {
		id.public = readPublic(file + ".pub")
	}
	switch {
	case id.public != nil && strings.HasPrefix(id.public.Type(), "sk-"):
		id.why = errors.New("it needs a security key; let your agent use it:  ssh-add " + shellQuote(file))
	case id.signer == nil && id.text == nil:
		id.why = fmt.Errorf("it cannot be read: %s", strings.TrimPrefix(err.Error(), "ssh: "))
	case exposed(info):
		id.why = fmt.Errorf("others can read it (mode %04o):  chmod 600 %s", info.Mode().Perm(), shellQuote(file))
	}
	return id, nil
}

// readPublic reads a file with a public key; nil: there is none.
func readPublic(file string) ssh.PublicKey {
	text, _, err := readKeyFile(file)
	if err != nil {
		return nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	return public
}

// readKeyFile reads a regular file of a bounded size.
func readKeyFile(file string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, nil, errors.New("not a key file")
	}
	text, err := os.ReadFile(file)
	return text, info, err
}

// agentSigners asks an agent for its keys. The context bounds the whole talk, so
// that an agent that does not answer cannot hold a login.
func agentSigners(ctx context.Context, socket string) ([]ssh.Signer, func(), error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	done := func() {
		if stop() {
			_ = conn.Close()
		}
	}
	list, err := agent.NewClient(conn).Signers()
	if err != nil {
		done()
		return nil, nil, err
	}
	return list, done, nil
}

// lockedKey signs with an encrypted key, which it opens when it has to sign: when the
// server has said that it takes this key.
type lockedKey struct {
	public ssh.PublicKey
	open   func() (ssh.Signer, error)
}

var _ ssh.AlgorithmSigner = (*lockedKey)(nil)

// PublicKey is the half that is not encrypted.
func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

// Sign signs as SignWithAlgorithm does without an algorithm.
func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm opens the key, if it is not open yet, and signs.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := k.open()
	if err != nil {
		return nil, err
	}
	if multi, ok := s.(ssh.AlgorithmSigner); ok {
		return multi.SignWithAlgorithm(rand, data, algorithm)
	}
	return s.Sign(rand, data)
}
