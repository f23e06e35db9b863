package frontend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

type storedPage struct {
	Object  string
	Data    []stored
	FirstID *string `json:"first_id"`
	LastID  *string `json:"last_id"`
	HasMore *bool   `json:"has_more"`
}

func (r *rig) list(query string, header ...string) storedPage {
	r.t.Helper()
	resp, body := r.do(http.MethodGet, completions+query, "", header...)
	var page storedPage
	if err := json.Unmarshal(body, &page); err != nil || resp.StatusCode != http.StatusOK || page.Object != "list" || page.HasMore == nil {
		r.t.Fatalf("%s: %d %s", query, resp.StatusCode, body)
	}
	return page
}

// Lists are filtered, ordered and come in pages.
func TestListCompletions(t *testing.T) {
	r := start(t, anyone(), teller)
	var ids []string
	for i := range 5 {
		body := with(fmt.Sprintf(`"store":true,"metadata":{"i":"%d","odd":"%d"}`, i, i%2))
		if i == 4 {
			body = strings.Replace(body, `"echo"`, `"other"`, 1)
		}
		resp, _ := r.post(body)
		ids = append(ids, resp.Header.Get("X-Request-Id"))
	}
	r.post(plainRequest)
	r.post(plainRequest, "Idempotency-Key", "hidden")
	for query, c := range map[string]struct {
		want string
		more bool
	}{
		"":                                       {"01234", false},
		"?order=desc":                            {"43210", false},
		"?limit=2":                               {"01", true},
		"?limit=2&order=desc":                    {"43", true},
		"?limit=2&after=" + ids[1]:               {"23", true},
		"?after=" + ids[4]:                       {"", false},
		"?after=" + ids[1] + "&order=desc":       {"0", false},
		"?model=other":                           {"4", false},
		"?metadata[odd]=1":                       {"13", false},
		"?metadata%5Bodd%5D=0&metadata%5Bi%5D=2": {"2", false},
		"?metadata[none]=1":                      {"", false},
		"?status=completed&limit=100":            {"01234", false},
		"?status=queued":                         {"", false},
		"?metadata[odd]=0&limit=1&after=" + ids[0]: {"2", true},
	} {
		page := r.list(query)
		var got strings.Builder
		for _, s := range page.Data {
			got.WriteString(s.Metadata["i"])
			if s.text() != "Hello" || s.Status != "completed" || s.Temperature == nil {
				t.Errorf("%s: %+v", query, s)
			}
		}
		if got.String() != c.want || *page.HasMore != c.more {
			t.Errorf("%s: %q, more %v", query, got.String(), *page.HasMore)
		}
		if n := len(page.Data); n > 0 && (*page.FirstID != page.Data[0].ID || *page.LastID != page.Data[n-1].ID) || n == 0 && page.FirstID != nil {
			t.Errorf("%s: first and last id are wrong", query)
		}
	}
}

// Parameters are checked in OpenAI's words.
func TestBadParameters(t *testing.T) {
	r := start(t, anyone(), teller)
	resp, _ := r.post(with(`"store":true`))
	one := "/" + resp.Header.Get("X-Request-Id")
	for query, want := range map[string]struct{ param, code, message string }{
		"?limit=0":   {"limit", "integer_below_min_value", "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead."},
		"?limit=101": {"limit", "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead."},
		"?limit=x":   {"limit", "invalid_type", "Invalid type for 'limit': expected an integer, but got a string instead."},
		"?order=up":  {"order", "invalid_value", "Invalid value: 'up'. Supported values are: 'asc' and 'desc'."},
		"?status=x": {
			"status", "invalid_value",
			"Invalid value: 'x'. Supported values are: 'queued', 'in_progress', 'completed', 'failed', and 'cancelled'.",
		},
		"?after=chatcmpl-1":                     {"after", "invalid_value", "Invalid value: 'chatcmpl-1'. It is not the id of a chat completion."},
		"?metadata=x":                           {"metadata", "invalid_type", "Invalid type for 'metadata': expected an object, but got a string instead. Filter by metadata[key]=value."},
		"?metadata[]=x":                         {"metadata[]", "invalid_value", "Invalid parameter: 'metadata[]'. Filter by metadata[key]=value."},
		"?metadata[a=x":                         {"metadata[a", "invalid_value", "Invalid parameter: 'metadata[a'. Filter by metadata[key]=value."},
		"?metadata[a]b=x":                       {"metadata[a]b", "invalid_value", "Invalid parameter: 'metadata[a]b'. Filter by metadata[key]=value."},
		"?metadata[a][b]=x":                     {"metadata[a][b]", "invalid_value", "Invalid parameter: 'metadata[a][b]'. Filter by metadata[key]=value."},
		"?metadata.a=x":                         {"metadata.a", "invalid_value", "Invalid parameter: 'metadata.a'. Filter by metadata[key]=value."},
		"?metadata[a]=1&metadata[a]=2":          {"metadata[a]", "invalid_value", "Invalid parameter: 'metadata[a]' has two values."},
		one + "?stream=1":                       {"stream", "invalid_type", "Invalid type for 'stream': expected a boolean, but got a string instead."},
		one + "?stream=true&starting_after=x":   {"starting_after", "invalid_type", "Invalid type for 'starting_after': expected an integer, but got a string instead."},
		one + "?stream=true&starting_after=-1":  {"starting_after", "integer_below_min_value", "Invalid 'starting_after': integer below minimum value. Expected a value >= 0, but got -1 instead."},
		one + "?stream=true&starting_after=1.5": {"starting_after", "invalid_type", "Invalid type for 'starting_after': expected an integer, but got a decimal number instead."},
		one + "?stream=true&starting_after=99999999999999999999": {
			"starting_after", "integer_above_max_value",
			"Invalid 'starting_after': integer above maximum value. Expected a value <= 4611686018427387904, but got 99999999999999999999 instead.",
		},
		one + "/messages?limit=1000":              {"limit", "integer_above_max_value", "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 1000 instead."},
		one + "/messages?after=" + one[1:] + "-9": {"after", "invalid_value", "Invalid value: '" + one[1:] + "-9'. There is no message with this id in " + one[1:] + "."},
	} {
		resp, body := r.do(http.MethodGet, completions+query, "")
		message := wantError(t, resp, body, http.StatusBadRequest, invalid, want.code)
		if message != want.message || !strings.Contains(string(body), `"param":"`+want.param+`"`) {
			t.Errorf("%s: %s", query, body)
		}
	}
	for _, body := range []string{"", "{}", `{"metadata":{"a":1}}`, `{"metadata":[]}`, "x"} {
		resp, got := r.do(http.MethodPost, completions+one, body)
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("update with %q: %d %s", body, resp.StatusCode, got)
		}
	}
}
