package service

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/osiris/osiris/internal/config"
	"github.com/osiris/osiris/internal/socket"
	"github.com/osiris/osiris/pkg/jobs"
)

// JobsConfig is how a program called name reaches the queue.
func JobsConfig(cfg *config.Config, name string, log *slog.Logger) (jobs.Config, error) {
	n := cfg.NATS
	out := jobs.Config{
		URL: n.URL.Reveal(), Name: name, Namespace: cfg.Namespace, Domain: n.Domain,
		CredentialsFile: n.Credentials, NKeyFile: n.NKey,
		User: n.User, Password: n.Password.Reveal(), Token: n.Token.Reveal(),
		Replicas: n.Replicas, MaxQueued: cfg.Queue.MaxJobs, MaxQueuedBytes: int64(cfg.Queue.MaxBytes),
		KeepResults: cfg.Keep.Results, KeepEvents: cfg.Keep.Events, MaxEventsBytes: int64(cfg.Keep.EventsBytes),
		LongestBatch: cfg.Batches.LongestWindow(),
		MaxBody:      int64(cfg.Frontend.MaxBody), AckWait: cfg.Queue.Lease, Logger: log,
	}
	var err error
	out.Dial = dialNATS
	if n.LocalEvents {
		out.Local = socket.Quick
	}
	out.TLS, err = tlsConfig(n.TLS)
	return out, err
}

// dialNATS opens a connection to NATS.
func dialNATS(network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return socket.Quick(c), nil
}

func tlsConfig(t config.TLS) (*tls.Config, error) {
	if t == (config.TLS{}) {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("nats.tls.ca: %s holds no PEM certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("nats.tls.cert: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}
