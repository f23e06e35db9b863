package natstest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	"github.com/nats-io/nats-server/v2/server"
)

// node is a server that runs: inside the test binary, or a program of its own if the
// race detector is on. An instrumented server takes several times the processor that
// the tests themselves do, and looks for races in what is not this project's.
type node interface {
	// current reports whether JetStream works here, on a cluster with a known leader.
	current() bool
	// leads reports whether the node leads the stream.
	leads(stream string) bool
	// stop shuts the node down as its program does when told to end, and waits.
	stop()
}

// nodeConfig is all that differs between nodes.
type nodeConfig struct {
	Name   string
	Dir    string
	Port   int
	Routes []int // ports of all nodes for each other; none: no cluster
	Route  int   // its own among them
}

func (c *nodeConfig) options() *server.Options {
	o := &server.Options{
		ServerName: c.Name, Host: "127.0.0.1", Port: c.Port,
		NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: c.Dir,
		JetStreamMaxStore: 1 << 44, JetStreamMaxMemory: 1 << 32, // streams reserve their limits
	}
	if len(c.Routes) > 0 {
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: c.Route}
		for _, port := range c.Routes {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
		}
	}
	return o
}

// startNode starts a node, which is then ready for connections.
func startNode(c *nodeConfig) (node, error) {
	start := startEmbedded
	if raceDetector {
		start = startProgram
	}
	n, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	return n, nil
}

// embedded is a node inside this process.
type embedded struct {
	*server.Server

	single bool
}

func startEmbedded(c *nodeConfig) (node, error) {
	srv, err := server.NewServer(c.options())
	if err != nil {
		return nil, err
	}
	srv.Start()
	n := embedded{srv, len(c.Routes) == 0}
	if !srv.ReadyForConnections(settles) {
		n.stop()
		return nil, errors.New("not ready for connections")
	}
	return n, nil
}

func (n embedded) current() bool { return n.single || n.JetStreamIsCurrent() }
func (n embedded) leads(stream string) bool {
	return n.single || n.JetStreamIsStreamLeader("$G", stream)
}

func (n embedded) stop() {
	n.Shutdown()
	n.WaitForShutdown()
}
