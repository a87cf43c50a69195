package core

import (
	"slices"
	"sync"
)

// servers are the program's http.Servers. The zero servers has none.
type servers struct {
	mu     sync.Mutex
	list   []*server
	failed error // of the first one that could not be started
}

// add reports false if no more are taken, because this process drains.
func (s *servers) add(srv *server, p *phase) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.draining.Load() {
		return false
	}
	s.list = append(s.list, srv)
	return true
}

// fail notes that a server could not be started.
func (s *servers) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// failure returns what fail noted first.
func (s *servers) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *servers) all() []*server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// names returns the names of the servers by their listeners.
func (s *servers) names() map[*listener]string {
	names := make(map[*listener]string)
	for _, srv := range s.all() {
		if srv.own != nil {
			names[srv.own] = srv.name
		}
	}
	return names
}

// accept reports whether any server still accepts.
func (s *servers) accept() bool {
	return slices.ContainsFunc(s.all(), func(srv *server) bool { return !isClosed(srv.ended) })
}
