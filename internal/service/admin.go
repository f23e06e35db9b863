package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin is the port for operators: health, metrics, profiles.
type admin struct {
	server *http.Server
	addr   net.Addr
	served sync.WaitGroup
	why    atomic.Pointer[string]    // why not ready; nil when the program is
	check  atomic.Pointer[checkFunc] // asked as well once the program is ready
}

type checkFunc func() error

// startAdmin listens on address. If nobody chose it and it is taken, any other port
// of this machine will do: several programs share one with the same defaults.
func startAdmin(address string, chosen bool, metrics prometheus.Gatherer, log *slog.Logger) (*admin, error) {
	a := &admin{}
	a.notReady("starting")
	if address == "off" {
		return a, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil && !chosen && portTaken(err) {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, ListenError("admin port", address, "--admin-listen", err)
	}
	a.addr = ln.Addr()
	a.server = &http.Server{
		Handler: a.routes(metrics), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	a.served.Go(func() {
		if err := a.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("admin port failed", "error", err)
		}
	})
	return a, nil
}

func (a *admin) routes(metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (a *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.readiness(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (a *admin) readiness() error {
	if why := a.why.Load(); why != nil {
		return errors.New(*why)
	}
	if check := a.check.Load(); check != nil {
		return (*check)()
	}
	return nil
}

func (a *admin) notReady(why string) { a.why.Store(&why) }

func (a *admin) ready(check checkFunc) {
	a.check.Store(&check)
	a.why.Store(nil)
}

// stop ends the port; a profile being taken is cut.
func (a *admin) stop() {
	if a.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close() // its listener is closed already
	}
	a.served.Wait()
}
