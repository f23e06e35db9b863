package protocol

import "testing"

func TestAppendModelList(t *testing.T) {
	models := []Model{{ID: "openai/gpt \"x\"", Created: 1686935002, OwnedBy: "openai"}, {ID: "b"}}
	for n, want := range []string{
		`{"object":"list","data":[]}`,
		`{"object":"list","data":[{"id":"openai/gpt \"x\"","object":"model","created":1686935002,"owned_by":"openai"}]}`,
		`{"object":"list","data":[{"id":"openai/gpt \"x\"","object":"model","created":1686935002,"owned_by":"openai"},{"id":"b","object":"model","created":0,"owned_by":""}]}`,
	} {
		if got := string(AppendModelList([]byte("x"), models[:n])); got != "x"+want {
			t.Errorf("got %s\nwant x%s", got, want)
		}
	}
}
