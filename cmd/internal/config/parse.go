package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slackdev/slackdev/inspector/near"
)

// problem is what is wrong with a text, before anybody has said where it stands.
type problem struct{ text, hint string }

func (p *problem) Error() string { return p.text }

func wrong(hint, format string, args ...any) *problem {
	return &problem{text: fmt.Sprintf(format, args...), hint: hint}
}

const appHint = "name your app by its port or its URL:  slackdev tunnel 3000"

// parseApp reads 3000, :3000, localhost:3000, http://localhost:3000/base. A port alone
// means localhost and not 127.0.0.1: some development servers listen on ::1 only.
func parseApp(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, wrong(appHint, "the app's address is blank")
	}
	spelled := text
	bare := !strings.Contains(text, "://")
	switch {
	case strings.Trim(text, "0123456789") == "":
		text = "http://localhost:" + text
	case strings.HasPrefix(text, ":"):
		text = "http://localhost" + text
	case bare:
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return nil, wrong(appHint, "%q is neither a port nor an address", clip(spelled))
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, wrong(appHint, "%q: an app is reached by http or https, not by %s", clip(u.Redacted()), clip(u.Scheme))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, wrong(appHint, "%q: the app's address has a host, a port and maybe a path, nothing else", clip(u.Redacted()))
	}
	if bare && u.Port() == "" {
		return nil, wrong(appHint, "%q is not a port, and as an address it has none", clip(spelled))
	}
	if err := checkPort(u.Port(), 1); u.Port() != "" && err != nil {
		return nil, err
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return u, nil
}

func checkPort(text string, least int) error {
	if n, err := strconv.Atoi(text); err != nil || n < least || n > 65535 {
		return wrong("a port is a number from 1 to 65535", "port %s is not between %d and 65535", clip(text), least)
	}
	return nil
}

// parseName checks a DNS label: the name becomes one.
func parseName(text string) (string, error) {
	name := strings.ToLower(strings.TrimSpace(text))
	if name == "" {
		return "", wrong("letters, digits and dashes:  --name ana-todo", "the name is blank")
	}
	if fixed := label(name, "ana-todo", 63); fixed != name {
		return "", wrong("for example  --name "+fixed, "%q cannot be part of a host name", clip(text))
	}
	return name, nil
}

func parsePath(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || !strings.HasPrefix(text, "/") || u.Host != "" || strings.ContainsAny(text, "?#") {
		return "", wrong("for example  --path /slack/events", "%q is not a path: it begins with / and has no query", clip(text))
	}
	return u.EscapedPath(), nil
}

func parseLocal(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text = "127.0.0.1:" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", wrong("for example  --local 127.0.0.1:4040", "%q is not HOST:PORT", clip(text))
	}
	if host == "" { // Go would listen everywhere
		host = "127.0.0.1"
	}
	if err := checkPort(port, 0); err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

func loopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, wrong("", "%q is neither true nor false", clip(text))
}

func parseRefusal(text string) (int, error) {
	switch text {
	case "401":
		return 401, nil
	case "403":
		return 403, nil
	}
	return 0, wrong("401 is what Slack's own libraries answer", "%q: a refusal has the status 401 or 403", clip(text))
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 100_000_000 {
		return 0, wrong("", "%q is not a number from 1 to 100000000", clip(text))
	}
	return n, nil
}

func parseColor(text string) (string, error) {
	words := []string{"auto", "always", "never"}
	if !slices.Contains(words, text) {
		return "", wrong(didYouMean(text, words), "%q is none of auto, always, never", clip(text))
	}
	return text, nil
}

func parsePublic(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, wrong("for example  --public-url https://todo.example.org", "%q is not an address that begins with https://", clip(text))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, wrong("where Slack posts is  --path", "%q: the public address is a scheme and a host, nothing else", clip(u.Redacted()))
	}
	u.Path, u.RawPath = "", ""
	return u, nil
}

func parseHosts(text string) ([]string, error) {
	var hosts []string
	for host := range strings.SplitSeq(text, ",") {
		host = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(host)), ".")
		if host == "" || strings.ContainsAny(host, "/:@?#* \t\r\n") {
			return nil, wrong("names without a scheme or a port:  --hosts dev.example.org", "%q is not a host name", clip(host))
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// parseSize reads 1MiB, 512k, 1.5g, 2GB, 4096: k, M, G and KiB, MiB, GiB count in
// powers of 1024, kB, MB and GB in powers of 1000, in either case; no unit is bytes.
func parseSize(text string, least, most int64) (int64, error) {
	const hint = "for example  512k  1MiB  2GiB"
	s := strings.ToLower(strings.TrimSpace(text))
	number := strings.TrimRight(s, "bikmgt ")
	unit := strings.TrimSpace(s[len(number):])
	factors := map[string]float64{
		"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
		"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	}
	factor, known := factors[unit]
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || !known || strings.Trim(number, "0123456789.") != "" {
		return 0, wrong(hint, "%q is not a size", clip(text))
	}
	size := math.Round(value * factor)
	if size < float64(least) || size > float64(most) {
		return 0, wrong(hint, "%q is not between %s and %s", clip(text), sizeText(least), sizeText(most))
	}
	return int64(size), nil
}

// sizeText spells a size so that parseSize reads the same number.
func sizeText(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// clip bounds what is repeated of a text that somebody typed.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// didYouMean gives a hint when one of the words is near enough to be a slip.
func didYouMean(text string, words []string) string {
	best, least := "", 1+min(len(text), 12)/3
	for _, w := range words {
		if d := near.Distance(strings.ToLower(clip(text)), w); d <= least {
			best, least = w, d-1
		}
	}
	if best == "" {
		return "one of " + strings.Join(words, ", ")
	}
	return "did you mean  " + best
}
