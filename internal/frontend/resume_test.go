package frontend

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
	"github.com/osiris/osiris/pkg/jobs/jobstest"
	"github.com/osiris/osiris/pkg/protocol"
)

// counted are the words of a long answer.
func counted(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("word-%d ", i)
	}
	return words
}

// eventsOf splits a stream, comments aside.
func eventsOf(stream string) []string {
	var events []string
	for event := range strings.SplitAfterSeq(strings.ReplaceAll(stream, protocol.KeepAlive, ""), "\n\n") {
		if event != "" {
			events = append(events, event)
		}
	}
	return events
}

// A stream that was cut is continued through another frontend, by the parameter or
// by the header, with exactly what is missing, while it runs and after its end.
func TestResume(t *testing.T) {
	jobstest.Each(t, func(t *testing.T, n *jobstest.NATS) {
		const cut, words = 200, 500
		halfway, released := make(chan struct{}), make(chan struct{})
		a := startOn(t, n, anyone(), func(ctx context.Context, at *jobs.Attempt) (jobs.Outcome, error) {
			w := protocol.NewStreamWriter(protocol.Envelope{ID: completionID(at.Job().ID), Created: at.Job().Created, Model: "echo"}, false)
			for i, word := range counted(words) {
				if i == cut+50 {
					close(halfway)
					<-released
				}
				if err := at.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{{Content: []byte(strconv.Quote(word))}}})); err != nil {
					return jobs.Outcome{}, err
				}
			}
			return jobs.Outcome{FinishReason: "stop"}, at.Chunk(w.Append(nil, &protocol.Chunk{Choices: []protocol.Choice{{FinishReason: "stop"}}}))
		})
		b := startOn(t, n, anyone(), nil)

		ctx, leave := context.WithCancel(t.Context())
		resp := a.send(ctx, http.MethodPost, completions, with(`"store":true,"stream":true`))
		in := bufio.NewReader(resp.Body)
		var head strings.Builder
		for range 3 * cut { // an event is a number, data and a blank line
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			head.WriteString(line)
		}
		leave()
		resp.Body.Close()
		<-halfway
		eventually(t, "the call ends", func() bool { return strings.Contains(a.log.String(), `"status":499`) })

		path := completions + "/" + resp.Header.Get("X-Request-Id")
		if got := b.get(path); got.Status != "in_progress" {
			t.Errorf("%+v", got)
		}
		live := b.send(t.Context(), http.MethodGet, path+"?stream=true&starting_after=200", "", "Last-Event-ID", "7")
		defer live.Body.Close()
		if live.Header.Get("X-Request-Id") != resp.Header.Get("X-Request-Id") || live.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
			t.Errorf("headers %v", live.Header)
		}
		beyond := b.send(t.Context(), http.MethodGet, path+"?stream=true&starting_after="+strconv.Itoa(words), "")
		defer beyond.Body.Close()
		close(released)
		tail, err := io.ReadAll(live.Body)
		if err != nil {
			t.Fatal(err)
		}
		whole := eventsOf(head.String() + string(tail))
		if len(whole) != words+2 || whole[words+1] != protocol.Done {
			t.Fatalf("%d events, the last is %q", len(whole), whole[len(whole)-1])
		}
		for i, word := range counted(words) {
			if !strings.HasPrefix(whole[i], fmt.Sprintf("id: %d\ndata: {", i+1)) || !strings.Contains(whole[i], strconv.Quote(word)) {
				t.Fatalf("event %d is %q", i+1, whole[i])
			}
		}
		if rest, err := io.ReadAll(beyond.Body); err != nil || strings.Join(eventsOf(string(rest)), "") != whole[words]+protocol.Done {
			t.Errorf("what came after the last word: %v %q", err, rest)
		}
		for _, r := range []*rig{a, b} {
			for _, after := range []int{0, 1, 200, words, words + 1, words + 2, 1 << 40} {
				want := strings.Join(whole[min(after, words+1):], "")
				if _, got := r.do(http.MethodGet, path+"?stream=true&starting_after="+strconv.Itoa(after), ""); string(got) != want {
					t.Errorf("after %d: %d events, want %d", after, len(eventsOf(string(got))), len(eventsOf(want)))
				}
				if _, got := r.do(http.MethodGet, path+"?stream=true", "", "Last-Event-ID", strconv.Itoa(after)); string(got) != want {
					t.Errorf("Last-Event-ID %d: %d events", after, len(eventsOf(string(got))))
				}
			}
		}
		if got := b.get(path); got.text() != strings.Join(counted(words), "") {
			t.Errorf("the completion has %d bytes", len(got.text()))
		}
	})
}

// A background stream is the same whether its client stays or leaves.
func TestBackgroundStream(t *testing.T) {
	cfg := anyone()
	cfg.HoldBack = 1
	r := start(t, cfg, nil)
	ctx, leave := context.WithCancel(t.Context())
	resp := r.send(ctx, http.MethodPost, completions, with(`"background":true,"stream":true`))
	leave()
	resp.Body.Close()
	path := completions + "/" + resp.Header.Get("X-Request-Id")
	eventually(t, "the call ends", func() bool { return strings.Contains(r.log.String(), `"status":499`) })
	if got := r.get(path); got.Status != "queued" {
		t.Errorf("%+v", got)
	}
	r.work(teller)
	_, left := r.do(http.MethodGet, path+"?stream=true", "")
	_, stayed := r.post(with(`"background":true,"stream":true`))
	for _, got := range []string{string(left), string(stayed)} {
		if events := eventsOf(got); len(events) != 4 || !strings.HasPrefix(events[2], "id: 3\n") || events[3] != protocol.Done {
			t.Errorf("%q", got)
		}
	}
}

// A frontend that shuts down leaves kept jobs alone and says where they go on.
func TestShutdownLeavesKeptJobs(t *testing.T) {
	n := jobstest.One(t)
	released := make(chan struct{})
	b := startOn(t, n, anyone(), func(_ context.Context, a *jobs.Attempt) (jobs.Outcome, error) {
		if err := a.Chunk([]byte(chunk("Hel"))); err != nil {
			return jobs.Outcome{}, err
		}
		<-released
		return jobs.Outcome{}, a.Chunk([]byte(chunk("lo") + finish))
	})
	a := startOn(t, n, anyone(), nil)
	resp := a.send(t.Context(), http.MethodPost, completions, with(`"store":true,"stream":true`))
	defer resp.Body.Close()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_ = a.Shutdown(over)
	cut, err := io.ReadAll(resp.Body)
	id := resp.Header.Get("X-Request-Id")
	if err != nil || !strings.HasPrefix(string(cut), "id: 1\n"+chunk("Hel")+`data: {"error":`) || !strings.HasSuffix(string(cut), "\n\n"+protocol.Done) ||
		!strings.Contains(string(cut), completions+"/"+id) {
		t.Errorf("%v %q", err, cut)
	}
	close(released)
	_, rest := b.do(http.MethodGet, completions+"/"+id+"?stream=true&starting_after=1", "")
	if want := "id: 2\n" + chunk("lo") + "id: 3\n" + finish + protocol.Done; strings.Join(eventsOf(string(rest)), "") != want {
		t.Errorf("%q", rest)
	}
}

// An answer that was made whole can be streamed, too: the same events for everybody.
func TestStreamOfWhole(t *testing.T) {
	r := start(t, anyone(), teller)
	resp, _ := r.post(with(`"store":true`))
	path := completions + "/" + resp.Header.Get("X-Request-Id")
	_, first := r.do(http.MethodGet, path+"?stream=true", "")
	events := eventsOf(string(first))
	if len(events) != 3 || !strings.HasPrefix(events[0], "id: 1\ndata: {") || events[2] != protocol.Done {
		t.Fatalf("%q", first)
	}
	fold := protocol.NewAccumulator(protocol.Envelope{})
	if err := fold.Add(first); err != nil {
		t.Fatal(err)
	}
	if folded, err := fold.Completion(nil); err != nil || !strings.Contains(string(folded), `"content":"Hello"`) {
		t.Errorf("%v %s", err, folded)
	}
	for after := range 5 {
		want := strings.Join(events[min(after, 2):], "")
		if _, got := r.do(http.MethodGet, path+"?stream=true&starting_after="+strconv.Itoa(after), ""); string(got) != want {
			t.Errorf("after %d: %q", after, got)
		}
	}
}

// Readers of an answer that is still to come wait for it, kept awake, and all get the
// same.
func TestReadersBeforeTheAnswer(t *testing.T) {
	for name, members := range map[string]string{"json": `"background":true`, "stream": `"background":true,"stream":true`} {
		t.Run(name, func(t *testing.T) {
			cfg := anyone()
			cfg.KeepAlive, cfg.HoldBack = 20*time.Millisecond, time.Millisecond
			r := start(t, cfg, nil)
			resp := r.send(t.Context(), http.MethodPost, completions, with(members))
			resp.Body.Close()
			path := completions + "/" + resp.Header.Get("X-Request-Id") + "?stream=true"
			var readers []*bufio.Reader
			for range 3 {
				live := r.send(t.Context(), http.MethodGet, path, "")
				defer live.Body.Close()
				in := bufio.NewReader(live.Body)
				if line, err := in.ReadString('\n'); line != protocol.KeepAlive {
					t.Fatalf("%q, %v", line, err)
				}
				readers = append(readers, in)
			}
			r.work(teller)
			after := r.until(strings.TrimSuffix(path, "?stream=true"), "completed")
			_, want := r.do(http.MethodGet, path, "")
			if after.text() != "Hello" || !strings.HasPrefix(string(want), "id: 1\n") {
				t.Errorf("%+v %q", after, want)
			}
			for _, in := range readers {
				got, err := io.ReadAll(in)
				if err != nil || strings.Join(eventsOf(string(got)), "") != string(want) {
					t.Errorf("%v: %q\nwant %q", err, got, want)
				}
			}
		})
	}
}

// Where the events are gone, who has none gets those of the result, and who has some
// is told what to do.
func TestEventsGone(t *testing.T) {
	r := start(t, anyone(), teller)
	resp, _ := r.post(with(`"store":true,"stream":true,"stream_options":{"include_usage":false}`))
	id := resp.Header.Get("X-Request-Id")
	r.until(completions+"/"+id, "completed")
	r.nats.LoseEvents(t)
	resp, body := r.do(http.MethodGet, completions+"/"+id+"?stream=true&starting_after=1", "")
	if message := wantError(t, resp, body, http.StatusGone, invalid, "events_expired"); !strings.Contains(message, "GET /v1/chat/completions/"+id) {
		t.Error(message)
	}
	_, body = r.do(http.MethodGet, completions+"/"+id+"?stream=true", "")
	if events := eventsOf(string(body)); len(events) != 3 || !strings.Contains(events[0], `"Hello"`) || events[2] != protocol.Done {
		t.Errorf("%s", body)
	}
}

// Streams need an HTTP whose end can be told from a broken connection.
func TestOldHTTPResume(t *testing.T) {
	r := start(t, anyone(), teller)
	resp, _ := r.post(with(`"store":true`))
	path := completions + "/" + resp.Header.Get("X-Request-Id") + "?stream=true"
	old, body := readResponse(t, r.raw("GET "+path+" HTTP/1.0\r\nHost: x\r\n\r\n"))
	wantError(t, old, body, http.StatusHTTPVersionNotSupported, invalid, "")
	head, none := r.do(http.MethodHead, path, "")
	if head.StatusCode != http.StatusOK || len(none) > 0 {
		t.Errorf("HEAD: %d %q", head.StatusCode, none)
	}
}
