package protocol

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// mostMessage bounds the text of a model server's error.
const mostMessage = 8 << 10

// parseError reads the error that a model server reports in body, in any of the
// shapes that servers use: {"error":{…}}, {"error":"text"}, the flat
// {"object":"error",…} and {"message":…}, {"detail":…}, and any of them in an
// array. It returns nil if body reports none, or is no JSON.
//
// The error's Status is its own numeric code or status, else what its type and
// code suggest, else 502. Statuses 401 and 403 stay as they are: that a client
// must not see those of our key is the caller's business. Codes become strings,
// and a missing type follows from the status.
func parseError(body []byte) *Error {
	var doc any
	// The standard library's, since it takes duplicate names and bytes that are not UTF-8.
	if json.Unmarshal(body, &doc) != nil {
		return nil //nolint:nilerr // what is no JSON reports no error
	}
	if list, ok := doc.([]any); ok && len(list) > 0 {
		doc = list[0]
	}
	top, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	return normalError(top)
}

func normalError(top map[string]any) *Error {
	inner, nested := top["error"].(map[string]any)
	if !nested || len(inner) == 0 {
		if inner = innermost(top); inner == nil {
			return nil
		}
	}
	e := &Error{
		Message: firstText(inner, "message", "error", "detail", "msg"),
		Type:    firstText(inner, "type", "error_type"),
		Param:   firstText(inner, "param"),
		Code:    errorCode(inner["code"]),
	}
	if e.Message == "" {
		e.Message = firstText(top, "message", "detail")
	}
	if e.Message == "" {
		e.Message = "The model's server reported an error."
	}
	if len(e.Message) > mostMessage {
		e.Message = strings.ToValidUTF8(e.Message[:mostMessage], "") + "…"
	}
	e.Status = errorStatus(e, inner, top)
	if e.Type == "" || e.Type == "error" {
		e.Type = typeOf(e.Status)
	}
	return e
}

// innermost returns the object that describes the error where error is none;
// nil if nothing says that there is one.
func innermost(top map[string]any) map[string]any {
	if choices, ok := top["choices"].([]any); ok {
		for _, choice := range choices {
			ch, _ := choice.(map[string]any)
			if e, ok := ch["error"].(map[string]any); ok && len(e) > 0 {
				return e
			}
			if e := errorText(ch["error"]); e != "" {
				return map[string]any{"message": e}
			}
		}
	}
	if groq, ok := top["x_groq"].(map[string]any); ok && top["error"] == nil {
		if e := errorText(groq["error"]); e != "" {
			return map[string]any{"message": e}
		}
	}
	switch e := top["error"].(type) {
	case string:
		if e != "" {
			return map[string]any{"message": e, "type": firstText(top, "type", "error_type"), "code": top["code"]}
		}
	case []any:
		if len(e) > 0 {
			return map[string]any{"message": errorText(e)}
		}
	case float64:
		return map[string]any{"message": firstText(top, "message", "detail"), "code": e}
	case bool:
		if e {
			return top
		}
	}
	if _, answered := top["choices"]; answered && top["object"] != "error" {
		return nil
	}
	if top["object"] == "error" || firstText(top, "message", "detail") != "" {
		return top
	}
	return nil
}

// firstText returns the first of m's members by these names that says anything.
func firstText(m map[string]any, names ...string) string {
	for _, name := range names {
		if s := errorText(m[name]); s != "" {
			return s
		}
	}
	return ""
}

// errorText reads a string, or the messages of a list of faults as FastAPI sends it.
func errorText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		return firstText(v, "message", "msg", "detail")
	case []any:
		var all []string
		for _, item := range v {
			if s := errorText(item); s != "" {
				all = append(all, s)
			}
		}
		return strings.Join(all, "; ")
	}
	return ""
}

func errorCode(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

func errorStatus(e *Error, inner, top map[string]any) int {
	for _, v := range []any{inner["code"], inner["status"], inner["status_code"], top["code"], top["status"], top["status_code"]} {
		if n, err := strconv.Atoi(errorCode(v)); err == nil && n >= 400 && n <= 599 {
			return n
		}
	}
	said := strings.ToLower(e.Type + " " + e.Code)
	for _, known := range []struct {
		word   string
		status int
	}{
		{"rate_limit", http.StatusTooManyRequests}, {"insufficient_quota", http.StatusTooManyRequests},
		{"overloaded", http.StatusServiceUnavailable}, {"unavailable", http.StatusServiceUnavailable},
		{"timeout", http.StatusGatewayTimeout}, {"not_found", http.StatusNotFound}, {"notfound", http.StatusNotFound},
		{"invalid_request", http.StatusBadRequest}, {"badrequest", http.StatusBadRequest}, {"bad request", http.StatusBadRequest},
		{"content_filter", http.StatusBadRequest}, {"context_length", http.StatusBadRequest},
	} {
		if strings.Contains(said, known.word) {
			return known.status
		}
	}
	return http.StatusBadGateway
}

func typeOf(status int) string {
	switch {
	case status == http.StatusTooManyRequests:
		return TypeRequests
	case status == http.StatusServiceUnavailable:
		return TypeServiceUnavailable
	case status >= 400 && status < 500 && status != http.StatusUnauthorized && status != http.StatusForbidden:
		return TypeInvalidRequest
	}
	return TypeServer
}
