package anthropic

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/tools/txtar"

	"github.com/osiris/osiris/internal/provider"
	"github.com/osiris/osiris/pkg/protocol"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestMapRequest compares what is sent with golden files: "request" is the client's,
// "profile" (optional) the configured capability row, "body" or "error" the outcome.
func TestMapRequest(t *testing.T) {
	names, err := filepath.Glob("testdata/requests/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			req := requestOf(t, section(archive, "request"))
			if p := section(archive, "profile"); p != nil {
				if err := json.Unmarshal(p, &req.Profile); err != nil {
					t.Fatal(err)
				}
			}
			label, got := outcomeOf(t, req)
			if *update {
				writeGolden(t, name, archive, label, got)
				return
			}
			if want := section(archive, label); !bytes.Equal(got, want) {
				t.Errorf("%s:\n%s\nwant:\n%s", label, got, want)
			}
		})
	}
}

func requestOf(t testing.TB, data []byte) *provider.Request {
	t.Helper()
	chat, err := protocol.ParseRequest(bytes.TrimSpace(data))
	if err != nil {
		t.Fatalf("the client's request is not valid: %v", err)
	}
	return &provider.Request{Model: chat.Model, Chat: chat}
}

func outcomeOf(t *testing.T, req *provider.Request) (label string, got []byte) {
	t.Helper()
	before := bytes.Clone(req.Chat.Body)
	c, err := mapRequest(req)
	if !bytes.Equal(before, req.Chat.Body) {
		t.Error("the client's request was modified")
	}
	if err != nil {
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || !e.Fallback || e.Retry {
			t.Fatalf("error is %#v, want a *provider.Error that allows a fallback", err)
		}
		return "error", fmt.Appendf(nil, "%d %s: %s\n", e.Public.Status, e.Public.Param, e.Public.Message)
	}
	v := jsontext.Value(c.body)
	if err := v.Indent(); err != nil {
		t.Fatalf("what is sent is not JSON: %v", err)
	}
	return "body", append(v, '\n')
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func writeGolden(t *testing.T, path string, a *txtar.Archive, label string, data []byte) {
	t.Helper()
	kept := a.Files[:0]
	for _, f := range a.Files {
		if f.Name != "body" && f.Name != "error" {
			kept = append(kept, f)
		}
	}
	a.Files = append(kept, txtar.File{Name: label, Data: data})
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
