package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// heard is what a listener was told.
type heard struct {
	text       strings.Builder // of the answer that counts
	lost, anew int
}

func (h *heard) listener() Listener {
	return Listener{
		Say:  func(text string) error { h.text.WriteString(text); return nil },
		Lost: func(error) { h.lost++ },
		Anew: func() error { h.anew++; h.text.Reset(); return nil },
	}
}

// keptServer plays a server that keeps a job: one script for each time it is asked for
// its stream, the last one for all that follow.
type keptServer struct {
	t       *testing.T
	status  string   // of the job, when it is asked for
	answer  string   // of the job as one completion; "" for none
	scripts []string // of events, "~" cuts the connection; a number refuses with that status
	cancel  string   // a status that refuses it, "~" cuts the connection; "" cancels
	posts   int
	cancels atomic.Int32
	queries []string // of the other requests for the stream
}

func (k *keptServer) serve(w http.ResponseWriter, r *http.Request) {
	const id = "chatcmpl-1"
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/v1/chat/completions":
		k.posts++
	case r.Method == http.MethodPost && r.URL.Path == "/v1/chat/completions/"+id+"/cancel":
		k.cancels.Add(1)
		switch status, err := strconv.Atoi(k.cancel); {
		case k.cancel == "~":
			cut()
		case err == nil:
			w.WriteHeader(status)
		}
		return
	case r.Method == http.MethodGet && r.URL.Path == "/v1/chat/completions/"+id && r.URL.Query().Get("stream") == "":
		choices := "[]"
		if k.answer != "" {
			choices = fmt.Sprintf(`[{"index":0,"message":{"content":%q}}]`, k.answer)
		}
		fmt.Fprintf(w, `{"id":%q,"status":%q,"choices":%s}`, id, k.status, choices)
		return
	case r.Method == http.MethodGet && r.URL.Path == "/v1/chat/completions/"+id:
		k.queries = append(k.queries, r.URL.RawQuery)
	default:
		k.t.Errorf("%s %s", r.Method, r.URL)
	}
	script := k.scripts[0]
	if len(k.scripts) > 1 {
		k.scripts = k.scripts[1:]
	}
	if status, err := strconv.Atoi(script); err == nil {
		w.WriteHeader(status)
		fmt.Fprint(w, `{"error":{"message":"refused"}}`)
		return
	}
	w.Header().Set("X-Request-Id", id)
	w.Header().Set("Content-Type", "text/event-stream")
	body, broken := strings.CutSuffix(script, "~")
	fmt.Fprint(w, body)
	if err := http.NewResponseController(w).Flush(); err != nil {
		k.t.Error(err)
	}
	if broken {
		cut()
	}
}

// events are some of a kept stream, numbered from one on.
func events(from int, words ...string) string {
	var b strings.Builder
	for i, word := range words {
		fmt.Fprintf(&b, "id: %d\ndata: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", from+i, word)
	}
	return b.String()
}

const (
	done    = "data: [DONE]\n\n"
	failed  = `data: {"error":{"message":"No more.","type":"server_error","param":null,"code":null}}` + "\n\n" + done
	attempt = 1<<20 + 1 // the number of the first event of a second attempt
)

// However a kept stream ends early, its text is said once and whole.
func TestAskIsTakenUpAgain(t *testing.T) {
	for name, c := range map[string]struct {
		scripts []string
		status  string // in_progress unless set
		answer  string
		want    string
		queries string
		fault   string
		lost    int
		anew    int
		posts   int // 1 unless set
	}{
		"cut":                                    {scripts: []string{events(1, "a", "b") + "~", events(3, "c") + done}, want: "abc", queries: "starting_after=2&stream=true"},
		"cut between events":                     {scripts: []string{events(1, "a") + "id: 2\nda~", events(2, "b", "c") + done}, want: "abc", queries: "starting_after=1&stream=true"},
		"ended without [DONE]":                   {scripts: []string{events(1, "a"), events(2, "b", "c") + done}, want: "abc", queries: "starting_after=1&stream=true"},
		"cut before text":                        {scripts: []string{"~", events(1, "a") + done}, want: "a", queries: "stream=true"},
		"cut again and again":                    {scripts: []string{events(1, "a") + "~", "503", "~", events(2, "b") + "~", "502", events(3, "c") + done}, want: "abc"},
		"cut behind the text":                    {scripts: []string{events(1, "a", "b", "c") + "~", done}, want: "abc"},
		"refused at first":                       {scripts: []string{"503", events(1, "a") + done}, want: "a", posts: 2},
		"frontend stops":                         {scripts: []string{events(1, "a", "b") + failed, events(1, "a", "b", "c") + done}, want: "abc", queries: "stream=true", lost: 1},
		"worker lost, same text":                 {scripts: []string{events(1, "a", "b") + failed, events(1, "a", "b") + failed, events(attempt, "a", "b", "c") + done}, want: "abc", lost: 1},
		"worker lost, same text in other pieces": {scripts: []string{events(1, "Hello, ", "wor") + failed, events(attempt, "Hel", "lo, world", "!") + done}, want: "Hello, world!", lost: 1},
		"worker lost, other text":                {scripts: []string{events(1, "a", "b") + failed, events(attempt, "a", "x", "y") + done}, want: "axy", lost: 1, anew: 1},
		"worker lost, shorter text":              {scripts: []string{events(1, "a", "b") + failed, events(attempt, "a") + done}, want: "a", lost: 1, anew: 1},
		"worker lost twice":                      {scripts: []string{events(1, "a", "b") + failed, events(attempt, "x") + failed, events(2<<20+1, "x", "z") + done}, want: "xz", lost: 2, anew: 1},
		"cut while it comes again":               {scripts: []string{events(1, "a", "b") + failed, events(attempt, "a") + "~", events(attempt+1, "b", "c") + done}, want: "abc", lost: 1},
		"job failed":                             {scripts: []string{events(1, "a") + failed}, status: "failed", want: "a", fault: "No more."},
		"job cancelled":                          {scripts: []string{events(1, "a") + failed}, status: "cancelled", want: "a", fault: "No more."},
		"events gone":                            {scripts: []string{events(1, "a", "b") + "~", "410", events(1, "ab", "c") + done}, status: "completed", want: "abc"},
		"events gone from the beginning":         {scripts: []string{events(1, "a", "b") + "~", "410"}, status: "completed", answer: "abc", want: "abc"},
		"stream fails, answer is there":          {scripts: []string{events(1, "a", "b") + failed, failed}, status: "completed", answer: "abc", want: "abc", lost: 1},
		"deleted":                                {scripts: []string{events(1, "a") + "~", "404"}, want: "a", fault: "cannot be taken up again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &keptServer{t: t, status: c.status, answer: c.answer, scripts: c.scripts}
			if k.status == "" {
				k.status = "in_progress"
			}
			client, _ := against(t, Config{}, k.serve)
			var h heard
			answer, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true, Key: "k"}, h.listener())
			if h.text.String() != c.want || answer.Text != c.want || h.lost != c.lost || h.anew != c.anew {
				t.Errorf("said %q, answer %q, lost %d times, anew %d times", &h.text, answer.Text, h.lost, h.anew)
			}
			if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) || answer.Pending {
				t.Errorf("%v, %+v", err, answer)
			}
			if c.queries != "" && strings.Join(k.queries, " ") != c.queries {
				t.Errorf("asked for %q, want %q", k.queries, c.queries)
			}
			if want := max(c.posts, 1); k.posts != want {
				t.Errorf("posted %d times, want %d", k.posts, want)
			}
		})
	}
}

// A connection may break after any byte.
func TestAskIsCutAnywhere(t *testing.T) {
	whole := events(1, "Hel", "lo, ", "wörld", "!")
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := range len(whole) + len(done) {
		script := (whole + done)[:n]
		seen := strings.Count(script, "\n\n") // whole events
		k := &keptServer{t: t, status: "in_progress", scripts: []string{script + "~", events(seen+1, []string{"Hel", "lo, ", "wörld", "!"}[min(seen, 4):]...) + done}}
		client, _ := against(t, Config{}, k.serve)
		wg.Go(func() {
			var h heard
			_, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true, Key: "k"}, h.listener())
			if err != nil || h.text.String() != "Hello, wörld!" || h.anew+h.lost > 0 {
				t.Errorf("cut after %d bytes: %q, %v, %d, %d", n, &h.text, err, h.anew, h.lost)
			}
		})
	}
}

// A stream that can be taken up again and falls silent is taken up again; one that
// cannot is waited for.
func TestAskInSilence(t *testing.T) {
	for name, numbered := range map[string]bool{"numbered": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			client, calls := against(t, Config{Idle: 100 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				if r.Method == http.MethodPost {
					if numbered {
						fmt.Fprint(w, "id: 1\n")
					}
					fmt.Fprint(w, `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Hel"}}]}`+"\n\n")
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Error(err)
					}
					select {
					case <-r.Context().Done():
						return
					case <-goOn:
					}
				}
				fmt.Fprint(w, `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"lo"}}]}`+"\n\ndata: [DONE]\n\n")
			})
			if !numbered {
				time.AfterFunc(400*time.Millisecond, func() { close(goOn) })
			}
			answer, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true, Key: "k"}, new(heard).listener())
			if want := map[bool]int32{true: 2, false: 1}[numbered]; err != nil || answer.Text != "Hello" || calls.Load() != want {
				t.Errorf("%+v, %v after %d calls", answer, err, calls.Load())
			}
		})
	}
}

// Whoever gives up on a server that is gone learns that the answer may still come.
func TestAskGivesUp(t *testing.T) {
	k := &keptServer{t: t, status: "in_progress", scripts: []string{events(1, "a") + "~", "~"}}
	client, _ := against(t, Config{Patience: 300 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			cut()
		}
		k.serve(w, r)
	})
	answer, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true, Key: "k"}, new(heard).listener())
	if _, broken := errors.AsType[*brokenError](err); !broken || !answer.Pending || answer.ID != "chatcmpl-1" || answer.Text != "a" {
		t.Errorf("%v, %+v", err, answer)
	}
}

// A listener that cannot write ends the asking, and the job.
func TestAskWithoutAListener(t *testing.T) {
	k := &keptServer{t: t, scripts: []string{events(1, "a") + done}}
	client, calls := against(t, Config{}, k.serve)
	full := errors.New("disk full")
	answer, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true}, Listener{Say: func(string) error { return full }})
	if !errors.Is(err, full) || calls.Load() != 2 || k.cancels.Load() != 1 || answer.Pending {
		t.Errorf("%v after %d calls, %d of them cancel: %+v", err, calls.Load(), k.cancels.Load(), answer)
	}
}

// Whoever stops asking cancels the job, also if it has no name yet, and learns whether
// that worked.
func TestAskStops(t *testing.T) {
	for name, c := range map[string]struct {
		script, status string // of the stream, and of the attempt to cancel it
		late           bool   // stopped before the server says anything
		cancels        int32
		pending        bool
	}{
		"in the middle":     {script: events(1, "a"), cancels: 1},
		"before the name":   {script: events(1, "a"), late: true, cancels: 1},
		"refused after all": {script: "429", late: true},
		"never named":       {script: "~", late: true, pending: true},
		"no such job":       {script: events(1, "a"), status: "404", cancels: 1},
		"server fails":      {script: events(1, "a"), status: "500", cancels: 1, pending: true},
		"server gone":       {script: events(1, "a"), status: "~", cancels: 1, pending: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := &keptServer{t: t, scripts: []string{c.script}, cancel: c.status}
			asked, goOn := make(chan struct{}), make(chan struct{})
			client, _ := against(t, Config{Patience: time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v1/chat/completions" {
					k.serve(w, r)
					return
				}
				close(asked)
				if c.late {
					<-goOn
				}
				if c.script == "~" {
					cut()
				}
				if k.serve(w, r); c.script != "429" {
					<-r.Context().Done()
				}
			})
			ctx, stop := context.WithCancelCause(t.Context())
			enough := errors.New("enough")
			if c.late {
				go func() { <-asked; stop(enough) }()
			}
			answer, err := client.Ask(ctx, Chat{Model: "m", Stream: true, Store: true, Key: "k"}, Listener{
				Say:    func(string) error { stop(enough); return nil },
				Ending: func() { close(goOn) },
			})
			if !errors.Is(err, enough) || k.cancels.Load() != c.cancels || answer.Pending != c.pending {
				t.Errorf("%v after %d attempts to cancel: %+v", err, k.cancels.Load(), answer)
			}
		})
	}
}

// What comes again is said once, in whatever pieces it comes; what differs is said
// whole.
func TestRecital(t *testing.T) {
	for _, c := range []struct{ first, second string }{
		{"", ""}, {"", "abc"}, {"abc", "abc"}, {"abc", "abcdef"}, {"abc", "ab"}, {"abc", ""}, {"abc", "xyz"}, {"aba", "abba"}, {"aaaa", "aaab"},
	} {
		for size := 1; size <= 7; size++ {
			var r recital
			shown := ""
			tell := func(say string, void bool) {
				if void {
					shown = ""
				}
				shown += say
			}
			tell(r.take(c.first))
			r.repeat()
			for rest := c.second; rest != ""; rest = rest[min(size, len(rest)):] {
				tell(r.take(rest[:min(size, len(rest))]))
			}
			tell(r.end())
			if shown != c.second || r.text.String() != c.second {
				t.Errorf("%q after %q in pieces of %d: %q, %q", c.second, c.first, size, shown, &r.text)
			}
		}
	}
}
