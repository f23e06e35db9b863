package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// left is the part of a stored completion that the tests look at.
type left struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// get reads what is at a path below /v1.
func (c *client) get(ctx context.Context, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// leave sends a background request and returns the id of its answer to come.
func (c *client) leave(t *testing.T, model, text string, more ...object) string {
	t.Helper()
	a := c.ask(t, chat(model, text, false, append(more, object{"background": true})...))
	var k left
	if err := json.Unmarshal([]byte(a.body), &k); err != nil || a.status != http.StatusOK || k.ID == "" {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if k.Status != "queued" && k.Status != "in_progress" {
		t.Fatalf("left with status %q: %s", k.Status, a.body)
	}
	return k.ID
}

// collect waits until the completion is there, and checks what it says.
func (c *client) collect(t *testing.T, id, text string) {
	t.Helper()
	eventually(t, patience, "the completion", func(ctx context.Context) error {
		status, body, err := c.get(ctx, "/chat/completions/"+id)
		var k left
		if err == nil {
			err = json.Unmarshal([]byte(body), &k)
		}
		if err != nil || status != http.StatusOK || k.Status != "completed" && k.Status != "" {
			return fmt.Errorf("status %d (%q): %v: %s", status, k.Status, err, short(body))
		}
		return checkAnswer(body, text)
	})
}

// TestWaitingWorkSurvivesEverything: everything is killed at once while background
// requests run and wait, and started again. Every answer arrives.
func TestWaitingWorkSurvivesEverything(t *testing.T) {
	i := install(t, 1, 1, "--slots", "4")
	texts := map[string]string{}
	for n := range 12 {
		text := fmt.Sprintf("number %d of those that wait", n)
		texts[i.clients[0].leave(t, "up/"+words, text, object{"mock_delay_ms": 300})] = text
	}
	i.busy(t, 4)
	again := i.killAll(t)
	for id, text := range texts {
		again.collect(t, id, text)
	}
	i.idle(t, 20*time.Second)
}

// killAll kills every process and starts one of each again.
func (i *installation) killAll(t *testing.T) *client {
	t.Helper()
	for _, p := range slices.Concat([]*process{i.nats}, i.frontends, i.workers) {
		p.kill(t)
	}
	i.startNATS(t)
	i.workers, i.frontends = nil, nil
	i.startWorker(t)
	i.startFrontend(t)
	return newClient(t, "http://"+i.frontends[0].await(t, `msg=ready.* api=(\S+)`)+"/v1", installationKey)
}

// TestUpKilled: osiris up is killed with a background request running, and started
// again on its data. The answer is there.
func TestUpKilled(t *testing.T) {
	heavy(t, "it builds the programs and starts processes")
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"up", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--admin-listen", "off"}
	env := []string{"OSIRIS_BOOTSTRAP_KEY=" + installationKey}
	start := func() (*process, *client) {
		p := spawn(t, "osiris up", filepath.Join(dir, "osiris"), args, env)
		return p, newClient(t, "http://"+p.await(t, `msg=ready.* api=(\S+)`)+"/v1", installationKey)
	}
	up, c := start()
	text := strings.Repeat("word ", 20) + "end"
	id := c.leave(t, "echo?delay=100ms", text)
	eventually(t, patience, "it runs", func(ctx context.Context) error {
		_, body, err := c.get(ctx, "/chat/completions/"+id)
		if !strings.Contains(body, `"in_progress"`) {
			return fmt.Errorf("%v: %s", err, short(body))
		}
		return err
	})
	up.kill(t)
	_, c = start()
	c.collect(t, id, text)
}

// TestCancelledBeforeKill: many background requests run and wait, a third of them is
// cancelled, then everything is killed and started again. All others are answered.
func TestCancelledBeforeKill(t *testing.T) {
	i := install(t, 1, 1)
	const count = 90 // all are to run at once, also where asking for them takes seconds
	texts := map[string]string{}
	var gone []string
	for n := range count {
		text := fmt.Sprintf("number %d", n)
		id := i.clients[0].leave(t, "up/"+words, text, object{"mock_delay_ms": 2000})
		if n%3 == 0 {
			gone = append(gone, id)
		} else {
			texts[id] = text
		}
	}
	i.busy(t, count/2)
	for _, id := range gone {
		var l left
		i.clients[0].create(t, "/chat/completions/"+id+"/cancel", "application/json", nil, &l)
		if l.Status != "cancelled" {
			t.Fatalf("cancel of %s: %q", id, l.Status)
		}
	}
	again := i.killAll(t)
	for id, text := range texts {
		again.collect(t, id, text)
	}
	i.idle(t, 20*time.Second)
}
