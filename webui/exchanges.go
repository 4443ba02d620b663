package webui

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/slackdev/slackdev/inspector"
	"github.com/slackdev/slackdev/inspector/export"
	"github.com/slackdev/slackdev/inspector/filter"
)

const (
	defaultLimit = 100
	maxLimit     = 500 // exchanges in one answer
)

// page of a list, newest first.
type listing struct {
	Exchanges []export.Line `json:"exchanges"`
	Next      string        `json:"next"` // to be asked for with before; empty: there are no older ones
	Seq       uint64        `json:"seq"`  // events up to this one are in the list
}

// listExchanges gives a page of what q asks for, or the exchanges that ids names.
func (s *Server) listExchanges(w http.ResponseWriter, r *http.Request) error {
	seq := s.Journal.Seq() // before reading, so that the list has at least what it claims
	form := r.URL.Query()
	if form.Has("ids") {
		return s.listSome(w, r, form.Get("ids"), seq)
	}
	q, err := queryOf(form)
	if err != nil {
		return err
	}
	limit := q.Limit
	q.Limit++ // one more says whether there is a next page
	xs, err := s.Journal.Store.List(r.Context(), q)
	if err != nil {
		return err
	}
	next := ""
	if len(xs) > limit {
		xs = xs[:limit]
		next = xs[limit-1].ID.String()
	}
	return reply(w, http.StatusOK, listing{linesOf(xs), next, seq})
}

func (s *Server) listSome(w http.ResponseWriter, r *http.Request, text string, seq uint64) error {
	var names []string
	if text != "" {
		names = strings.Split(text, ",")
	}
	ids, err := parseIDs(names)
	if err != nil {
		return err
	}
	xs, err := s.some(r.Context(), ids)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, listing{linesOf(xs), "", seq})
}

// queryOf reads q, before and limit.
func queryOf(form url.Values) (inspector.Query, error) {
	q := inspector.Query{Limit: defaultLimit}
	if text := form.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			return q, badRequest("limit is %q, and must be a number from 1 to %d", text, maxLimit)
		}
		q.Limit = n
	}
	if text := form.Get("before"); text != "" {
		id, err := inspector.ParseID(text)
		if err != nil {
			return q, badRequest("before: %v", err)
		}
		q.Before = id
	}
	terms, err := termsOf(form.Get("q"))
	q.Where = terms
	return q, err
}

// termsOf reads a search.
func termsOf(q string) ([]inspector.Term, error) {
	terms, err := filter.Parse(q)
	if wrong := (*filter.Error)(nil); errors.As(err, &wrong) {
		return nil, &refusal{http.StatusBadRequest, wrong.Problem, wrong.Fix}
	}
	return terms, err
}

func linesOf(xs []*inspector.Exchange) []export.Line {
	lines := make([]export.Line, len(xs))
	for i, x := range xs {
		lines[i] = export.LineOf(x)
	}
	return lines
}

// parseIDs reads whole IDs, at most maxLimit of them.
func parseIDs(texts []string) ([]inspector.ID, error) {
	if len(texts) > maxLimit {
		return nil, badRequest("%d ids are too many: at most %d at once", len(texts), maxLimit)
	}
	ids := make([]inspector.ID, len(texts))
	for i, text := range texts {
		id, err := inspector.ParseID(text)
		if err != nil {
			return nil, badRequest("ids: %v", err)
		}
		ids[i] = id
	}
	return ids, nil
}

// some gives those of ids that are there, newest first and each once, without the
// bytes of their bodies. IDs that a browser asks for follow each other closely, so a
// page of the list holds many of them.
func (s *Server) some(ctx context.Context, ids []inspector.ID) ([]*inspector.Exchange, error) {
	const atOnce = 32
	wanted := slices.Clone(ids)
	slices.SortFunc(wanted, func(a, b inspector.ID) int { return b.Compare(a) })
	wanted = slices.Compact(wanted)
	found := make([]*inspector.Exchange, 0, len(wanted))
	for len(wanted) > 0 {
		page, err := s.Journal.Store.List(ctx, inspector.Query{Before: after(wanted[0]), Limit: min(len(wanted), atOnce)})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for _, x := range page {
			for len(wanted) > 0 && wanted[0].Compare(x.ID) > 0 {
				wanted = wanted[1:] // gone: the page passed its place
			}
			if len(wanted) > 0 && wanted[0] == x.ID {
				found, wanted = append(found, x), wanted[1:]
			}
		}
	}
	return found, nil
}

// after is the ID that follows id at once.
func after(id inspector.ID) inspector.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			return id
		}
	}
	return inspector.ID{} // after the last one: Query reads it as from the newest, which is right
}

// named gives the exchange that the path names, whole or shortened.
func (s *Server) named(r *http.Request) (*inspector.Exchange, error) {
	id, err := s.Journal.Store.Resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.Journal.Store.Get(r.Context(), id)
}

// unmasked reports whether the client asked for tokens as they are.
func unmasked(r *http.Request) (bool, error) {
	switch text := r.URL.Query().Get("secrets"); text {
	case "", "0":
		return false, nil
	case "1":
		return true, nil
	default:
		return false, badRequest("secrets is %q, and must be 0 or 1", text)
	}
}

func (s *Server) readExchange(w http.ResponseWriter, r *http.Request) error {
	secrets, err := unmasked(r)
	if err != nil {
		return err
	}
	x, err := s.named(r)
	if err != nil {
		return err
	}
	if secrets {
		return reply(w, http.StatusOK, export.UnmaskedDetailOf(x))
	}
	return reply(w, http.StatusOK, export.DetailOf(x))
}

// readBody gives the kept bytes for saving: as they passed with secrets=1, else as
// DETAIL shows them. A browser must not show them: they are a stranger's, and this is
// our origin.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) error {
	secrets, err := unmasked(r)
	if err != nil {
		return err
	}
	x, err := s.named(r)
	if err != nil {
		return err
	}
	detail := export.DetailOf(x)
	var kept []byte
	side := r.PathValue("side")
	switch {
	case side != "in" && side != "out":
		return badRequest("a body is in or out, and not %q", side)
	case side == "out" && x.Response == nil:
		return &refusal{http.StatusNotFound, "that request was not answered", ""}
	case side == "in" && secrets:
		kept = x.Request.Body.Bytes
	case side == "out" && secrets:
		kept = x.Response.Body.Bytes
	case side == "in":
		kept, err = maskedBody(detail.Request)
	default:
		kept, err = maskedBody(*detail.Response)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.%s.bin"`, x.ID, side))
	h.Set("Content-Security-Policy", "sandbox; "+policy)
	h.Set("Content-Length", strconv.Itoa(len(kept)))
	_, _ = w.Write(kept) // a client that has left needs no answer
	return nil
}

// maskedBody is the body of a message that is masked: compression is taken off it,
// since nothing can be masked inside.
func maskedBody(m export.Message) ([]byte, error) {
	if m.Body != nil {
		return []byte(*m.Body), nil
	}
	return base64.StdEncoding.DecodeString(m.BodyBase64)
}

func (s *Server) readCurl(w http.ResponseWriter, r *http.Request) error {
	secrets, err := unmasked(r)
	if err != nil {
		return err
	}
	x, err := s.named(r)
	if err != nil {
		return err
	}
	command := export.Curl(x)
	if secrets {
		command = export.UnmaskedCurl(x)
	}
	return reply(w, http.StatusOK, map[string]string{"curl": command})
}

func (s *Server) deleteExchanges(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		IDs []string `json:"ids"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	ids, err := parseIDs(ask.IDs)
	if err != nil {
		return err
	}
	there, err := s.some(r.Context(), ids)
	if err != nil {
		return err
	}
	ids = ids[:0]
	for _, x := range there {
		ids = append(ids, x.ID)
	}
	if len(ids) > 0 {
		if err := s.Journal.Delete(r.Context(), ids...); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, map[string]int{"deleted": len(ids)})
}

func (s *Server) pinExchange(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Pinned *bool `json:"pinned"`
	}
	if err := decode(r, &ask); err != nil {
		return err
	}
	if ask.Pinned == nil {
		return badRequest("pinned must be true or false")
	}
	id, err := s.Journal.Store.Resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.Journal.Pin(r.Context(), id, *ask.Pinned); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
