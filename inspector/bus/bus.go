// Package bus hands values to many subscribers and never waits for one of them.
//
// Order is kept for each subscriber. One that falls behind by more than the room
// it asked for is cut off at once and told so; it subscribes again and reads the
// truth from where it is kept. Everything here is safe for many goroutines.
package bus

import "sync"

// Bus is a fan-out. The zero Bus is ready for use.
type Bus[T any] struct {
	mu   sync.Mutex // guards subs, and the sending side of each subscription's channel
	subs map[*Sub[T]]struct{}
}

// Sub is one subscription. Read C until it closes.
type Sub[T any] struct {
	C      <-chan T
	c      chan T
	bus    *Bus[T]
	behind bool // guarded by bus.mu
}

// Publish hands v to every subscriber that has room and never waits. A subscriber
// that has none is cut off; it must subscribe again and read the store.
func (b *Bus[T]) Publish(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.subs {
		select {
		case s.c <- v:
		default:
			s.behind = true
			b.drop(s)
		}
	}
}

// Subscribe starts a subscription with room for that many values that were not
// read yet, at least one. Close it when done.
func (b *Bus[T]) Subscribe(room int) *Sub[T] {
	c := make(chan T, max(room, 1))
	s := &Sub[T]{C: c, c: c, bus: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = make(map[*Sub[T]]struct{})
	}
	b.subs[s] = struct{}{}
	return s
}

// Behind reports whether the subscription was cut off because its reader was too
// slow. It means something once C is closed.
func (s *Sub[T]) Behind() bool {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	return s.behind
}

// Close ends the subscription and closes C. It may be called more than once.
func (s *Sub[T]) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	s.bus.drop(s)
}

// drop closes a subscription that is still open. The caller holds b.mu.
func (b *Bus[T]) drop(s *Sub[T]) {
	if _, open := b.subs[s]; open {
		delete(b.subs, s)
		close(s.c)
	}
}
