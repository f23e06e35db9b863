package echo

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/osiris/osiris/internal/provider/providertest"
)

// spent is how many bytes the model allocates until its first two events are out.
func spent(t *testing.T, model, body string) int {
	t.Helper()
	enough := errors.New("enough")
	r := &providertest.Recorder{}
	r.OnEvent = func() error {
		if len(r.Events) < 2 {
			return nil
		}
		return enough
	}
	req := request(t, model, body, true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := New().Complete(t.Context(), req, r)
	runtime.ReadMemStats(&after)
	if err != enough {
		t.Fatalf("%s: got %v", model, err)
	}
	return int(after.TotalAlloc - before.TotalAlloc)
}

// A long answer costs no more than a short one before it is said.
func TestAnswersAreMadeAsTheyAreSaid(t *testing.T) {
	if got := spent(t, "echo?tokens=1000000", `{"model":"echo",`+hello+`}`); got > 256<<10 {
		t.Errorf("%d bytes for a million tokens", got)
	}
}

func TestLargePrompts(t *testing.T) {
	text := strings.Repeat("Hello, world! ", 2<<20/14)
	for name, content := range map[string]string{
		"text":  `"` + text + `"`,
		"parts": `[{"type":"text","text":"` + text + `"},{"type":"text","text":"."}]`,
		"image": `[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("A", 2<<20) + `"}}]`,
	} {
		body := `{"model":"echo","messages":[{"role":"user","content":` + content + `}]}`
		if got := spent(t, "echo", body); got > 3*len(body) {
			t.Errorf("%s: %d bytes for a body of %d", name, got, len(body))
		}
	}
}

// An answer ends at its bound, also where one token is larger.
func TestBoundOfBytes(t *testing.T) {
	for model, most := range map[string]int{
		"echo?big=40000000&tokens=9": maxBytes / 2,
		"echo?big=20000000&tokens=9": maxBytes / 2,
	} {
		k, fault := parseKnobs(model, nil)
		if fault != nil {
			t.Fatal(fault)
		}
		s := write(&prompt{choices: 2}, &k, "job")
		size := 0
		for piece := range s.pieces() {
			size += len(piece.text)
		}
		if size > most || len(s.segments) > 0 && size != len(*s.message().Content) || s.tokens > maxTokens {
			t.Errorf("%s: says %d bytes in %d tokens", model, size, s.tokens)
		}
	}
}
