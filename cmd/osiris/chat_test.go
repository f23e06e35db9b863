package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osiris/osiris/internal/service"
	"github.com/osiris/osiris/pkg/protocol"
)

// up is osiris up, and how commands reach it.
type upRig struct {
	*program
	url, key, dir string
}

func startRig(t *testing.T) *upRig {
	t.Helper()
	dir := t.TempDir()
	p := startUp(t, nil, "--data-dir", dir)
	out := p.stdout.await(t, `"Hello!"`)
	r := &upRig{program: p, url: regexp.MustCompile(`http://\S+/v1`).FindString(out), key: keyPattern.FindString(out), dir: dir}
	t.Cleanup(func() { r.stop(t) })
	return r
}

// told is what a command wrote, and its exit code.
type told struct {
	code           int
	stdout, stderr string
}

// command runs osiris with input, against the server at url.
func (r *upRig) command(t *testing.T, url, stdin string, args ...string) told {
	t.Helper()
	return runCommand(t, []string{"OSIRIS_BASE_URL=" + url, "OSIRIS_API_KEY=" + r.key}, stdin, args...)
}

func runCommand(t *testing.T, environ []string, stdin string, args ...string) told {
	t.Helper()
	stdout, stderr := newOutput(), newOutput()
	code := run(t.Context(), args, service.IO{Environ: environ, Stdin: strings.NewReader(stdin), Stdout: stdout, Stderr: stderr})
	return told{code, stdout.String(), stderr.String()}
}

func TestChat(t *testing.T) {
	r := startRig(t)
	for _, c := range []struct {
		name, stdin string
		args        []string
		code        int
		stdout      string
		stderr      []string
	}{
		{name: "argument", args: []string{"Hello,", "world!", "-m", "echo"}, stdout: "Hello, world!\n"},
		{name: "input", stdin: "Hello!\n", args: []string{"--model", "echo"}, stdout: "Hello!\n"},
		{name: "whole", args: []string{"--no-stream", "--model=echo", "Hello!"}, stdout: "Hello!\n"},
		{name: "not kept", args: []string{"--no-store", "--model=echo", "Hello!"}, stdout: "Hello!\n"},
		{name: "options", args: []string{"--model=echo", "-o", "max_tokens=2", "one two three"}, stdout: "one two\n"},
		{name: "conversation", stdin: "one\n\ntwo\n/new\nthree", args: []string{"-i", "-m", "echo", "-s", "Be brief."}, stdout: "one\ntwo\nthree\n", stderr: []string{"> ", "Ctrl-D"}},
		{name: "no prompt", args: []string{"--model=echo"}, code: 2, stderr: []string{"the prompt is empty"}},
		{name: "no model", args: []string{"Hello!"}, code: 2, stderr: []string{"--model", "echo"}},
		{name: "unknown model", args: []string{"-m", "nobody", "Hello!"}, code: 1, stderr: []string{"nobody", "--model"}},
		{name: "wrong key", args: []string{"-m", "echo", "--api-key", "sk-osiris-wrong", "Hello!"}, code: 1, stderr: []string{"API key", "OSIRIS_API_KEY"}},
		{name: "nobody there", args: []string{"-m", "echo", "--base-url", "http://127.0.0.1:1/v1", "Hello!"}, code: 1, stderr: []string{"nobody answers at http://127.0.0.1:1/v1", "osiris up"}},
		{name: "no URL", args: []string{"-m", "echo", "--base-url", "here", "Hello!"}, code: 2, stderr: []string{"base URL"}},
		{name: "failed", args: []string{"-m", "echo?error=400", "Hello!"}, code: 1, stderr: []string{"osiris: "}},
		{name: "failed inside", args: []string{"-m", "echo?error=500&after=1", "Hello, world!"}, code: 1, stdout: "Hello\n", stderr: []string{"osiris: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := r.command(t, r.url, c.stdin, append([]string{"chat"}, c.args...)...)
			if got.code != c.code || got.stdout != c.stdout {
				t.Errorf("%+v, want %d %q", got, c.code, c.stdout)
			}
			for _, want := range c.stderr {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr lacks %q: %s", want, got.stderr)
				}
			}
		})
	}
}

// cutter is a proxy that breaks its first connections, each after so many bytes of
// answers.
type cutter struct {
	ln   net.Listener
	cuts atomic.Int32
	wg   sync.WaitGroup
}

func startCutter(t *testing.T, target string, after int64, times int32) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln}
	target = strings.TrimSuffix(strings.TrimPrefix(target, "http://"), "/v1")
	c.wg.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(in, target, after, times) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) pass(in net.Conn, target string, after int64, times int32) {
	defer in.Close()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer out.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(out, in)
		out.Close()
	})
	answer := io.Reader(out)
	if c.cuts.Load() < times {
		answer = io.LimitReader(out, after)
	}
	if n, _ := io.Copy(in, answer); n == after {
		c.cuts.Add(1)
	}
	in.Close()
	wg.Wait()
}

func (c *cutter) url() string { return "http://" + c.ln.Addr().String() + "/v1" }

// A connection that breaks in the middle of an answer, three times, costs nothing.
func TestChatIsTakenUpAgain(t *testing.T) {
	r := startRig(t)
	var words []string
	for i := range 300 {
		words = append(words, fmt.Sprint("word", i))
	}
	prompt := strings.Join(words, " ")
	c := startCutter(t, r.url, 15_000, 3)
	got := r.command(t, c.url(), prompt, "chat", "-m", "echo?delay=1ms")
	if got.code != 0 || got.stdout != prompt+"\n" {
		t.Errorf("%+v", got)
	}
	if n := c.cuts.Load(); n != 3 {
		t.Errorf("cut %d times", n)
	}
}

// Whoever interrupts a chat cancels its job, which the server keeps, also if it has not
// said a word yet.
func TestChatInterrupted(t *testing.T) {
	for name, model := range map[string]string{"in the middle": "echo?delay=100ms&tokens=600", "before the first word": "echo?first=1h"} {
		t.Run(name, func(t *testing.T) {
			r := startRig(t)
			ctx, interrupt := context.WithCancelCause(t.Context())
			stdout, stderr, ended := newOutput(), newOutput(), make(chan int, 1)
			go func() {
				ended <- run(ctx, []string{"chat", "-m", model, "one two"}, service.IO{
					Environ: []string{"OSIRIS_BASE_URL=" + r.url, "OSIRIS_API_KEY=" + r.key}, Stdout: stdout, Stderr: stderr,
				})
			}()
			if name == "in the middle" {
				stdout.await(t, "one")
			}
			r.awaitJob(t, "running")
			interrupt(service.ErrSignal)
			if code := <-ended; code != exitInterrupted || strings.Contains(stderr.String(), "could not") {
				t.Errorf("exit code %d, %s", code, stderr)
			}
			r.awaitJob(t, "cancelled")
		})
	}
}

// awaitJob waits until the only job is in that state.
func (r *upRig) awaitJob(t *testing.T, state string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		list := runCommand(t, nil, "", "jobs", "list", "--json", "--data-dir", r.dir)
		var all []struct{ ID, State string }
		if err := json.Unmarshal([]byte(list.stdout), &all); err == nil && len(all) == 1 && all[0].State == state {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no job is %s: %+v", state, list)
		}
	}
}

// foreign is a server that knows nothing but plain chat completions.
func foreign(t *testing.T, answer func(w http.ResponseWriter, request map[string]any)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request map[string]any
		if r.URL.Path != "/v1/chat/completions" || r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Error(err)
		}
		answer(w, request)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

func say(w http.ResponseWriter, words ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, word := range words {
		fmt.Fprintf(w, "data: {\"id\":\"cmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", word)
	}
}

// A server that keeps nothing is asked without that, and works as far as it can.
func TestChatElsewhere(t *testing.T) {
	plain := foreign(t, func(w http.ResponseWriter, request map[string]any) {
		if request["store"] != nil {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":{"message":"Unrecognized request argument supplied: store","type":"invalid_request_error","param":null,"code":null}}`)
			return
		}
		say(w, "Hi", " there")
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	if got := runCommand(t, []string{"OPENAI_BASE_URL=" + plain, "OPENAI_API_KEY=k"}, "", "chat", "-m", "x", "Hello!"); got.code != 0 || got.stdout != "Hi there\n" {
		t.Errorf("%+v", got)
	}
	broken := foreign(t, func(w http.ResponseWriter, _ map[string]any) { say(w, "Hi") })
	if got := runCommand(t, nil, "", "chat", "-m", "x", "--base-url", broken, "Hello!"); got.code != 1 || got.stdout != "Hi\n" || !strings.Contains(got.stderr, "cannot be taken up again") {
		t.Errorf("%+v", got)
	}
	var turns atomic.Int32
	talk := foreign(t, func(w http.ResponseWriter, request map[string]any) {
		turns.Store(int32(len(request["messages"].([]any))))
		say(w, "Yes.")
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	runCommand(t, nil, "one\ntwo\n", "chat", "-i", "-m", "x", "--base-url", talk)
	if n := turns.Load(); n != 3 {
		t.Errorf("the second question came with %d messages, want 3", n)
	}
}

func TestMayStillCome(t *testing.T) {
	broken := errors.New("connection reset")
	if err := mayStillCome(broken, "U"); !errors.Is(err, broken) || !strings.HasSuffix(err.Error(), "GET U") {
		t.Errorf("got %v", err)
	}
	lost := protocol.ErrWorkerLost()
	told, ok := errors.AsType[*protocol.Error](mayStillCome(lost, "U"))
	if !ok || told == lost || told.Status != lost.Status || !strings.HasSuffix(told.Message, "GET U") {
		t.Errorf("got %+v", told)
	}
}
