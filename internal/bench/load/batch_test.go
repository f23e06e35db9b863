package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/osiris/osiris/internal/bench/answer"
	"github.com/osiris/osiris/internal/client"
)

func someLines(t *testing.T, n int64, v Verify) *lines {
	t.Helper()
	cfg := &Config{Model: "bench", Requests: n, Verify: v, Tokens: 3, Size: 9, PromptBytes: 100}
	l, err := newLines(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLines: what is read has the length that was promised, a name and an id of its own in
// each line, and is the same a second time, however it is read.
func TestLines(t *testing.T) {
	l := someLines(t, 100, Model)
	file, err := io.ReadAll(l.reader())
	if err != nil || int64(len(file)) != l.size() {
		t.Fatalf("%d bytes, want %d: %v", len(file), l.size(), err)
	}
	again, err := io.ReadAll(iotest.OneByteReader(l.reader()))
	if err != nil || !bytes.Equal(file, again) {
		t.Errorf("another reading differs: %v", err)
	}
	for i, line := range bytes.Split(bytes.TrimSpace(file), []byte("\n")) {
		var got struct {
			Name   string `json:"custom_id"`
			Method string
			URL    string
			Body   struct {
				Model    string
				Stream   bool
				Messages []struct{ Content string }
			}
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		spec, ok := answer.Find(line)
		if got.Name != fmt.Sprintf("line-%09d", i) || got.Method != http.MethodPost || got.URL != "/v1/chat/completions" || got.Body.Model != "bench" || got.Body.Stream ||
			len(got.Body.Messages[1].Content) != 100 || !ok || spec != (answer.Spec{ID: l.first + uint64(i), Pieces: 3, Size: 9}) {
			t.Errorf("line %d is %s", i, line)
		}
	}
}

// output is the line that answers line n.
func output(l *lines, n uint64) string {
	spec := answer.Spec{ID: l.first + n, Pieces: 3, Size: 9}
	return fmt.Sprintf(`{"id":"x","custom_id":"line-%09d","response":{"status_code":200,"body":{"choices":[{"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}},"error":null}`+"\n",
		n, spec.AppendText(nil))
}

// TestBatchCheck: each line is answered once, by the answer to its own request.
func TestBatchCheck(t *testing.T) {
	l := someLines(t, 4, Model)
	right := output(l, 2) + output(l, 0) + output(l, 3) + output(l, 1)
	for name, c := range map[string]struct {
		files []string
		right int64
		want  map[string]int64
	}{
		"right":       {[]string{right}, 4, map[string]int64{}},
		"in two":      {[]string{right[:len(right)/2], right[len(right)/2:]}, 4, map[string]int64{}},
		"missing":     {[]string{output(l, 0) + output(l, 3)}, 2, map[string]int64{"missing_line": 2}},
		"nothing":     {nil, 0, map[string]int64{"missing_line": 4}},
		"repeated":    {[]string{right + output(l, 1)}, 4, map[string]int64{"repeated_line": 1}},
		"exchanged":   {[]string{strings.Replace(right, "line-000000002", "line-000000009", 1)}, 3, map[string]int64{"foreign_line": 1, "missing_line": 1}},
		"another's":   {[]string{strings.NewReplacer("line-000000002", "line-000000003", "line-000000003", "line-000000002").Replace(right)}, 2, map[string]int64{"wrong_text": 2}},
		"a byte":      {[]string{strings.Replace(right, `"content":".`, `"content":",`, 1)}, 3, map[string]int64{"wrong_text": 1}},
		"status":      {[]string{strings.Replace(right, `"status_code":200`, `"status_code":429`, 1)}, 3, map[string]int64{"http_429": 1}},
		"an error":    {[]string{right[:strings.Index(right, "\n")+1] + `{"custom_id":"line-000000000","response":null,"error":{"code":"x"}}` + "\n"}, 1, map[string]int64{"line_error": 1, "missing_line": 2}},
		"no JSON":     {[]string{right + "x\n"}, 4, map[string]int64{"bad_json": 1}},
		"no line end": {[]string{strings.TrimSpace(right)}, 3, map[string]int64{"missing_line": 1}},
	} {
		check := &batchCheck{lines: l, seen: make([]bool, 4), failed: map[string]int64{}}
		for _, file := range c.files {
			if n, err := check.Write([]byte(file)); n != len(file) || err != nil {
				t.Fatal(n, err)
			}
		}
		r := check.result(&client.Batch{Status: "completed"})
		var failed int64
		for n := range maps.Values(c.want) {
			failed += n
		}
		if r.Requests != c.right || r.Failed != failed || !maps.Equal(r.Errors, c.want) || failed > 0 && r.FirstError == "" {
			t.Errorf("%s: %d right, %v: %s", name, r.Requests, r.Errors, r.FirstError)
		}
	}
}
