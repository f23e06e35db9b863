package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const keptAnswer = `{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,` +
	`"message":{"role":"assistant","content":"hi","refusal":null},"logprobs":null,"finish_reason":"stop"}]}`

func TestAppendStored(t *testing.T) {
	env := keptEnvelope
	env.ServiceTier = "flex"
	const none = `{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[],"service_tier":"flex",`
	valid := compileSchema(t, "CreateChatCompletionResponse")
	for name, c := range map[string]struct {
		stored StoredCompletion
		want   string
	}{
		"queued": {
			StoredCompletion{Status: StatusQueued, Place: &QueuePlace{Position: 3, Wait: 1500 * time.Millisecond}},
			none + `"status":"queued","request_id":"chatcmpl-1","metadata":{},"queue":{"position":3,"wait_seconds":2}}`,
		},
		"place unknown": {
			StoredCompletion{Status: StatusQueued},
			none + `"status":"queued","request_id":"chatcmpl-1","metadata":{}}`,
		},
		"in progress": {
			StoredCompletion{Status: StatusInProgress, Place: &QueuePlace{}, Metadata: map[string]string{"b": "2", "a": `"`}},
			none + `"status":"in_progress","request_id":"chatcmpl-1","metadata":{"a":"\"","b":"2"}}`,
		},
		"failed": {
			StoredCompletion{Status: StatusFailed, Error: ErrOverloaded(0), Answer: []byte("not looked at")},
			none + `"status":"failed","request_id":"chatcmpl-1","metadata":{},"error":{"message":"The engine is currently overloaded, please try again later",` +
				`"type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}`,
		},
		"cancelled": {
			StoredCompletion{Status: StatusCancelled, Error: ErrOverloaded(0)},
			none + `"status":"cancelled","request_id":"chatcmpl-1","metadata":{}}`,
		},
		"completed": {
			StoredCompletion{Status: StatusCompleted, Answer: []byte(keptAnswer)},
			keptAnswer[:len(keptAnswer)-1] + `,"status":"completed","request_id":"chatcmpl-1","metadata":{}}`,
		},
		"members of the provider's with our names": {
			StoredCompletion{Status: StatusCompleted, Answer: []byte(`{"status":1,"error":null,"queue":2,"choices":[],"created":7,"id":"x","model":"m","object":"chat.completion"}`)},
			`{"status":"completed","choices":[],"created":7,"id":"x","model":"m","object":"chat.completion","request_id":"chatcmpl-1","metadata":{}}`,
		},
		"with its request": {
			StoredCompletion{Status: StatusCompleted, Answer: []byte(keptAnswer), Request: []byte(
				`{"model":"m","messages":[],"user":"u","temperature":0.5,"top_p":null,"tools":[{"type":"function"}],"tool_choice":"auto"}`)},
			keptAnswer[:len(keptAnswer)-1] + `,"status":"completed","request_id":"chatcmpl-1","metadata":{},"tools":[{"type":"function"}],"tool_choice":"auto",` +
				`"seed":null,"top_p":1,"temperature":0.5,"presence_penalty":0,"frequency_penalty":0,"response_format":null,"input_user":"u"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.stored.Envelope = env
			got, err := AppendStored(nil, &c.stored)
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\n%s\nwant\n%s", err, got, c.want)
			}
			if err := valid(got); err != nil {
				t.Error(err)
			}
			page := AppendPage(nil, Page{Items: [][]byte{got, got}, FirstID: "a", LastID: "b"})
			if err := compileSchema(t, "ChatCompletionList")(page); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := AppendStored(nil, &StoredCompletion{Status: StatusCompleted, Answer: []byte("x")}); err == nil {
		t.Error("an answer that is no object passed")
	}
}

func TestAppendDeleted(t *testing.T) {
	got := AppendDeleted(nil, "chatcmpl-1")
	if string(got) != `{"object":"chat.completion.deleted","id":"chatcmpl-1","deleted":true}` {
		t.Error(string(got))
	}
	if err := compileSchema(t, "ChatCompletionDeleted")(got); err != nil {
		t.Error(err)
	}
}

func TestAppendPage(t *testing.T) {
	if got := AppendPage(nil, Page{}); string(got) != `{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}` {
		t.Errorf("empty: %s", got)
	}
	page := Page{Items: [][]byte{[]byte(`{"a":1}`), []byte(`{"a":2}`)}, FirstID: "x", LastID: "y", HasMore: true}
	if got := AppendPage(nil, page); string(got) != `{"object":"list","data":[{"a":1},{"a":2}],"first_id":"x","last_id":"y","has_more":true}` {
		t.Errorf("%s", got)
	}
}

func TestParseMetadataUpdate(t *testing.T) {
	got, err := ParseMetadataUpdate([]byte(`{"metadata":{"a":"1"},"other":2}`))
	if err != nil || len(got) != 1 || got["a"] != "1" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseMetadataUpdate([]byte(`{"metadata":null}`)); err != nil || len(got) != 0 {
		t.Errorf("null: %v, %v", got, err)
	}
	for _, c := range []struct{ body, param, code, message string }{
		{``, "", "", badJSONText},
		{`[]`, "", "invalid_type", "Invalid type: expected an object, but got an array instead."},
		{`{}`, "metadata", "missing_required_parameter", "Missing required parameter: 'metadata'."},
		{`{"metadata":[]}`, "metadata", "invalid_type", "Invalid type for 'metadata': expected an object, but got an array instead."},
		{`{"metadata":{"tags":[1]}}`, "metadata.tags", "invalid_type", "Invalid type for 'metadata.tags': expected a string, but got an array instead."},
		{
			`{"metadata":{"k":"` + strings.Repeat("x", 513) + `"}}`, "metadata.k", "string_above_max_length",
			"Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513 instead.",
		},
		{
			`{"metadata":` + wideObjectOf(17, `""`) + `}`, "metadata", "object_above_max_properties",
			"Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with 17 properties instead.",
		},
	} {
		_, err := ParseMetadataUpdate([]byte(c.body))
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != 400 || e.Param != c.param || e.Code != c.code || e.Message != c.message {
			t.Errorf("%.50s: %#v", c.body, err)
		}
	}
}

func wideObjectOf(n int, value string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%s`, i, value)
	}
	return "{" + b.String()[1:] + "}"
}

const conversation = `{"model":"m","messages":[
	{"role":"system","content":"be brief"},
	{"role":"user","content":[{"type":"text","text":"what is this?"},{"type":"image_url","image_url":{"url":"http://x/y"}}],"name":"ann"},
	{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
	{"role":"tool","tool_call_id":"c","content":"done"}]}`

func TestMessagePage(t *testing.T) {
	page, err := MessagePage("chatcmpl-1", []byte(conversation), "", 20, Ascending)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		`{"role":"system","content":"be brief","id":"chatcmpl-1-0","content_parts":null,"refusal":null,"name":null}`,
		`{"role":"user","content":null,"name":"ann","id":"chatcmpl-1-1","content_parts":[{"type":"text","text":"what is this?"},{"type":"image_url","image_url":{"url":"http://x/y"}}],"refusal":null}`,
		`{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}],"id":"chatcmpl-1-2","content":null,"content_parts":null,"refusal":null,"name":null}`,
		`{"role":"tool","tool_call_id":"c","content":"done","id":"chatcmpl-1-3","content_parts":null,"refusal":null,"name":null}`,
	} {
		if got := string(page.Items[i]); got != want {
			t.Errorf("message %d is\n%s, want\n%s", i, got, want)
		}
		// The schema knows the roles of answers alone; what it was made from shows others.
		answered := bytes.Replace(page.Items[i], []byte(`"role":"`), []byte(`"role":"assistant","was":"`), 1)
		one := AppendPage(nil, Page{Items: [][]byte{answered}, FirstID: "a", LastID: "a"})
		if err := compileSchema(t, "ChatCompletionMessageList")(one); err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	for _, c := range []struct {
		after string
		limit int
		order ListOrder
		want  string // numbers of the messages
		more  bool
	}{
		{"", 4, Ascending, "0123", false},
		{"", 3, Ascending, "012", true},
		{"chatcmpl-1-1", 1, Ascending, "2", true},
		{"chatcmpl-1-3", 20, Ascending, "", false},
		{"", 2, Descending, "32", true},
		{"chatcmpl-1-2", 20, Descending, "10", false},
	} {
		page, err := MessagePage("chatcmpl-1", []byte(conversation), c.after, c.limit, c.order)
		var numbers strings.Builder
		for _, item := range page.Items {
			var m struct{ ID string }
			if json.Unmarshal(item, &m) == nil {
				numbers.WriteString(strings.TrimPrefix(m.ID, "chatcmpl-1-"))
			}
		}
		got := numbers.String()
		if err != nil || got != c.want || page.HasMore != c.more || got != "" && page.LastID != "chatcmpl-1-"+got[len(got)-1:] {
			t.Errorf("%+v: %q, more %v, last %s, %v", c, got, page.HasMore, page.LastID, err)
		}
	}
	for _, after := range []string{"x", "chatcmpl-1", "chatcmpl-1-", "chatcmpl-1-4", "chatcmpl-1--1", "chatcmpl-1-01", "chatcmpl-2-0"} {
		_, err := MessagePage("chatcmpl-1", []byte(conversation), after, 20, Ascending)
		if e, ok := errors.AsType[*Error](err); !ok || e.Status != 400 || e.Param != "after" {
			t.Errorf("after %s: %v", after, err)
		}
	}
}

// FuzzStored: what an accepted request said can be shown, whatever it was.
func FuzzStored(f *testing.F) {
	f.Add([]byte(conversation), "chatcmpl-1-0", uint8(3))
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a\nb"}],"id":1,"content_parts":2}],"tools":[],"user":"\u0000","status":1}`), "", uint8(0))
	f.Fuzz(func(t *testing.T, body []byte, after string, limit uint8) {
		if _, err := ParseRequest(body); err != nil {
			return
		}
		stored, err := AppendStored(nil, &StoredCompletion{Envelope: keptEnvelope, Status: StatusQueued, Request: body})
		if err != nil || !json.Valid(stored) {
			t.Fatalf("%v: %s", err, stored)
		}
		for _, order := range []ListOrder{Ascending, Descending} {
			page, err := MessagePage("chatcmpl-1", body, after, int(limit)+1, order)
			if e, ok := errors.AsType[*Error](err); ok && e.Status == 400 && after != "" {
				continue
			}
			if text := AppendPage(nil, page); err != nil || !json.Valid(text) || len(page.Items) > int(limit)+1 {
				t.Fatalf("%v: %s", err, text)
			}
		}
	})
}
