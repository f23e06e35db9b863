package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Details is what a server said about a failure; empty members were not said.
type Details struct {
	Message string
	Type    string
	Code    string // a number is written in digits
	Param   string
	Status  int // from a numeric code or status in the body, when it is an HTTP error status; else 0
}

// ParseError reads an error body or an error event's data in any shape seen so far:
// {"error":{…}}, {"error":"text"}, flat {"message":…}, {"detail":…}, a list of these,
// a JSON string, plain text. HTML and what else is not for people's eyes leaves
// Message empty. It never fails.
func ParseError(body []byte) Details {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	var d Details
	if len(body) > 0 && json.Valid(body) {
		d.read(body, 0)
	} else {
		d.Message = plainText(body)
	}
	return d
}

// read fills d from a JSON value. depth bounds how far an error may wrap another.
func (d *Details) read(value []byte, depth int) {
	if value = bytes.TrimSpace(value); len(value) == 0 || depth > 4 {
		return
	}
	switch value[0] {
	case '"':
		d.set(&d.Message, text(value))
	case '[':
		var list []json.RawMessage
		if json.Unmarshal(value, &list) == nil && len(list) > 0 {
			d.read(list[0], depth+1)
		}
	case '{':
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) == nil {
			d.readObject(object, depth)
		}
	}
}

func (d *Details) readObject(o map[string]json.RawMessage, depth int) {
	d.set(&d.Message, text(o["message"]))
	d.set(&d.Message, text(o["msg"])) // FastAPI's detail
	d.set(&d.Code, text(o["code"]))
	d.set(&d.Param, text(o["param"]))
	if t := text(o["type"]); t != "error" { // Anthropic's envelope
		d.set(&d.Type, t)
	}
	d.set(&d.Type, text(o["error_type"])) // TGI
	for _, name := range []string{"code", "status", "status_code"} {
		if n, err := strconv.Atoi(text(o[name])); err == nil && n >= 400 && n < 600 && d.Status == 0 {
			d.Status = n
		}
	}
	for _, name := range []string{"error", "message", "detail", "errors"} {
		d.read(o[name], depth+1)
	}
	d.readMetadata(o["metadata"])
}

// readMetadata finds what OpenRouter says of the server behind it.
func (d *Details) readMetadata(raw json.RawMessage) {
	var meta struct {
		Raw any `json:"raw"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &meta) != nil {
		return
	}
	if s, ok := meta.Raw.(string); ok && s != "" {
		d.Message = strings.TrimSpace(fmt.Sprintf("%s: %s", d.Message, clip(s)))
	}
}

// set fills a member that is still empty.
func (d *Details) set(member *string, s string) {
	if *member == "" {
		*member = clip(s)
	}
}

// text returns a JSON string's text or a number's digits, else "".
func text(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	}
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return string(raw)
	}
	return ""
}

// plainText returns a body that a person wrote, in one line; "" for HTML and bytes.
func plainText(body []byte) string {
	if len(body) == 0 || len(body) > 1024 || body[0] == '{' || body[0] == '[' || bytes.ContainsAny(body, "<\x00") {
		return ""
	}
	return clip(strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " "))
}

// clip bounds what a server can make a client read.
func clip(s string) string {
	const most = 4096
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
