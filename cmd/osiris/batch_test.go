package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/service"
)

// requests are n lines of a batch; more is added to each body.
func requests(n int, more string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"r%d","method":"POST","url":"/v1/chat/completions","body":{"model":"echo","messages":[{"role":"user","content":"Hello %d"}]%s}}`+"\n", i, i, more)
	}
	return b.String()
}

// writeFile returns the path of a new file.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// answers reads a file of results: what was said, by custom_id.
func answers(t *testing.T, text string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(text) {
		var l struct {
			CustomID string `json:"custom_id"`
			Response struct {
				Body struct {
					Choices []struct{ Message struct{ Content string } }
					Error   struct{ Message string }
				}
			}
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if _, twice := all[l.CustomID]; twice {
			t.Errorf("%s is there twice", l.CustomID)
		}
		all[l.CustomID] = l.Response.Body.Error.Message
		if len(l.Response.Body.Choices) > 0 {
			all[l.CustomID] = l.Response.Body.Choices[0].Message.Content
		}
	}
	return all
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var batchPattern = regexp.MustCompile(`batch_[0-9a-f]{32}`)

// A file of requests becomes a file of answers, also over connections that break.
func TestBatchSubmit(t *testing.T) {
	r := startRig(t)
	c := startCutter(t, r.url, 200, 4)
	file := writeFile(t, "questions.jsonl", requests(50, ""))
	got := r.command(t, c.url(), "", "batch", "submit", "--wait", "--metadata", "for=test, and more", file)
	id := strings.TrimSpace(got.stdout)
	if got.code != 0 || batchPattern.FindString(id) != id || !strings.Contains(got.stderr, "50 of 50 requests answered") {
		t.Fatalf("%+v", got)
	}
	if n := c.cuts.Load(); n != 4 {
		t.Errorf("cut %d times", n)
	}
	base := strings.TrimSuffix(file, ".jsonl")
	said := answers(t, readFile(t, base+".output.jsonl"))
	for i := range 50 {
		if got := said[fmt.Sprint("r", i)]; got != fmt.Sprint("Hello ", i) {
			t.Errorf("line %d: %q", i+1, got)
		}
	}
	left, err := filepath.Glob(base + "*")
	if err != nil || len(left) != 2 {
		t.Errorf("files: %v, %v", left, err)
	}
	get := r.command(t, r.url, "", "batch", "get", id)
	for _, want := range []string{"completed", "50: 50 answered, 0 failed", "for=test, and more", "tokens"} {
		if !strings.Contains(get.stdout, want) {
			t.Errorf("get lacks %q: %+v", want, get)
		}
	}
	list := r.command(t, r.url, "", "batch", "list")
	if lines := strings.Split(strings.TrimSpace(list.stdout), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], id+"  completed  echo") {
		t.Errorf("%+v", list)
	}
	if got := r.command(t, r.url, "", "batch", "cancel", id); got.code != 1 || !strings.Contains(got.stderr, "Cannot cancel a batch with status 'completed'") {
		t.Errorf("%+v", got)
	}
	again := r.command(t, r.url, "", "batch", "results", "-o", "-", id)
	if again.code != 0 || len(answers(t, again.stdout)) != 50 {
		t.Errorf("%+v", again)
	}
	if got := r.command(t, r.url, "", "batch", "get", "batch_"+strings.Repeat("0", 32)); got.code != 1 || !strings.Contains(got.stderr, "No batch found") {
		t.Errorf("%+v", got)
	}
}

// Lines that fail are told by the exit code, and go to a file of their own.
func TestBatchWithFailedLines(t *testing.T) {
	r := startRig(t)
	file := writeFile(t, "q.jsonl", requests(2, "")+strings.Replace(requests(1, `,"metadata":{"echo_error":"400"}`), "r0", "bad", 1))
	output := filepath.Join(t.TempDir(), "o.jsonl")
	got := r.command(t, r.url, "", "batch", "submit", "-w", "-o", output, file)
	if got.code != exitUnanswered || !strings.Contains(got.stderr, "1 request has no answer") {
		t.Errorf("%+v", got)
	}
	if said := answers(t, readFile(t, output)); len(said) != 2 {
		t.Errorf("%v", said)
	}
	errors := strings.TrimSuffix(output, ".jsonl") + ".errors.jsonl"
	if said := answers(t, readFile(t, errors)); len(said) != 1 || said["bad"] == "" {
		t.Errorf("%v", said)
	}
	got = r.command(t, r.url, "", "batch", "submit", "-w", "-o", output, writeFile(t, "good.jsonl", requests(1, "")))
	if got.code != 0 || !strings.Contains(got.stderr, errors+" is of an earlier batch: this one has no errors") {
		t.Errorf("%+v", got)
	}
}

// Prompts of tables and texts become requests.
func TestBatchOfPrompts(t *testing.T) {
	r := startRig(t)
	table := writeFile(t, "t.csv", "\ufefftext,to,custom_id\nHund,English,a\n\"Kat\nze, ja\",Polish,\n")
	got := r.command(t, r.url, "", "batch", "submit", "-w", "-o", "-", "-m", "echo", "-t", "{text} in {to}", "-s", "You speak {to}.", "--option", "max_tokens=50", table)
	if said := answers(t, got.stdout); got.code != 0 || said["a"] != "Hund in English" || said["line-3"] != "Kat\nze, ja in Polish" {
		t.Errorf("%+v", got)
	}
	text := writeFile(t, "p.txt", "one\r\n\n  \ntwo {x}")
	got = r.command(t, r.url, "", "batch", "submit", "-w", "-o", "-", "-m", "echo", text)
	if said := answers(t, got.stdout); got.code != 0 || said["line-1"] != "one" || said["line-4"] != "two {x}" {
		t.Errorf("%+v", got)
	}
	lines := writeFile(t, "l.jsonl", strings.ReplaceAll(requests(2, ""), `"model":"echo"`, `"model":"gpt"`))
	got = r.command(t, r.url, "", "batch", "submit", "-w", "-o", "-", "-m", "echo?text=Hi", lines)
	if said := answers(t, got.stdout); got.code != 0 || said["r0"] != "Hi" {
		t.Errorf("%+v", got)
	}
}

// Faults are found before anything is sent, all of them, with their lines.
func TestBatchFaults(t *testing.T) {
	nobody := []string{"OSIRIS_BASE_URL=http://127.0.0.1:1/v1"}
	bad := "\ufeff" + requests(1, "") + "\nnot JSON\n" + requests(1, "") + strings.Replace(requests(1, `,"stream":true`), "r0", "s", 1) +
		`{"custom_id":"t","method":"GET","url":"/v1/embeddings","body":{}}` + "\n"
	for _, c := range []struct {
		name, file string
		args       []string
		code       int
		stderr     []string
	}{
		{"bad.jsonl", bad, nil, 2, []string{
			"bad.jsonl:3: invalid_json_line", "bad.jsonl:4: duplicate_custom_id", "bad.jsonl:5: streaming_unsupported", "bad.jsonl:6: invalid_method", "nothing was sent: 4 faults",
		}},
		{"empty.jsonl", "", nil, 2, []string{"empty_file"}},
		{"blank.jsonl", " \n\n", nil, 2, []string{"empty_file"}},
		{"two.jsonl", requests(1, "") + strings.Replace(strings.Replace(requests(1, ""), "r0", "r1", 1), `"echo"`, `"other"`, 1), nil, 2, []string{"two.jsonl:2: mismatched_model"}},
		{"t.csv", "prompt\nx\n", nil, 2, []string{"--model"}},
		{"t.csv", "text\nx\n", []string{"-m", "echo"}, 2, []string{"no column prompt", "{text}"}},
		{"t.csv", "text\nx\n", []string{"-m", "echo", "-t", "{txt}"}, 2, []string{`no column "txt"`, "text"}},
		{"t.csv", "a,b\n1\n", []string{"-m", "echo", "-t", "{a}"}, 2, []string{"line 2", "fields"}},
		{"t.csv", "", []string{"-m", "echo"}, 2, []string{"empty"}},
		{"t.csv", "prompt\n\" \"\n", []string{"-m", "echo"}, 2, []string{"line 2: the prompt is empty"}},
		{"t.txt", "\xff\n", []string{"-m", "echo"}, 2, []string{"line 1", "UTF-8"}},
		{"l.jsonl", requests(1, ""), []string{"-t", "x"}, 2, []string{"--template"}},
	} {
		t.Run(strings.Join(append(c.args, c.name), " "), func(t *testing.T) {
			got := runCommand(t, nobody, "", append([]string{"batch", "submit", writeFile(t, c.name, c.file)}, c.args...)...)
			if got.code != c.code || got.stdout != "" {
				t.Errorf("%+v", got)
			}
			for _, want := range c.stderr {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, got.stderr)
				}
			}
		})
	}
	if got := runCommand(t, nobody, "", "batch", "submit", "nothing.jsonl"); got.code != 1 || !strings.Contains(got.stderr, "nothing.jsonl") {
		t.Errorf("%+v", got)
	}
}

// interruptedWait holds that whoever stops waiting is told how to go on.
func (r *upRig) interruptedWait(t *testing.T, id string) {
	t.Helper()
	ctx, interrupt := context.WithCancelCause(t.Context())
	stderr, ended := newOutput(), make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"batch", "results", "-w", id}, service.IO{
			Environ: []string{"OSIRIS_BASE_URL=" + r.url, "OSIRIS_API_KEY=" + r.key}, Stdout: io.Discard, Stderr: stderr,
		})
	}()
	stderr.await(t, "is in_progress")
	interrupt(service.ErrSignal)
	if code := <-ended; code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	stderr.await(t, "the batch goes on; osiris batch results --wait "+id)
}

// What only the server knows fails the batch, with lines too; the same key is the
// same batch; a batch that runs has no results yet.
func TestBatchOnTheServer(t *testing.T) {
	r := startRig(t)
	file := writeFile(t, "q.jsonl", strings.ReplaceAll(requests(2, ""), `"model":"echo"`, `"model":"nobody"`))
	got := r.command(t, r.url, "", "batch", "submit", "-w", file)
	if got.code != 2 || strings.Count(got.stderr, "q.jsonl:1: model_not_found") != 1 || !strings.Contains(got.stderr, "nothing was sent") {
		t.Errorf("%+v", got)
	}
	// Long enough to be watched and cancelled, and no longer: what runs is waited for.
	slow := writeFile(t, "slow.jsonl", requests(3, `,"metadata":{"echo_first":"3s"}`))
	first := r.command(t, r.url, "", "batch", "submit", "--idempotency-key", "k", slow)
	second := r.command(t, r.url, "", "batch", "submit", "--idempotency-key", "k", slow)
	if first.code != 0 || first.stdout != second.stdout || !strings.Contains(first.stderr, "osiris batch results --wait") {
		t.Errorf("%+v, %+v", first, second)
	}
	id := strings.TrimSpace(first.stdout)
	if got := r.command(t, r.url, "", "batch", "results", id); got.code != 1 || !strings.Contains(got.stderr, "--wait") {
		t.Errorf("%+v", got)
	}
	r.interruptedWait(t, id)
	if got := r.command(t, r.url, "", "batch", "cancel", id); got.code != 0 || !strings.Contains(got.stdout, "cancel") {
		t.Errorf("%+v", got)
	}
	output := filepath.Join(t.TempDir(), "o.jsonl")
	got = r.command(t, r.url, "", "batch", "results", "-w", "-o", output, id)
	if got.code != exitUnanswered || !strings.Contains(got.stderr, "the batch is cancelled") {
		t.Errorf("%+v", got)
	}
}
