//go:build !windows

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Results go where --output leads: a link stays a link, a pipe or a device is written
// to, and nothing is replaced that has something else in it.
func TestBatchOutput(t *testing.T) {
	r := startRig(t)
	file := writeFile(t, "questions.jsonl", requests(2, ""))
	dir := filepath.Dir(file)
	at := func(name string) string { return filepath.Join(dir, name) }
	got := r.command(t, r.url, "", "batch", "submit", "-w", file)
	id := batchPattern.FindString(got.stderr)
	if got.code != 0 || id == "" {
		t.Fatalf("%+v", got)
	}
	results := func(output string) told { return r.command(t, r.url, "", "batch", "results", "-o", output, id) }

	if err := os.WriteFile(at("real.jsonl"), []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link.jsonl": at("real.jsonl"), "dangling.jsonl": "new.jsonl"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
		if got := results(at(link)); got.code != 0 || strings.Contains(got.stderr, "replaced") != (link == "link.jsonl") {
			t.Errorf("%s: %+v", link, got)
		}
		if to, err := os.Readlink(at(link)); err != nil || len(answers(t, readFile(t, at(link)))) != 2 {
			t.Errorf("%s leads to %s: %v", link, to, err)
		}
	}
	if info, err := os.Stat(at("real.jsonl")); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan string)
	go func() {
		text, err := os.ReadFile(at("pipe"))
		if err != nil {
			t.Error(err)
		}
		read <- string(text)
	}()
	if got := results(at("pipe")); got.code != 0 || len(answers(t, <-read)) != 2 {
		t.Errorf("pipe: %+v", got)
	}
	if got := results(dir); got.code != exitUsage || !strings.Contains(got.stderr, dir+" is a directory") {
		t.Errorf("directory: %+v", got)
	}
	if err := os.Link(file, at("same.jsonl")); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{file, at("same.jsonl")} {
		if got := r.command(t, r.url, "", "batch", "submit", "-w", "-o", output, file); got.code != exitUsage || !strings.Contains(got.stderr, "has the requests") {
			t.Errorf("%s: %+v", output, got)
		}
	}
	if left, _ := filepath.Glob(at("*.part")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
