package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dial sets up nc and js and waits for the first connection.
func (c *Conn) dial(ctx context.Context) error {
	var faults faultLog
	faults.log = c.log
	opts, err := c.options(&faults)
	if err != nil {
		return err
	}
	up := make(chan struct{}, 1)
	refused := make(chan error, 1)
	opts = append(opts,
		nats.ConnectHandler(func(*nats.Conn) { up <- struct{}{} }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			faults.report(err)
			if permanent(err) {
				select {
				case refused <- err:
				default:
				}
			}
		}))
	if c.nc, err = nats.Connect(c.cfg.URL, opts...); err != nil {
		return err
	}
	select {
	case <-up:
	case err = <-refused:
	case <-c.closed:
		err = cmpErr(c.nc.LastError(), nats.ErrConnectionClosed)
	case <-ctx.Done():
		err = context.Cause(ctx)
		if last := faults.last(); last != nil {
			err = fmt.Errorf("%w: %w", err, last)
		}
	}
	if err == nil {
		if c.cfg.Domain != "" {
			c.js, err = jetstream.NewWithDomain(c.nc, c.cfg.Domain)
		} else {
			c.js, err = jetstream.New(c.nc)
		}
	}
	if err == nil {
		c.acks, err = newAcks(c.nc)
	}
	if err != nil {
		c.nc.Close()
		<-c.closed
	}
	return err
}

func cmpErr(err, fallback error) error {
	if err != nil {
		return err
	}
	return fallback
}

// permanent reports faults that a first connection should not wait out.
func permanent(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAccountAuthExpired) ||
		errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}

func (c *Conn) options(faults *faultLog) ([]nats.Option, error) {
	cfg := c.cfg
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // a server that reloads its users must not end us for good
		nats.CustomReconnectDelay(func(int) time.Duration {
			return 200*time.Millisecond + rand.N(100*time.Millisecond)
		}),
		// What was published into an outage would be sent after its request
		// has failed: a refusal is the truth.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			faults.clear()
			c.log.Info("nats connection restored", "server", nc.ConnectedServerName())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if sub != nil {
				c.log.Error("nats subscription fault", "subject", sub.Subject, "error", err)
				return
			}
			c.log.Error("nats fault", "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.InProcess))
	}
	if cfg.Dial != nil {
		opts = append(opts, nats.SetCustomDialer(dialFunc(cfg.Dial)))
	}
	if cfg.TLS != nil {
		opts = append(opts, nats.Secure(cfg.TLS))
	}
	return appendCredentials(opts, cfg)
}

// dialFunc is a function that the client library calls as a method.
type dialFunc func(network, address string) (net.Conn, error)

// Dial implements nats.CustomDialer.
func (f dialFunc) Dial(network, address string) (net.Conn, error) { return f(network, address) }

func appendCredentials(opts []nats.Option, cfg Config) ([]nats.Option, error) {
	if cfg.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(cfg.CredentialsFile))
	}
	if cfg.NKeyFile != "" {
		o, err := nats.NkeyOptionFromSeed(cfg.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read nkey file: %w", err)
		}
		opts = append(opts, o)
	}
	if cfg.User != "" || cfg.Password != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.Token != "" {
		opts = append(opts, nats.Token(cfg.Token))
	}
	return opts, nil
}

// faultLog reports failed attempts to connect: each new fault at once, a lasting
// one twice a minute.
type faultLog struct {
	log *slog.Logger

	mu   sync.Mutex
	err  error
	when time.Time
}

func (f *faultLog) report(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	repeated := f.err != nil && f.err.Error() == err.Error() && time.Since(f.when) < 30*time.Second
	f.err = err
	if repeated {
		return
	}
	f.when = time.Now()
	f.log.Warn("nats cannot be reached, trying on", "error", err)
}

func (f *faultLog) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = nil
}

func (f *faultLog) last() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
