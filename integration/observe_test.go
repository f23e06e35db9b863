package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

// maxLog bounds what is kept of a container's log.
const maxLog = 256 << 10

// capture keeps a container's log. Safe for concurrent use.
type capture struct {
	mu   sync.Mutex
	text strings.Builder
}

// Accept implements [testcontainers.LogConsumer].
func (c *capture) Accept(l testcontainers.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.text.Len() < maxLog {
		c.text.Write(l.Content)
	}
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// eventually asks until it gets no error, and fails with the last one after limit.
func eventually(t *testing.T, limit time.Duration, what string, ask func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		case <-tick.C:
		}
	}
}

func (s *system) getJSON(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// awaitModel waits until both frontends know the model that workers found.
func (s *system) awaitModel(t *testing.T) {
	t.Helper()
	for _, frontend := range s.frontends {
		eventually(t, 30*time.Second, "model in the catalogue of "+frontend, func(ctx context.Context) error {
			var model struct {
				ID string `json:"id"`
			}
			return s.getJSON(ctx, frontend+"/v1/models/"+modelName, &model)
		})
	}
}

// awaitOpen waits until the model server has so many calls open.
func (s *system) awaitOpen(t *testing.T, limit time.Duration, enough func(open int) bool) {
	t.Helper()
	eventually(t, limit, "open calls of the model server", func(ctx context.Context) error {
		var stats struct {
			Open int `json:"open"`
		}
		if err := s.getJSON(ctx, s.model+"/stats", &stats); err != nil {
			return err
		}
		if !enough(stats.Open) {
			return fmt.Errorf("%d are open", stats.Open)
		}
		return nil
	})
}

// awaitIdle waits until nothing is left of any request: no job in a queue and no call
// at the model server.
func (s *system) awaitIdle(t *testing.T) {
	t.Helper()
	s.awaitOpen(t, 20*time.Second, func(open int) bool { return open == 0 })
	eventually(t, 20*time.Second, "queues", func(ctx context.Context) error {
		queues, waiting, err := s.queues(ctx)
		if err != nil {
			return err
		}
		if queues < 3 || waiting != 0 {
			return fmt.Errorf("%d jobs in %d queues", waiting, queues)
		}
		return nil
	})
}

// queues counts the queues and the jobs in them, by NATS' own monitoring.
func (s *system) queues(ctx context.Context) (queues, waiting int, err error) {
	var answer struct {
		Accounts []struct {
			Streams []struct {
				Config struct {
					Retention string `json:"retention"`
				} `json:"config"`
				State struct {
					Messages int `json:"messages"`
				} `json:"state"`
			} `json:"stream_detail"`
		} `json:"account_details"`
	}
	if err := s.getJSON(ctx, s.nats+"/jsz?streams=true&config=true", &answer); err != nil {
		return 0, 0, err
	}
	for _, account := range answer.Accounts {
		for _, stream := range account.Streams {
			if stream.Config.Retention == "workqueue" {
				queues++
				waiting += stream.State.Messages
			}
		}
	}
	return queues, waiting, nil
}
