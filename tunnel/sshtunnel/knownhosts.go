package sshtunnel

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
)

// maxKnownHosts bounds what is read of one known_hosts file.
const maxKnownHosts = 16 << 20

// The markers of a known_hosts line.
const (
	markAuthority = "@cert-authority"
	markRevoked   = "@revoked"
)

// knownHosts is what the files say, in their order.
type knownHosts []knownLine

// knownLine is a line of a known_hosts file, sshd(8). It is read no further than a
// comparison of keys needs: a key of a kind that this program does not know is still
// another key than the one that a host shows.
type knownLine struct {
	file   string
	number int
	marker string
	hosts  string // patterns with commas between them, or a hashed name
	blob   []byte // the key; nil: it cannot be read
}

// readKnownHosts reads those of the files that are there. OpenSSH passes over lines
// that it cannot read, and so do we, with two exceptions: a line about the host that
// is being asked for, and one that revokes, may be what would have refused. These
// are kept without their key, and judge refuses for them.
func readKnownHosts(files []string) (knownHosts, error) {
	var all knownHosts
	for _, name := range files {
		if name == "" {
			continue
		}
		text, err := readKnownFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read known hosts: %w", err)
		}
		number := 0
		for line := range bytes.Lines(text) {
			number++
			if l, ok := parseKnownLine(string(line)); ok {
				l.file, l.number = name, number
				all = append(all, l)
			}
		}
	}
	return all, nil
}

// readKnownFile reads a file of a bounded size. What is no regular file (/dev/null,
// with which people say that they want none) is empty.
func readKnownFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKnownHosts+1))
	if err == nil && len(text) > maxKnownHosts {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxKnownHosts>>20)
	}
	return text, err
}

// parseKnownLine reads [MARKER] HOSTS TYPE KEY [COMMENT]; ok is false where there is
// nothing that could be about any host.
func parseKnownLine(text string) (l knownLine, ok bool) {
	fields := strings.Fields(text)
	if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
		return l, false
	}
	if strings.HasPrefix(fields[0], "@") {
		l.marker, fields = fields[0], fields[1:]
		if l.marker != markAuthority && l.marker != markRevoked {
			return l, false
		}
	}
	if len(fields) > 0 {
		l.hosts = fields[0]
	}
	if len(fields) > 2 {
		l.blob = keyBlob(fields[1], fields[2])
	}
	return l, len(fields) > 0 || l.marker == markRevoked
}

// keyBlob decodes a key that says of itself what the line says of it; otherwise nil.
func keyBlob(kind, text string) []byte {
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil || blobType(blob) != kind {
		return nil
	}
	return blob
}

// blobType is the name with which a key in SSH's wire format begins.
func blobType(blob []byte) string {
	if len(blob) < 4 {
		return ""
	}
	n := binary.BigEndian.Uint32(blob)
	if uint64(n) > uint64(len(blob)-4) {
		return ""
	}
	return string(blob[4 : 4+n])
}

// fingerprint is the key's, as ssh-keygen -l prints it.
func (l knownLine) fingerprint() string { return blobFingerprint(l.blob) }

func blobFingerprint(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// place is where the line stands.
func (l knownLine) place() string { return fmt.Sprintf("%s:%d", l.file, l.number) }

// about reports whether the line is about a host, by the name that knownName gives.
func (l knownLine) about(name string) bool {
	if rest, hashed := strings.CutPrefix(l.hosts, "|1|"); hashed {
		salt, sum, _ := strings.Cut(rest, "|")
		key, err := base64.StdEncoding.DecodeString(salt)
		want, err2 := base64.StdEncoding.DecodeString(sum)
		if err != nil || err2 != nil {
			return false
		}
		mac := hmac.New(sha1.New, key) // the format's choice; it hides names, it proves nothing
		_, _ = mac.Write([]byte(name)) // a hash does not fail
		return hmac.Equal(mac.Sum(nil), want)
	}
	return matchList(name, strings.ToLower(l.hosts)) > 0
}

// select gives the lines with the marker that are about one of the names.
func (k knownHosts) with(marker, name string) knownHosts {
	var some knownHosts
	for _, l := range k {
		if l.marker == marker && l.about(name) {
			some = append(some, l)
		}
	}
	return some
}

// having gives the first line with this key.
func (k knownHosts) having(blob []byte) (knownLine, bool) {
	for _, l := range k {
		if l.blob != nil && bytes.Equal(l.blob, blob) {
			return l, true
		}
	}
	return knownLine{}, false
}

// unreadable gives the first line whose key cannot be read.
func (k knownHosts) unreadable() (knownLine, bool) {
	for _, l := range k {
		if l.blob == nil {
			return l, true
		}
	}
	return knownLine{}, false
}

// revoked gives the line that revokes the key. A revoked key is a stolen one: unlike
// OpenSSH we ask on no host whether the line is about that very host.
func (k knownHosts) revoked(blob []byte) (knownLine, bool) {
	for _, l := range k {
		if l.marker == markRevoked && (l.blob == nil || bytes.Equal(l.blob, blob)) {
			return l, true
		}
	}
	return knownLine{}, false
}

// knownName is a host as known_hosts has it: the name alone for port 22, and
// otherwise [name]:port.
func knownName(hostport string) string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.ToLower(hostport)
	}
	if port == "22" {
		return strings.ToLower(host)
	}
	return "[" + strings.ToLower(host) + "]:" + port
}

// matchList matches a text with patterns that have commas between them: more than 0
// when one matches, less when one that is negated does, wherever it stands.
func matchList(s, patterns string) int {
	found := 0
	for pattern := range strings.SplitSeq(patterns, ",") {
		bare, negated := strings.CutPrefix(pattern, "!")
		switch {
		case !matchPattern(s, bare):
		case negated:
			return -1
		default:
			found = 1
		}
	}
	return found
}

// matchPattern matches with * for any text and ? for any one byte. It takes time in
// proportion to the product of the lengths, whatever the pattern.
func matchPattern(s, pattern string) bool {
	i, j := 0, 0
	star, again := -1, 0 // the last *, and where its text ends for now
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, again = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0:
			again++
			i, j = again, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}
