package anthropic

import (
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/provider/providertest"
)

func TestFinishReasons(t *testing.T) {
	const text = `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}` + "\n\n"
	for stop, want := range map[string]string{
		"end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "of_a_later_day": "stop", "tool_use": "stop",
		"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "content_filter",
	} {
		out := new(providertest.Recorder)
		s := newStream(out, new(call), "m", false, func() {})
		err := play(s, []byte(text+event(`{"type":"message_delta","delta":{"stop_reason":"`+stop+`"}}`)+event(`{"type":"message_stop"}`)))
		if err != nil || out.Finished[0] != want {
			t.Errorf("%s finishes as %q, want %q (error %v)", stop, out.Finished[0], want, err)
		}
	}
}

// TestFirstWordsEndRetries: what was said cannot be taken back, so the same server
// is not asked again.
func TestFirstWordsEndRetries(t *testing.T) {
	for events, want := range map[string]string{
		event(`{"type":"error","error":{"type":"overloaded_error","message":"x"}}`): " retry ",
		event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`) +
			event(`{"type":"error","error":{"type":"overloaded_error","message":"x"}}`): " code=server_is_overloaded fallback ",
	} {
		s := newStream(new(providertest.Recorder), new(call), "m", false, func() {})
		if got := providertest.FormatOutcome(play(s, []byte(events))); !strings.Contains(got, want) {
			t.Errorf("got %s, want %q in it", got, want)
		}
	}
}
