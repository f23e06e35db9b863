package frontend

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osiris/osiris/pkg/jobs"
)

func (r *rig) key(spec jobs.KeySpec) string {
	r.t.Helper()
	_, secret, err := r.conn.CreateKey(r.t.Context(), spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return secret
}

func (r *rig) models(m ...jobs.Model) {
	r.t.Helper()
	if err := r.conn.PublishModels(r.t.Context(), jobs.PoolModels{Pool: "default", Models: m}); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "the catalogue is there", func() bool {
		return !slices.ContainsFunc(m, func(m jobs.Model) bool { _, ok := r.catalogue.Pool(m.ID); return !ok })
	})
}

// Keys are asked for in OpenAI's words, and before anything else.
func TestKeys(t *testing.T) {
	r := start(t, Config{}, speak)
	good := r.key(jobs.KeySpec{Name: "good", Tenant: "acme"})
	bound := r.key(jobs.KeySpec{Name: "bound", Tenant: "acme", Models: []string{"other"}})
	late := r.key(jobs.KeySpec{Name: "late", Tenant: "acme", Expires: time.Now().Add(time.Hour)})
	revoked := r.key(jobs.KeySpec{Name: "revoked", Tenant: "acme"})
	eventually(t, "the keys are known", func() bool { _, err := r.keys.Authenticate([]byte(revoked)); return err == nil })
	if _, err := r.conn.RevokeKey(t.Context(), "revoked"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the revocation is known", func() bool { _, err := r.keys.Authenticate([]byte(revoked)); return err != nil })
	for name, tc := range map[string]struct {
		header, value string
		status        int
		code          string
	}{
		"none":           {"X-Other", "", 401, ""},
		"no scheme":      {"Authorization", good, 401, ""},
		"empty":          {"Authorization", "Bearer ", 401, ""},
		"unknown":        {"Authorization", "Bearer sk-osiris-nobody-has-this-key", 401, "invalid_api_key"},
		"revoked":        {"Authorization", "Bearer " + revoked, 401, "invalid_api_key"},
		"other models":   {"Authorization", "Bearer " + bound, 404, "model_not_found"},
		"good":           {"Authorization", "Bearer " + good, 200, ""},
		"odd case":       {"Authorization", "bEARER   " + good + "  ", 200, ""},
		"will expire":    {"Authorization", "Bearer " + late, 200, ""},
		"basic":          {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(":"+good)), 200, ""},
		"broken basic":   {"Authorization", "Basic !!", 401, ""},
		"anthropic's":    {"X-Api-Key", good, 200, ""},
		"anthropic's no": {"X-Api-Key", "sk-osiris-nobody-has-this-key", 401, "invalid_api_key"},
	} {
		t.Run(name, func(t *testing.T) {
			resp, body := r.post(plainRequest, tc.header, tc.value)
			if tc.status == 200 {
				if resp.StatusCode != 200 {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				return
			}
			message := wantError(t, resp, body, tc.status, invalid, tc.code)
			if strings.Contains(message, revoked) || tc.status == 401 && tc.code == "" && !strings.HasPrefix(message, "You didn't provide an API key.") {
				t.Errorf("message %q", message)
			}
		})
	}
	if resp, body := r.post("not json"); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("JSON was looked at before the key: %d %s", resp.StatusCode, body)
	}
	for _, secret := range []string{good, bound, revoked} {
		if strings.Contains(r.log.String(), secret) {
			t.Error("a key is in the log")
		}
	}
}

// Without keys an open frontend takes any key; once there are some it checks.
func TestAnonymous(t *testing.T) {
	r := start(t, anyone(), speak)
	if resp, body := r.post(plainRequest, "Authorization", "Bearer whatever"); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	r.key(jobs.KeySpec{Name: "one", Tenant: "acme"})
	eventually(t, "the key is known", func() bool { return !r.keys.Empty() })
	resp, body := r.post(plainRequest, "Authorization", "Bearer sk-osiris-nobody-has-this-key")
	wantError(t, resp, body, 401, invalid, "invalid_api_key")
	if resp, body := r.post(plainRequest); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

func TestModels(t *testing.T) {
	r := start(t, Config{}, speak)
	bearer := []string{"Authorization", "Bearer " + r.key(jobs.KeySpec{Name: "k", Tenant: "acme", Models: []string{"b/c", "a", "secret"}})}
	eventually(t, "the key is known", func() bool { return !r.keys.Empty() })
	r.models(jobs.Model{ID: "hidden", OwnedBy: "x", Created: 3}, jobs.Model{ID: "b/c", OwnedBy: "x", Created: 1}, jobs.Model{ID: "a", Created: 2}, jobs.Model{ID: "secret", Hidden: true})
	const a, bc = `{"id":"a","object":"model","created":2,"owned_by":"osiris"}`, `{"id":"b/c","object":"model","created":1,"owned_by":"x"}`
	list := `{"object":"list","data":[` + a + `,` + bc + `]}`
	for path, want := range map[string]string{
		"/v1/models": list, "/v1/models/": list, "/v1/v1/models": list, "/v1/models?limit=1": list,
		"/v1/models/b/c": bc, "/v1/models/b%2Fc": bc, "/v1/models/a/": a, "/v1/v1/v1/models/a": a,
		"/v1/models/secret": `{"id":"secret","object":"model","created":0,"owned_by":"osiris"}`, // served, and not listed
	} {
		resp, body := r.do(http.MethodGet, path, "", bearer...)
		if resp.StatusCode != 200 || string(body) != want || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for _, path := range []string{"/v1/models/hidden", "/v1/models/none", "/v1/models/b"} {
		resp, body := r.do(http.MethodGet, path, "", bearer...)
		wantError(t, resp, body, 404, invalid, "model_not_found")
	}
	resp, body := r.do(http.MethodGet, "/v1/models", "")
	wantError(t, resp, body, 401, invalid, "")
	resp, body = r.post(strings.Replace(plainRequest, "echo", "none", 1), bearer...)
	wantError(t, resp, body, 404, invalid, "model_not_found")
	resp, body = r.do(http.MethodGet, "/v1/models", "", append(bearer, "Anthropic-Version", "2023-06-01")...)
	want := `{"data":[{"type":"model","id":"a","display_name":"a","created_at":"1970-01-01T00:00:02Z"},` +
		`{"type":"model","id":"b/c","display_name":"b/c","created_at":"1970-01-01T00:00:01Z"}],"has_more":false,"first_id":"a","last_id":"b/c"}`
	if string(body) != want || resp.Header.Get("Request-Id") == "" {
		t.Errorf("%s", body)
	}
}

// Before any worker ever came a request waits for the first one.
func TestFrontendFirst(t *testing.T) {
	r := start(t, anyone(), nil)
	waiting := r.ask(plainRequest)
	eventually(t, "the job is queued", func() bool { return r.client.Active() == 1 })
	r.work(speak)
	if got := <-waiting; got.err != nil || got.body != answer {
		t.Errorf("%v %q", got.err, got.body)
	}
}

func TestCORS(t *testing.T) {
	r := start(t, Config{}, nil)
	for _, path := range []string{"/v1/chat/completions", "/v1/models/x", "/nothing"} {
		resp, _ := r.do(http.MethodOptions, path, "", "Origin", "https://app.example",
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-stainless-os")
		if resp.StatusCode != http.StatusNoContent {
			t.Errorf("status %d", resp.StatusCode)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
			"Access-Control-Allow-Headers": "authorization,x-stainless-os", "Access-Control-Max-Age": "600",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}

// People open the base URL to see whether anybody is there, and paste it twice.
func TestForgivingPaths(t *testing.T) {
	r := start(t, anyone(), speak)
	for _, path := range []string{"/", "/v1", "/v1/", ""} {
		if resp, body := r.do(http.MethodGet, path, ""); resp.StatusCode != 200 || !strings.Contains(string(body), "osiris") {
			t.Errorf("GET %q: %d %s", path, resp.StatusCode, body)
		}
		if resp, body := r.do(http.MethodHead, path, ""); resp.StatusCode != 200 || len(body) > 0 {
			t.Errorf("HEAD %q: %d %s", path, resp.StatusCode, body)
		}
	}
	for _, path := range []string{"/v1/chat/completions/", "/v1/v1/chat/completions", "/v1/chat/completions?x=y"} {
		if resp, body := r.do(http.MethodPost, path, plainRequest); resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}
