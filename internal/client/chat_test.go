package client

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

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
			answer, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true, Key: "k"}, func(string) error { return nil })
			if want := map[bool]int32{true: 2, false: 1}[numbered]; err != nil || answer.Text != "Hello" || calls.Load() != want {
				t.Errorf("%+v, %v after %d calls", answer, err, calls.Load())
			}
		})
	}
}

// A frontend that stops says so inside its streams, while the job goes on: what is
// missing is asked for. A job that failed fails again, and that is believed.
func TestAskAfterAnError(t *testing.T) {
	for name, goesOn := range map[string]bool{"frontend stopped": true, "job failed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := func(w io.Writer, id int, text string) {
				fmt.Fprintf(w, "id: %d\ndata: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", id, text)
			}
			client, calls := against(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				switch {
				case r.Method == http.MethodPost:
					event(w, 1, "Hel")
				case r.URL.RawQuery != "starting_after=1&stream=true" || r.URL.Path != "/v1/chat/completions/chatcmpl-1":
					t.Errorf("%s", r.URL)
				case goesOn:
					event(w, 2, "lo")
					fmt.Fprint(w, "data: [DONE]\n\n")
					return
				}
				fmt.Fprint(w, `data: {"error":{"message":"No more.","type":"server_error","param":null,"code":null}}`+"\n\ndata: [DONE]\n\n")
			})
			var said strings.Builder
			answer, err := client.Ask(t.Context(), Chat{Model: "m", Stream: true, Store: true, Key: "k"}, func(text string) error {
				said.WriteString(text)
				return nil
			})
			if calls.Load() != 2 {
				t.Errorf("%d calls", calls.Load())
			}
			if goesOn && (err != nil || said.String() != "Hello" || answer.Text != "Hello" || answer.Resumed != 1) {
				t.Errorf("%q, %+v, %v", said.String(), answer, err)
			}
			if !goesOn && (err == nil || !strings.Contains(err.Error(), "No more.")) {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
}
