package service

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/osiris/osiris/internal/config"
)

// healthcheckTime bounds the question of Healthcheck.
const healthcheckTime = 3 * time.Second

// Healthcheck asks the program that runs with the same configuration on this machine
// whether it is ready, and returns the exit code: 0 if so, else 1 with the reason on
// stderr. Images without a shell use it for their health checks.
func Healthcheck(ctx context.Context, cfg *config.Config, std IO) int {
	if err := askReady(ctx, cfg.AdminListen); err != nil {
		fmt.Fprintln(std.Stderr, "not ready:", err)
		return 1
	}
	return 0
}

func askReady(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("the admin port is %q: set admin_listen to an address", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, healthcheckTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // the status says enough
		return fmt.Errorf("%s", strings.TrimSpace(string(why)))
	}
	return nil
}
