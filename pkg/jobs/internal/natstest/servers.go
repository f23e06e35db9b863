package natstest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Servers are the nodes of one installation. Node numbers begin at 0; a node
// keeps its port and its data over Kill and Restart.
type Servers struct {
	dir     string
	configs []nodeConfig

	mu    sync.Mutex
	nodes []node // nil while killed
}

// Start starts nodes servers with their data below dir and returns when JetStream
// answers: for a cluster, when every node follows an elected leader.
func Start(dir string, nodes int) (*Servers, error) {
	var err error
	for range 3 { // a reserved port can be taken before its server listens
		s := &Servers{dir: dir, nodes: make([]node, nodes)}
		if s.configs, err = configs(dir, nodes); err != nil {
			return nil, err
		}
		if err = s.startAll(); err == nil {
			return s, nil
		}
		s.Stop()
	}
	return nil, err
}

func (s *Servers) startAll() error {
	for i := range s.nodes {
		if err := s.start(i); err != nil {
			return err
		}
	}
	return s.await()
}

func configs(dir string, nodes int) ([]nodeConfig, error) {
	ports, err := freePorts(2 * nodes)
	if err != nil {
		return nil, err
	}
	all := make([]nodeConfig, nodes)
	for i := range all {
		all[i] = nodeConfig{Name: fmt.Sprintf("n%d", i), Dir: filepath.Join(dir, strconv.Itoa(i)), Port: ports[i]}
		if nodes > 1 {
			all[i].Route, all[i].Routes = ports[nodes+i], ports[nodes:]
		}
	}
	return all, nil
}

func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("reserve port: %w", err)
		}
		defer l.Close() // all at once at the end, so that no port is given twice
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (s *Servers) start(i int) error {
	n, err := startNode(&s.configs[i])
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[i] = n
	return nil
}

// settles is how long a cluster may take after a start: several rounds of elections.
const settles = time.Minute

// await returns when JetStream works on every running node and every stream is led
// and followed by those that run.
func (s *Servers) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), settles)
	defer cancel()
	nc, err := nats.Connect(s.URLs(), nats.NoCallbacksAfterClientClose())
	if err != nil {
		return fmt.Errorf("await nats: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("await nats: %w", err)
	}
	for !s.current() || !s.serves(ctx, js) {
		select {
		case <-ctx.Done():
			return errors.New("await nats: JetStream is not ready")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (s *Servers) serves(ctx context.Context, js jetstream.JetStream) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := js.AccountInfo(ctx); err != nil {
		return false
	}
	away := 0
	for _, n := range s.running() {
		if n == nil {
			away++
		}
	}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		stream, err := js.Stream(ctx, name)
		if err != nil || !followed(stream.CachedInfo().Cluster, away) {
			return false
		}
	}
	return names.Err() == nil
}

// followed reports whether a stream has a leader and all copies but those of the
// nodes that are away.
func followed(group *jetstream.ClusterInfo, away int) bool {
	if group == nil {
		return true
	}
	behind := 0
	for _, peer := range group.Replicas {
		if !peer.Current {
			behind++
		}
	}
	return group.Leader != "" && behind <= away
}

func (s *Servers) current() bool {
	for _, n := range s.running() {
		if n != nil && !n.current() {
			return false
		}
	}
	return true
}

func (s *Servers) running() []node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes)
}

// Nodes returns how many nodes there are, running or not.
func (s *Servers) Nodes() int { return len(s.configs) }

// URL returns the client address of node i.
func (s *Servers) URL(i int) string {
	return "nats://127.0.0.1:" + strconv.Itoa(s.configs[i].Port)
}

// URLs returns the addresses of all nodes, separated by commas.
func (s *Servers) URLs() string {
	urls := make([]string, s.Nodes())
	for i := range urls {
		urls[i] = s.URL(i)
	}
	return strings.Join(urls, ",")
}

// Kill stops node i: its clients lose their connections, its data stays.
func (s *Servers) Kill(i int) {
	s.mu.Lock()
	n := s.nodes[i]
	s.nodes[i] = nil
	s.mu.Unlock()
	if n != nil {
		n.stop()
	}
}

// Restart starts node i again on its data and returns when JetStream works and the
// node has caught up.
func (s *Servers) Restart(t testing.TB, i int) {
	t.Helper()
	s.Kill(i)
	if err := s.start(i); err != nil {
		t.Fatalf("restart nats: %v", err)
	}
	if err := s.await(); err != nil {
		t.Fatalf("restart nats: %v", err)
	}
}

// RestartAll kills every node, starts all of them on their data and returns when
// JetStream works: what survives it was on disk.
func (s *Servers) RestartAll(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.startAll(); err != nil {
		t.Fatalf("restart nats: %v", err)
	}
}

// Leader returns the node that leads the stream, -1 if none does.
func (s *Servers) Leader(stream string) int {
	for i, n := range s.running() {
		if n != nil && n.leads(stream) {
			return i
		}
	}
	return -1
}

// Stop stops every node and waits for them.
func (s *Servers) Stop() {
	for i := range s.configs {
		s.Kill(i)
	}
}
