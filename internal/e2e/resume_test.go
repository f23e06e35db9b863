package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// manyWords is a text of so many words, none like another.
func manyWords(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%d-żółw ", i)
	}
	return strings.TrimSuffix(text.String(), " ")
}

// resume continues a stream after its event of that number.
func (c *client) resume(ctx context.Context, id string, after int) (*ssestream.Stream[openai.ChatCompletionChunk], error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/chat/completions/%s?stream=true&starting_after=%d", c.url, id, after), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	return ssestream.NewStream[openai.ChatCompletionChunk](ssestream.NewDecoder(resp), nil), nil
}

// TestResumeElsewhere: the frontend of a stream is killed at event 200 of 500. The
// other frontend gives the rest, and the text is that of a stream that nobody cut.
func TestResumeElsewhere(t *testing.T) {
	i := install(t, 2, 1)
	const cut, count = 200, 500
	text := manyWords(count)
	official := newOfficial(i.clients[0])
	stream := official.Chat.Completions.NewStreaming(t.Context(), storing("up/"+words, text, nil), option.WithJSONSet("mock_delay_ms", 4))
	var got strings.Builder
	id, events := "", 0
	for events < cut && stream.Next() {
		chunk := stream.Current()
		id, events = chunk.ID, events+1
		got.WriteString(chunk.Choices[0].Delta.Content)
	}
	i.frontends[0].kill(t)
	for stream.Next() { // what was on its way
		events++
		got.WriteString(stream.Current().Choices[0].Delta.Content)
	}
	if events >= count {
		t.Fatalf("%d events came before the frontend was killed", events)
	}
	rest, err := i.clients[1].resume(t.Context(), id, events)
	if err != nil {
		t.Fatal(err)
	}
	defer rest.Close()
	var finish []string
	for rest.Next() {
		chunk := rest.Current()
		if chunk.ID != id || len(chunk.Choices) != 1 {
			t.Fatalf("chunk %s", chunk.RawJSON())
		}
		got.WriteString(chunk.Choices[0].Delta.Content)
		if reason := chunk.Choices[0].FinishReason; reason != "" {
			finish = append(finish, reason)
		}
	}
	if err := rest.Err(); err != nil || got.String() != text || !slices.Equal(finish, []string{"stop"}) {
		t.Errorf("%v, %d bytes of %d, finish %v", err, got.Len(), len(text), finish)
	}
	if n, _ := i.model.seen(words); n.begun != 1 {
		t.Errorf("%d calls", n.begun)
	}
	t.Logf("%d of %d events came through the first frontend", events, count)
	i.idle(t, 20*time.Second)
}

// TestBackgroundSurvivesEverything: a background request is accepted, then every
// process is killed, the queue too, and started again. The answer is there.
func TestBackgroundSurvivesEverything(t *testing.T) {
	i := install(t, 1, 1)
	released := make(chan struct{})
	i.model.on(words, func(c *upstreamCall) {
		select {
		case <-released:
			repeatWords(c)
		case <-c.Context().Done():
		}
	})
	official := newOfficial(i.clients[0])
	c, err := official.Chat.Completions.New(t.Context(), storing("up/"+words, "still here", nil), option.WithJSONSet("background", true))
	if err != nil {
		t.Fatal(err)
	}
	i.model.awaitOpen(t, words)
	for _, p := range []*process{i.frontends[0], i.workers[0], i.nats} {
		p.kill(t)
	}
	close(released)
	i.model.await(t, patience, words, "the call is closed", func(n callCount) bool { return n.open == 0 })
	i.startNATS(t)
	i.frontends, i.workers, i.clients = nil, nil, nil
	i.startWorker(t)
	i.startFrontend(t)
	completions := newOfficial(newClient(t, "http://"+i.frontends[0].await(t, `msg=ready.* api=(\S+)`)+"/v1", installationKey)).Chat.Completions
	eventually(t, 2*patience, "the answer is there", func(ctx context.Context) error {
		got, err := completions.Get(ctx, c.ID)
		if err == nil && (len(got.Choices) != 1 || got.Choices[0].Message.Content != "still here") {
			err = errors.New(got.RawJSON())
		}
		return err
	})
}

// TestSameKeyElsewhere: clients whose frontend dies ask another one with the same
// idempotency keys, and get the answers of the calls that run.
func TestSameKeyElsewhere(t *testing.T) {
	i := install(t, 2, 1)
	released := make(chan struct{})
	i.model.on(words, func(c *upstreamCall) {
		<-released
		repeatWords(c)
	})
	ask := func(c *client, key string, stream bool) chan string {
		answer := make(chan string, 1)
		go func() {
			defer close(answer) // without an answer: the connection broke
			resp, err := c.post(t.Context(), chat("up/"+words, key, stream), "Idempotency-Key", key)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err == nil {
				answer <- string(body)
			}
		}()
		return answer
	}
	keys := map[string]bool{"json": false, "stream": true}
	var broken, joined []chan string
	for key, stream := range keys {
		broken = append(broken, ask(i.clients[0], key, stream))
	}
	i.model.await(t, patience, words, "both calls are there", func(c callCount) bool { return c.begun == 2 })
	i.frontends[0].kill(t)
	for _, b := range broken {
		if answer, ok := <-b; ok {
			t.Errorf("answered by a frontend that was killed: %s", answer)
		}
	}
	for key, stream := range keys {
		joined = append(joined, ask(i.clients[1], key, stream))
	}
	close(released)
	for _, j := range joined {
		if answer := <-j; !strings.Contains(answer, `"finish_reason":"stop"`) || !strings.Contains(answer, "json") && !strings.Contains(answer, "stream") {
			t.Errorf("joined: %q", answer)
		}
	}
	if n, _ := i.model.seen(words); n.begun != 2 {
		t.Errorf("%d calls", n.begun)
	}
	i.idle(t, 20*time.Second)
}
