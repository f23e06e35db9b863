package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/pkg/protocol"
)

// faultsOf submits a file as it is, without looking at it first, and returns what the
// server says of it, as the command line writes it.
func (r *upRig) faultsOf(t *testing.T, text string) string {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: r.url, Key: r.key, Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := c.Upload(ctx, client.Upload{
		Name: "f.jsonl", Purpose: "batch", Size: int64(len(text)), Key: newKey(),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.CreateBatch(ctx, client.NewBatch{InputFileID: f.ID, Endpoint: protocol.ChatEndpoint, Window: "24h"}, newKey())
	for err == nil && b.Status != "failed" {
		if b.Status != "validating" {
			t.Fatalf("the batch is %s", b.Status)
		}
		b, err = c.Batch(ctx, b.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, e := range b.Errors.Data {
		fmt.Fprintln(&out, faultText("f.jsonl:", e.Line, e.Code, e.Message))
	}
	return out.String()
}

// What is said of a faulty file before it is sent is what the server would say of it:
// code, line and message of every row.
func TestBatchFaultsAreTheServers(t *testing.T) {
	r := startRig(t)
	good := requests(1, "")
	line := func(old, with string) string {
		return strings.Replace(strings.Replace(good, "r0", "x", 1), old, with, 1)
	}
	for name, text := range map[string]string{
		"no JSON":                      "not JSON",
		"cut":                          `{"custom_id":"x",`,
		"an array":                     "[1]",
		"not UTF-8":                    line("Hello", "H\xff"),
		"a member twice":               line(`{"custom_id"`, `{"custom_id":"y","custom_id"`),
		"no custom_id":                 line(`"custom_id":"x",`, ""),
		"custom_id a number":           line(`"x"`, "7"),
		"custom_id again":              good,
		"no method":                    line(`"method":"POST",`, ""),
		"method GET":                   line("POST", "GET"),
		"no URL":                       line(`"url":"/v1/chat/completions",`, ""),
		"another URL":                  line("/v1/chat/completions", "/v1/embeddings"),
		"body a string":                `{"custom_id":"x","method":"POST","url":"/v1/chat/completions","body":"x"}`,
		"no body":                      `{"custom_id":"x","method":"POST","url":"/v1/chat/completions"}`,
		"no model":                     line(`"model":"echo",`, ""),
		"no messages":                  line(`"messages"`, `"massages"`),
		"stream":                       line(`"model"`, `"stream":true,"model"`),
		"another model":                line(`"echo"`, `"echo?delay=1ms"`),
		"unknown model":                line(`"echo"`, `"nobody"`),
		"unknown model with a slash":   line(`"echo"`, `"no/body?x=y#z"`),
		"unknown model of a long name": line(`"echo"`, `"`+strings.Repeat("x", 600)+`"`),
		"blank lines":                  "\r\n \n\nnot JSON",
		"everything":                   "\n" + line("POST", "GET") + line(`"echo"`, `"nobody"`) + line(`"echo"`, `"echo?delay=1ms"`) + good + "{",
	} {
		t.Run(name, func(t *testing.T) {
			text := good + text
			want := r.faultsOf(t, text)
			file := writeFile(t, "f.jsonl", text)
			got := r.command(t, r.url, "", "batch", "submit", file)
			told, _, _ := strings.Cut(got.stderr, "osiris: nothing was sent")
			if told = strings.ReplaceAll(told, filepath.Dir(file)+"/", ""); told != want || got.code != exitUsage || want == "" {
				t.Errorf("here: %d\n%s\nthere:\n%s", got.code, got.stderr, want)
			}
		})
	}
	t.Run("blank file", func(t *testing.T) {
		if here, there := r.command(t, r.url, " \n\n", "batch", "submit", "-"), r.faultsOf(t, " \n\n"); !strings.Contains(here.stderr, "standard input: "+there) || there == "" {
			t.Errorf("%+v, %q", here, there)
		}
	})
	t.Run("too many", func(t *testing.T) {
		text := strings.Repeat("{}\n", protocol.MaxBatchRequests+1)
		if here, there := r.command(t, r.url, text, "batch", "submit", "-"), r.faultsOf(t, text); !strings.Contains(here.stderr, "standard input: "+there) || there == "" {
			t.Errorf("%+v, %q", here, there)
		}
	})
}

// Standard input is a file like another, of whatever format, and may be read once.
func TestBatchFromStandardInput(t *testing.T) {
	r := startRig(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for name, c := range map[string]struct {
		stdin string
		args  []string
		want  map[string]string
	}{
		"requests":      {requests(2, ""), nil, map[string]string{"r0": "Hello 0", "r1": "Hello 1"}},
		"another model": {strings.ReplaceAll(requests(1, ""), `"echo"`, `"gpt"`), []string{"-m", "echo?text=Hi"}, map[string]string{"r0": "Hi"}},
		"table":         {"text,custom_id\nHund,a\n", []string{"--format", "csv", "-m", "echo", "-t", "{text}?"}, map[string]string{"a": "Hund?"}},
		"prompts":       {"one\n\ntwo\n", []string{"--format=txt", "-m", "echo"}, map[string]string{"line-1": "one", "line-3": "two"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.command(t, r.url, c.stdin, append([]string{"batch", "submit", "-", "-w", "-o", "-"}, c.args...)...)
			if said := answers(t, got.stdout); got.code != 0 || fmt.Sprint(said) != fmt.Sprint(c.want) {
				t.Errorf("%v: %+v", said, got)
			}
		})
	}
	t.Chdir(t.TempDir())
	got := r.command(t, r.url, requests(1, ""), "batch", "submit", "-", "-w")
	if id := strings.TrimSpace(got.stdout); got.code != 0 || len(answers(t, readFile(t, id+".output.jsonl"))) != 1 {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct {
		stdin, want string
		args        []string
	}{
		{"not JSON\n", "standard input:1: invalid_json_line", nil},
		{"", "standard input: empty_file", nil},
		{"one\n", "--model", []string{"--format", "txt"}},
		{"one\n", "--format", []string{"--system", "x"}},
	} {
		if got := r.command(t, r.url, c.stdin, append([]string{"batch", "submit", "-"}, c.args...)...); got.code != exitUsage || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%q: %+v", c.stdin, got)
		}
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "osiris-batch-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
