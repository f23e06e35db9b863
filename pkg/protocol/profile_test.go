package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// profile checks a stream against the wire profile that every SDK survives.
type profile struct {
	faults       []string
	includeUsage bool
	envelope     string
	opened       int
	finished     map[int]bool
	calls        map[int]int // of a choice
	named        map[int]bool
	usage        bool
}

type jsonObject = map[string]any

// checkProfile checks the events of one stream, without [DONE]. complete says
// that the writer took the answer for complete.
func checkProfile(t *testing.T, stream []byte, includeUsage, complete bool) {
	t.Helper()
	for _, fault := range profileFaults(stream, includeUsage, complete) {
		t.Error("profile: " + fault)
	}
}

func profileFaults(stream []byte, includeUsage, complete bool) []string {
	p := &profile{includeUsage: includeUsage, finished: map[int]bool{}, calls: map[int]int{}, named: map[int]bool{}}
	if !utf8.Valid(stream) {
		p.fault("not UTF-8")
	}
	for len(stream) > 0 {
		event, rest, ok := bytes.Cut(stream, []byte("\n\n"))
		if !ok || !bytes.HasPrefix(event, []byte("data: {")) || bytes.ContainsAny(event, "\r\n") {
			p.fault("not one line of data and a blank line: %q", event)
			return p.faults
		}
		p.event(event[len("data: "):])
		stream = rest
	}
	if complete {
		if p.opened == 0 {
			p.fault("complete without a choice")
		}
		for i := range p.opened {
			if !p.finished[i] {
				p.fault("complete, but choice %d has no finish reason", i)
			}
		}
	}
	return p.faults
}

func (p *profile) fault(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

func (p *profile) event(data []byte) {
	var chunk jsonObject
	if err := json.Unmarshal(data, &chunk); err != nil {
		p.fault("%v: %s", err, data)
		return
	}
	if members := membersOf(nil, data[1:len(data)-1]); len(lastOfEach(slices.Clone(members))) != len(members) {
		p.fault("a member twice: %s", data)
	}
	if p.usage {
		p.fault("a chunk after the usage: %s", data)
	}
	for _, key := range []string{"id", "object", "created", "model", "choices"} {
		if _, ok := chunk[key]; !ok {
			p.fault("no %s: %s", key, data)
		}
	}
	if _, ok := chunk["error"]; ok {
		p.fault("a member error: %s", data)
	}
	if envelope := fmt.Sprint(chunk["id"], chunk["object"], chunk["created"], chunk["model"]); p.envelope == "" {
		p.envelope = envelope
	} else if p.envelope != envelope {
		p.fault("the envelope changed: %s", data)
	}
	if fp, ok := chunk["system_fingerprint"]; ok && fp == nil {
		p.fault("system_fingerprint null: %s", data)
	}
	choices, ok := chunk["choices"].([]any)
	if !ok {
		p.fault("choices is no array: %s", data)
		return
	}
	usage, has := chunk["usage"]
	switch {
	case has != p.includeUsage:
		p.fault("usage is there: %v, asked for: %v: %s", has, p.includeUsage, data)
	case len(choices) == 0 && usage == nil:
		p.fault("neither choices nor usage: %s", data)
	case len(choices) > 0 && usage != nil:
		p.fault("usage beside choices: %s", data)
	}
	p.usage = usage != nil
	for _, choice := range choices {
		p.choice(choice.(jsonObject), data)
	}
}

func (p *profile) choice(choice jsonObject, data []byte) {
	delta, ok := choice["delta"].(jsonObject)
	index, ok2 := choice["index"].(float64)
	if !ok || !ok2 {
		p.fault("a choice without index or delta: %s", data)
		return
	}
	at := int(index)
	if _, ok := choice["error"]; ok {
		p.fault("a member error in a choice: %s", data)
	}
	role, hasRole := delta["role"]
	switch {
	case at == p.opened:
		p.opened++
		if role != "assistant" {
			p.fault("the first delta has the role %v: %s", role, data)
		}
	case at > p.opened || at < 0:
		p.fault("choice %d opens out of order: %s", at, data)
	case hasRole:
		p.fault("a role again: %s", data)
	}
	if p.finished[at] {
		p.fault("choice %d goes on after its finish reason: %s", at, data)
	}
	finish, ok := choice["finish_reason"]
	if !ok || finish != nil && !slices.Contains([]any{"stop", "length", "tool_calls", "content_filter", "function_call"}, finish) {
		p.fault("finish_reason %v: %s", finish, data)
	}
	p.finished[at] = finish != nil
	if logprobs, ok := choice["logprobs"]; !ok {
		p.fault("no logprobs: %s", data)
	} else if object, ok := logprobs.(jsonObject); logprobs != nil && !ok {
		p.fault("logprobs is no object: %s", data)
	} else if ok {
		p.keys("logprobs", object, data, "content", "refusal")
	}
	for _, key := range []string{"content", "refusal"} {
		if v, ok := delta[key]; ok && v != nil && !isText(v) {
			p.fault("%s is no text: %s", key, data)
		}
	}
	if call, ok := delta["function_call"]; ok {
		p.functionCall(at, call, data)
	}
	if calls, ok := delta["tool_calls"]; ok {
		p.toolCalls(at, calls, data)
	}
}

func isText(v any) bool { _, ok := v.(string); return ok }

func (p *profile) keys(what string, object jsonObject, data []byte, names ...string) {
	for _, name := range names {
		if _, ok := object[name]; !ok {
			p.fault("%s without %s: %s", what, name, data)
		}
	}
}

func (p *profile) functionCall(at int, call any, data []byte) {
	object, ok := call.(jsonObject)
	if !ok || !isText(object["arguments"]) {
		p.fault("function_call: %s", data)
	}
	if _, named := object["name"]; named && p.named[at] {
		p.fault("function_call's name again: %s", data)
	} else if named {
		p.named[at] = true
	}
}

func (p *profile) toolCalls(at int, calls any, data []byte) {
	list, ok := calls.([]any)
	if !ok || len(list) == 0 {
		p.fault("tool_calls empty or no array: %s", data)
	}
	for _, item := range list {
		call := item.(jsonObject)
		n := int(call["index"].(float64))
		body, input := "function", "arguments"
		if _, ok := call["custom"]; ok {
			body, input = "custom", "input"
		}
		function, ok := call[body].(jsonObject)
		if !ok || !isText(function[input]) {
			p.fault("a call without text for its arguments: %s", data)
		}
		_, hasID := call["id"]
		_, hasType := call["type"]
		_, hasName := function["name"]
		switch {
		case n == p.calls[at]:
			p.calls[at]++
			if id, _ := call["id"].(string); id == "" || call["type"] != body || !isText(function["name"]) {
				p.fault("a call's first delta: %s", data)
			}
		case n > p.calls[at] || n < 0:
			p.fault("tool calls not numbered from 0: %s", data)
		case hasID || hasType || hasName:
			p.fault("id, type or name in a later delta: %s", data)
		}
	}
}

// The checker finds what it is there to find.
func TestProfileCheckerFindsFaults(t *testing.T) {
	head := `{"id":"a","object":"o","created":1,"model":"m","choices":[`
	good := head + `{"index":0,"delta":{"role":"assistant"},"logprobs":null,"finish_reason":null}]}`
	for name, stream := range map[string]string{
		"crlf":       "data: " + good + "\r\n\r\n",
		"no role":    "data: " + strings.Replace(good, `"role":"assistant"`, "", 1) + "\n\n",
		"twice":      "data: " + good + "\n\ndata: " + good + "\n\n",
		"gap":        "data: " + strings.Replace(good, `"index":0`, `"index":1`, 1) + "\n\n",
		"error":      "data: " + strings.Replace(good, `{"id"`, `{"error":null,"id"`, 1) + "\n\n",
		"nothing":    "data: " + head + "]}\n\n",
		"usage null": "data: " + strings.Replace(good, `{"id"`, `{"usage":null,"id"`, 1) + "\n\n",
		"finish":     "data: " + strings.Replace(good, `reason":null`, `reason":"eos"`, 1) + "\n\n",
	} {
		if profileFaults([]byte(stream), false, false) == nil {
			t.Errorf("%s passes", name)
		}
	}
}
