package main

import (
	"net"
	"net/http"
	"sync"
)

// closeUnused has a server close, when it shuts down, the connections on which no
// request has come yet. A relay opens some ahead of need, and http.Server.Shutdown
// would wait five seconds for what none of them will bring.
func closeUnused(srv *http.Server) {
	var mu sync.Mutex // guards both
	unused, ending := map[net.Conn]struct{}{}, false
	srv.ConnState = func(conn net.Conn, state http.ConnState) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case state != http.StateNew:
			delete(unused, conn)
		case ending:
			_ = conn.Close() // it came too late to be served
		default:
			unused[conn] = struct{}{}
		}
	}
	srv.RegisterOnShutdown(func() {
		mu.Lock()
		defer mu.Unlock()
		ending = true
		for conn := range unused {
			_ = conn.Close()
		}
	})
}
