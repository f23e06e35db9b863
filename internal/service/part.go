package service

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/pkg/jobs"
)

// StartTime bounds what a part does to start, once NATS answers.
const StartTime = 30 * time.Second

// Part is what a program consists of while it runs: a frontend, a worker, or another
// thing that lives on the queue.
type Part interface {
	// Apply takes a new configuration over, or changes nothing and says why.
	Apply(ctx context.Context, cfg *config.Config) error
	// Stop lets running work end until ctx does, then ends it. Nothing of the part
	// runs when it returns.
	Stop(ctx context.Context) error
	// Grace is how long running work may take to end.
	Grace(cfg *config.Config) time.Duration
}

// Starter starts a part.
type Starter struct {
	// Check, if there is one, finds early what Start would fail on: before the
	// program connects to anything.
	Check func(cfg *config.Config) error
	// Start returns a part that runs. It may wait as long as it likes, until ctx ends.
	Start func(ctx context.Context, h *Host) (Part, error)
}

// Host is the program that a part is started in. Its fields are set before the first
// part starts and do not change, except for Info, which parts complete.
type Host struct {
	Config  *config.Config // at the start; Apply brings later ones
	Conn    *jobs.Conn     // closed after the last part stopped
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Info    *Info

	// NotReady sets the reason that the admin port gives until every part runs.
	NotReady func(why string)
	// Fail ends the program with an error, from any goroutine.
	Fail func(err error)
}

// Info is what a program that runs may tell people.
type Info struct {
	API     net.Addr // nil without a frontend
	Admin   net.Addr // nil if off
	DataDir string   // empty without a NATS of its own
	NATS    string   // where other programs reach that NATS; may be empty
	NewKey  string   // the secret of a key made just now; to be shown once
	Preset  bool     // NewKey is OSIRIS_BOOTSTRAP_KEY

	// Models returns the names that clients may use. Until every provider has said
	// what it serves it blocks, at most until ctx ends. Nil without a worker.
	Models func(ctx context.Context) []string
}

// Server is a NATS that runs inside the program.
type Server struct {
	InProcess interface{ InProcessConn() (net.Conn, error) }
	Token     string
	DataDir   string
	URL       string // where other programs reach it; may be empty
	Stop      func() error
}
