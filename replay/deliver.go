package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/slackdev/slackdev/inspector"
)

// httpRequest gives q as net/http's server would hand it to a handler.
func httpRequest(ctx context.Context, q inspector.Request) (*http.Request, error) {
	target, err := url.ParseRequestURI(q.Target)
	if err != nil {
		return nil, fmt.Errorf("read the request's target: %w", err)
	}
	// ReverseProxy asks for the server: with one it cuts an answer that it cannot
	// finish, without one it ends it as if it were whole.
	ctx = context.WithValue(ctx, http.ServerContextKey, &http.Server{})
	r := (&http.Request{
		Method: q.Method, URL: target, RequestURI: q.Target, Host: q.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "127.0.0.1:0",
		Header: q.Header.HTTP(), Body: http.NoBody, ContentLength: q.Body.Size,
	}).WithContext(ctx)
	if r.Host == "" {
		r.Host = "localhost"
	}
	if q.Body.Size > 0 {
		r.Body = io.NopCloser(bytes.NewReader(q.Body.Bytes))
	}
	if len(q.Trailer) > 0 {
		r.ContentLength, r.TransferEncoding, r.Trailer = -1, []string{"chunked"}, q.Trailer.HTTP()
	}
	return r, nil
}

// deliver serves r. A handler that panics has failed this request and nothing else;
// http.ErrAbortHandler is how a cut answer ends, and is in the record.
func deliver(h http.Handler, r *http.Request) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if cause, ok := p.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
			return
		}
		err = fmt.Errorf("the handler panicked: %v", p)
	}()
	h.ServeHTTP(&sink{header: http.Header{}}, r)
	return nil
}

// sink takes an answer and keeps none of it: the proxy has recorded it on its way.
// It can be flushed, and not hijacked.
type sink struct{ header http.Header }

var _ http.Flusher = (*sink)(nil)

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) Flush()                      {}
