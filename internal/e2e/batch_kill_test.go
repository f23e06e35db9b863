package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"
)

// lines is how long the batch is that lives through kills: 10,000 is what is promised.
var lines = flag.Int("lines", 2_000, "lines of the batch in TestBatchUnderKills")

// upload stores a batch file and returns its id.
func (c *client) uploadBatch(t *testing.T, content []byte) string {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if err := w.WriteField("purpose", "batch"); err != nil {
		t.Fatal(err)
	}
	part, err := w.CreateFormFile("file", "in.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var file struct {
		ID string `json:"id"`
	}
	c.create(t, "/files", w.FormDataContentType(), form.Bytes(), &file)
	return file.ID
}

// create posts body and reads the object that was made of it.
func (c *client) create(t *testing.T, path, contentType string, body []byte, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", contentType)
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: status %d, %v: %s", path, resp.StatusCode, err, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// batch is the part of a batch object that the tests look at.
type batch struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Output string `json:"output_file_id"`
	Error  string `json:"error_file_id"`
	Counts struct {
		Total, Completed, Failed int
	} `json:"request_counts"`
}

// TestBatchUnderKills: while a batch runs over two frontends and three workers, one of
// them is killed every second, and another started in its place. Every line ends in
// exactly one line of the two files.
func TestBatchUnderKills(t *testing.T) {
	i := install(t, 2, 3, "--slots", "50")
	var file bytes.Buffer
	for n := range *lines {
		model, more := "up/"+words, object{"mock_delay_ms": 250}
		body := chat(model, fmt.Sprintf("line %d", n), false, more)
		if n%10 == 9 {
			body = chat(model, fmt.Sprintf("line %d", n), false, object{"temperature": 7}) // 400, for this line alone
		}
		fmt.Fprintf(&file, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":%s}`+"\n", n, body)
	}
	var b batch
	id := i.clients[0].uploadBatch(t, file.Bytes())
	i.clients[1].create(t, "/batches", "application/json",
		fmt.Appendf(nil, `{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, id), &b)
	least := 0
	kills := time.NewTicker(time.Second)
	defer kills.Stop()
	killed := 0
	for end := time.Now().Add(5 * time.Minute); b.Status != "completed"; {
		if time.Now().After(end) {
			t.Fatalf("not completed: %+v", b)
		}
		<-kills.C
		c := i.clients[rand.IntN(2)]
		eventually(t, patience, "the batch", func(ctx context.Context) error {
			status, text, err := c.get(ctx, "/batches/"+b.ID)
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d: %v: %s", status, err, short(text))
			}
			return json.Unmarshal([]byte(text), &b)
		})
		if done := b.Counts.Completed + b.Counts.Failed; done < least {
			t.Fatalf("the counts fell from %d to %+v", least, b.Counts)
		} else {
			least = done
		}
		if b.Status == "in_progress" || b.Status == "finalizing" {
			i.killOne(t, rand.IntN(5))
			killed++
		}
	}
	t.Logf("%d were killed", killed)
	if want := *lines; b.Counts.Total != want || b.Counts.Completed+b.Counts.Failed != want || b.Counts.Failed != want/10 || killed == 0 {
		t.Errorf("counts %+v after %d kills", b.Counts, killed)
	}
	i.checkLines(t, &b)
}

// killOne kills the n-th frontend or worker, and starts another.
func (i *installation) killOne(t *testing.T, n int) {
	t.Helper()
	if n < 2 {
		i.frontends[n].kill(t)
		i.frontends[n] = i.program(t, "frontend", nil)
		i.clients[n] = newClient(t, "http://"+i.frontends[n].await(t, `msg=ready.* api=(\S+)`)+"/v1", installationKey)
		return
	}
	i.workers[n-2].kill(t)
	i.workers[n-2] = i.program(t, "worker", []string{"--config", i.file, "--slots", "50"})
}

// checkLines reads both files: each line of the input is in one of them, once.
func (i *installation) checkLines(t *testing.T, b *batch) {
	t.Helper()
	seen := map[string]int{}
	for file, wantStatus := range map[string]int{b.Output: 200, b.Error: 400} {
		status, text, err := i.clients[0].get(t.Context(), "/files/"+file+"/content")
		if err != nil || status != http.StatusOK {
			t.Fatalf("file %q: status %d, %v: %s", file, status, err, short(text))
		}
		for line := range strings.Lines(text) {
			var l struct {
				CustomID string `json:"custom_id"`
				Response struct {
					StatusCode int             `json:"status_code"`
					Body       json.RawMessage `json:"body"`
				} `json:"response"`
			}
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			seen[l.CustomID]++
			if l.Response.StatusCode != wantStatus {
				t.Errorf("%s: status %d in the file of %d", l.CustomID, l.Response.StatusCode, wantStatus)
			}
			if wantStatus == 200 {
				if err := checkAnswer(string(l.Response.Body), "line "+strings.TrimPrefix(l.CustomID, "c")); err != nil {
					t.Errorf("%s: %v", l.CustomID, err)
				}
			}
		}
	}
	for n := range *lines {
		if times := seen[fmt.Sprintf("c%d", n)]; times != 1 {
			t.Errorf("line %d is there %d times", n, times)
		}
	}
	if len(seen) != *lines {
		t.Errorf("%d custom ids", len(seen))
	}
}
