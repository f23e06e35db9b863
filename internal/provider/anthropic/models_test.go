package anthropic

import (
	"io"
	"net/http"
	"testing"

	"github.com/osiris/osiris/internal/provider"
)

func TestModelsWalksPages(t *testing.T) {
	pages := map[string]string{
		"":         `{"data":[{"type":"model","id":"claude-a","display_name":"A","created_at":"2025-02-19T00:00:00Z"}],"has_more":true,"first_id":"claude-a","last_id":"claude-a"}`,
		"claude-a": `{"data":[{"type":"model","id":"claude-b","created_at":"1970-01-01T00:00:00Z"},{"id":"other","created":5,"owned_by":"them"}],"has_more":false,"last_id":"other"}`,
	}
	p := overHTTP(t, Config{Key: key}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" || r.Header.Get("x-api-key") != key || r.Method != http.MethodGet {
			t.Errorf("called %s %s", r.Method, r.URL)
		}
		_, _ = io.WriteString(w, pages[r.URL.Query().Get("after_id")])
	})
	got, err := p.Models(t.Context())
	want := []provider.Model{
		{ID: "claude-a", Created: 1739923200, OwnedBy: "anthropic"},
		{ID: "claude-b", OwnedBy: "anthropic"},
		{ID: "other", Created: 5, OwnedBy: "them"},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("models %v, error %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("model %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestModelsEndsThoughThereIsAlwaysMore(t *testing.T) {
	calls := 0
	p := overHTTP(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		calls++
		_, _ = io.WriteString(w, `{"data":[{"id":"x"}],"has_more":true,"last_id":"`+r.URL.Query().Get("after_id")+`+"}`)
	})
	if _, err := p.Models(t.Context()); err != nil || calls != maxPages {
		t.Errorf("%d calls, error %v", calls, err)
	}
}

func TestModelsRefusesWhatIsNoList(t *testing.T) {
	for _, body := range []string{``, `null`, `{}`, `[]`, `<html>`, `{"data":{}}`} {
		p := overHTTP(t, Config{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if models, err := p.Models(t.Context()); err == nil {
			t.Errorf("%q became %v", body, models)
		}
	}
}
