package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

const goodBody = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

func batchText(id, body string) string {
	return `{"custom_id":"` + id + `","method":"POST","url":"/v1/chat/completions","body":` + body + `}`
}

// checkText checks an input in all ways in which it may arrive.
func checkText(t *testing.T, c BatchCheck, text string) (BatchSummary, []BatchLine) {
	t.Helper()
	c.Endpoint = ChatEndpoint
	var got BatchSummary
	var lines []BatchLine
	for i, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
		var again []BatchLine
		sum, err := c.Read(r, func(l BatchLine) error {
			l.CustomID, l.Body = bytes.Clone(l.CustomID), bytes.Clone(l.Body)
			again = append(again, l)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && fmt.Sprint(sum, again) != fmt.Sprint(got, lines) {
			t.Fatalf("byte by byte: %v %v, want %v %v", sum, again, got, lines)
		}
		got, lines = sum, again
	}
	for _, l := range lines {
		if whole := text[l.Offset : l.Offset+int64(l.Length)]; !strings.Contains(whole, string(l.Body)) || strings.ContainsAny(whole, "\r\n") {
			t.Fatalf("line %d is said to be %q", l.Number, whole)
		}
	}
	return got, lines
}

func TestBatchFaults(t *testing.T) {
	good := batchText("a", goodBody)
	for name, tt := range map[string]struct{ line, code, param, message string }{
		"no json":              {`{"custom_id":`, "invalid_json_line", "", "This line is not parseable as valid JSON."},
		"trailing text":        {good + "x", "invalid_json_line", "", ""},
		"two objects":          {good + good, "invalid_json_line", "", ""},
		"an array":             {"[" + good + "]", "invalid_json_line", "", ""},
		"a string":             {`"x"`, "invalid_json_line", "", ""},
		"not utf-8":            {strings.Replace(good, "hi", "h\xffi", 1), "invalid_json_line", "", ""},
		"control character":    {strings.Replace(good, "hi", "h\x01i", 1), "invalid_json_line", "", ""},
		"broken inside body":   {batchText("a", `{"model":"m","messages":[}`), "invalid_json_line", "", ""},
		"a key twice":          {strings.Replace(good, `{"custom_id"`, `{"custom_id":"b","custom_id"`, 1), "invalid_json_line", "", ""},
		"no custom_id":         {`{"method":"POST","url":"/v1/chat/completions","body":{}}`, "missing_required_parameter", "custom_id", "Missing required parameter: 'custom_id'."},
		"null custom_id":       {strings.Replace(good, `"a"`, "null", 1), "missing_required_parameter", "custom_id", ""},
		"no method":            {`{"custom_id":"a","url":"/v1/chat/completions","body":{}}`, "missing_required_parameter", "method", "Missing required parameter: 'method'."},
		"no url":               {`{"custom_id":"a","method":"POST","body":{}}`, "missing_required_parameter", "url", "Missing required parameter: 'url'."},
		"no body":              {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions"}`, "missing_required_parameter", "body", "Missing required parameter: 'body'."},
		"nothing":              {`{}`, "missing_required_parameter", "custom_id", ""},
		"custom_id a number":   {strings.Replace(good, `"a"`, "7", 1), "invalid_type", "custom_id", "Invalid type for 'custom_id': expected a string, but got an integer instead."},
		"body a string":        {batchText("a", `"x"`), "invalid_type", "body", "Invalid type for 'body': expected an object, but got a string instead."},
		"method GET":           {strings.Replace(good, "POST", "GET", 1), "invalid_method", "method", ""},
		"method lower case":    {strings.Replace(good, "POST", "post", 1), "invalid_method", "method", ""},
		"method a number":      {strings.Replace(good, `"POST"`, "1", 1), "invalid_method", "method", ""},
		"url of another":       {strings.Replace(good, "/v1/chat", "/v1", 1), "invalid_url", "url", "The URL provided for this request does not match the batch endpoint."},
		"url a list":           {strings.Replace(good, `"/v1/chat/completions"`, "[]", 1), "invalid_url", "url", ""},
		"no model":             {batchText("a", `{"messages":[]}`), "invalid_request", "body.model", "Model parameter is required."},
		"null model":           {batchText("a", `{"model":null,"messages":[]}`), "invalid_request", "body.model", ""},
		"no messages":          {batchText("a", `{"model":"m"}`), "invalid_request", "body.messages", "Messages parameter is required."},
		"stream":               {batchText("a", `{"stream":true,"model":"m","messages":[]}`), "streaming_unsupported", "body.stream", "Chat Completions: Streaming is not supported in the Batch API."},
		"unknown model":        {batchText("a", `{"model":"x","messages":[]}`), "model_not_found", "body.model", "The provided model 'x' is not supported by the Batch API."},
		"another model":        {batchText("a", `{"model":"m2","messages":[]}`), "mismatched_model", "body.model", "The model 'm2' for this request does not match the rest of the batch. Each batch must contain requests for a single model."},
		"custom_id again":      {batchText("first", goodBody), "duplicate_custom_id", "custom_id", "The custom_id 'first' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch."},
		"custom_id by escapes": {batchText(`\u0066irst`, goodBody), "duplicate_custom_id", "custom_id", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := BatchCheck{Serves: func(model string) bool { return model != "x" }}
			sum, lines := checkText(t, c, batchText("first", goodBody)+"\n"+tt.line+"\n"+batchText("last", goodBody)+"\n")
			if len(sum.Faults) != 1 || sum.Requests != 3 || len(lines) != 2 {
				t.Fatalf("%+v, %d good lines", sum, len(lines))
			}
			f := sum.Faults[0]
			if f.Code != tt.code || f.Param != tt.param || f.Line != 2 || tt.message != "" && f.Message != tt.message || f.Message == "" {
				t.Errorf("%+v", f)
			}
		})
	}
}

// What is wrong with a request in a way that no row of the documentation names
// belongs to the request alone.
func TestBatchLinesWithFaultsOfTheirOwn(t *testing.T) {
	for name, line := range map[string]string{
		"empty messages":    batchText("a", `{"model":"m","messages":[]}`),
		"messages a string": batchText("a", `{"model":"m","messages":"x"}`),
		"model a number":    batchText("a", `{"model":5,"messages":[{}]}`),
		"temperature":       batchText("a", `{"model":"m","messages":[{}],"temperature":99}`),
		"stream false":      batchText("a", `{"model":"m","messages":[{}],"stream":false}`),
		"stream a string":   batchText("a", `{"model":"m","messages":[{}],"stream":"yes"}`),
		"a fifth key":       strings.Replace(batchText("a", goodBody), "{", `{"headers":{"x":[1,2]},`, 1),
		"empty custom_id":   batchText("", goodBody),
		"keys escaped":      strings.Replace(batchText("a", goodBody), `"custom_id"`, `"custom\u005fid"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if sum, lines := checkText(t, BatchCheck{}, line); len(sum.Faults) != 0 || len(lines) != 1 {
				t.Errorf("%+v", sum)
			}
		})
	}
}

func TestBatchFiles(t *testing.T) {
	a, b := batchText("a", goodBody), batchText("b", goodBody)
	for name, tt := range map[string]struct {
		text    string
		numbers []int
	}{
		"plain":            {a + "\n" + b + "\n", []int{1, 2}},
		"no final newline": {a + "\n" + b, []int{1, 2}},
		"crlf":             {a + "\r\n" + b + "\r\n", []int{1, 2}},
		"byte order mark":  {"\uFEFF" + a + "\n" + b, []int{1, 2}},
		"mark alone":       {"\uFEFF\n" + a, []int{2}},
		"blank lines":      {"\n \t\r\n" + a + "\n\n\n" + b + "\n \n", []int{3, 6}},
		"indented":         {"  " + a + " \n\t" + b + "\t", []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			sum, lines := checkText(t, BatchCheck{}, tt.text)
			var numbers []int
			for _, l := range lines {
				numbers = append(numbers, l.Number)
			}
			if len(sum.Faults) != 0 || !slices.Equal(numbers, tt.numbers) || sum.Model != "m" || sum.Requests != len(numbers) {
				t.Errorf("%+v, lines %v", sum, numbers)
			}
		})
	}
	for name, text := range map[string]string{"empty": "", "a mark": "\uFEFF", "blank lines": "\n\r\n  \t \n"} {
		if sum, _ := checkText(t, BatchCheck{}, text); len(sum.Faults) != 1 || sum.Faults[0].Code != "empty_file" || sum.Faults[0].Line != 0 {
			t.Errorf("%s: %+v", name, sum)
		}
	}
}

func TestBatchReportsEveryBadLineUpToAHundred(t *testing.T) {
	sum, _ := checkText(t, BatchCheck{}, "{\n{}\n"+batchText("a", `{}`)+"\n[]\n")
	if len(sum.Faults) != 4 || sum.Faults[3].Line != 4 {
		t.Errorf("%+v", sum.Faults)
	}
	sum, _ = checkText(t, BatchCheck{}, strings.Repeat("{}\n", 250))
	if len(sum.Faults) != 100 || sum.Faults[99].Line != 100 || sum.Requests != 250 {
		t.Errorf("%d faults, %d requests", len(sum.Faults), sum.Requests)
	}
	sum, _ = checkText(t, BatchCheck{}, strings.Repeat("{}\n", MaxBatchRequests+1))
	if len(sum.Faults) != 1 || sum.Faults[0].Code != "too_many_tasks" {
		t.Errorf("%+v", sum.Faults)
	}
}

func TestBatchMayMixModels(t *testing.T) {
	text := batchText("a", goodBody) + "\n" + batchText("b", strings.Replace(goodBody, `"m"`, `"m2"`, 1))
	if sum, lines := checkText(t, BatchCheck{Mixed: true}, text); len(sum.Faults) != 0 || sum.Model != "" || len(lines) != 2 {
		t.Errorf("%+v", sum)
	}
}

// longLine is a line that begins with text and goes on for n bytes.
type longLine struct {
	text string
	n    int
}

func (e *longLine) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	n := copy(p, e.text)
	e.text = e.text[n:]
	for ; n < len(p) && n < e.n; n++ {
		p[n] = 'x'
	}
	e.n -= n
	return n, nil
}

func TestBatchHoldsNoLineBeyondTheBodyLimit(t *testing.T) {
	for begin, code := range map[string]string{"": "invalid_json_line", `{"custom_id":"a","body":{"x":"`: "invalid_request"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := BatchCheck{Endpoint: ChatEndpoint, MaxBody: 4 << 20}
		sum, err := c.Read(io.MultiReader(&longLine{begin, 200 << 20}, strings.NewReader("\n"+batchText("a", goodBody))), nil)
		runtime.ReadMemStats(&after)
		if err != nil || sum.Requests != 2 || len(sum.Faults) != 1 || sum.Faults[0].Code != code || sum.Faults[0].Line != 1 {
			t.Errorf("%+v, %v", sum, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 40<<20 {
			t.Errorf("%d MB were allocated", grown>>20)
		}
	}
}

// White space is no request however long it is, and takes no memory.
func TestBatchSkipsBlankLinesOfAnyLength(t *testing.T) {
	const length, mark = 100 << 20, "\uFEFF"
	blank := func(begin string) io.Reader {
		return io.LimitReader(io.MultiReader(strings.NewReader(begin), &blanks{}), length)
	}
	good := func(id string) io.Reader { return strings.NewReader("\n" + batchText(id, goodBody) + "\n") }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := BatchCheck{Endpoint: ChatEndpoint, MaxBody: 1 << 20}
	var numbers []int
	var first BatchLine
	sum, err := c.Read(io.MultiReader(blank(mark), good("a"), blank(""), good("b"), blank("")), func(l BatchLine) error {
		if numbers = append(numbers, l.Number); len(numbers) == 1 {
			first = l
		}
		return nil
	})
	runtime.ReadMemStats(&after)
	if err != nil || len(sum.Faults) > 0 || sum.Requests != 2 || !slices.Equal(numbers, []int{2, 4}) || first.Offset != length+1 {
		t.Errorf("%+v, lines %v, the first at %d, %v", sum, numbers, first.Offset, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 20<<20 {
		t.Errorf("%d MB were allocated", grown>>20)
	}
	// What follows too much white space in its line is too long a line all the same.
	sum, err = c.Read(io.MultiReader(blank(""), strings.NewReader(batchText("a", goodBody))), nil)
	if err != nil || len(sum.Faults) != 1 || sum.Faults[0].Code != "invalid_request" || sum.Faults[0].Line != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
}

// blanks reads as white space without end.
type blanks struct{}

func (*blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = " \t"[i%2]
	}
	return len(p), nil
}

func TestBatchInputCannotBeRead(t *testing.T) {
	gone := errors.New("gone")
	_, err := BatchCheck{Endpoint: ChatEndpoint}.Read(io.MultiReader(strings.NewReader(batchText("a", goodBody)), iotest.ErrReader(gone)), nil)
	if !errors.Is(err, gone) {
		t.Error(err)
	}
	_, err = BatchCheck{Endpoint: ChatEndpoint}.Read(strings.NewReader(batchText("a", goodBody)), func(BatchLine) error { return gone })
	if !errors.Is(err, gone) {
		t.Error(err)
	}
}

// FuzzBatchLine holds the parser to encoding/json: what passes is one object with
// the four members as they must be.
func FuzzBatchLine(f *testing.F) {
	for _, s := range []string{batchText("a", goodBody), "{}", `{"custom_id":1}`, "\xff", batchText(`\ud800`, goodBody), `{"body":{"body":[{}]}}`, "[]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, fault := ParseBatchLine(text, ChatEndpoint)
		if fault != nil {
			if fault.Code == "" || fault.Message == "" || !utf8.ValidString(fault.Message) {
				t.Fatalf("%+v", fault)
			}
			return
		}
		var want struct {
			CustomID json.RawMessage `json:"custom_id"`
			Method   string          `json:"method"`
			URL      string          `json:"url"`
			Body     json.RawMessage `json:"body"`
		}
		if !json.Valid(text) {
			t.Fatalf("not JSON: %q", text)
		}
		var names map[string]json.RawMessage
		if err := json.Unmarshal(text, &names); err != nil {
			t.Fatal(err)
		}
		want.CustomID, want.Body = names["custom_id"], names["body"]
		if !bytes.Equal(bytes.TrimSpace(want.CustomID), l.CustomID) || !bytes.Equal(bytes.TrimSpace(want.Body), l.Body) {
			t.Fatalf("%q: custom_id %q, body %q", text, l.CustomID, l.Body)
		}
		out := AppendBatchAnswer(nil, "batch_req_1", l.CustomID, "req_1", 200, l.Body)
		if bytes.Count(out, []byte("\n")) != 1 || !json.Valid(out) {
			t.Fatalf("output line %q", out)
		}
	})
}

func BenchmarkBatchCheck(b *testing.B) {
	var text bytes.Buffer
	prompt := strings.Repeat("All work and no play. ", 180)
	for i := range 5000 {
		fmt.Fprintln(&text, batchText(fmt.Sprintf("request-%d", i), `{"model":"m","messages":[{"role":"user","content":"`+prompt+`"}]}`))
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		sum, err := BatchCheck{Endpoint: ChatEndpoint}.Read(bytes.NewReader(text.Bytes()), func(BatchLine) error { return nil })
		if err != nil || len(sum.Faults) > 0 {
			b.Fatal(sum.Faults, err)
		}
	}
}
