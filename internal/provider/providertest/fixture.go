package providertest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"bufio"

	"golang.org/x/tools/txtar"
)

// Fixture is one txtar file. Its sections:
//
//	request           the client's request, JSON
//	options           "name: value" lines for New; "model" is the server's name for it
//	streaming         the server's response when it is called streaming, or
//	plain             when it is called for one answer; a file may have both
//	streaming.sent    expected: the request that the server got
//	streaming.events  expected: the events, then "end" or the error
//	plain.sent, plain.events
//
// A response is a status, headers, an empty line and a body. Its pseudo-header
// Fixture shapes the body: crlf or cr (line ends), trim=N (drop the last N bytes),
// bom, gzip.
type Fixture struct {
	Name     string
	Request  []byte
	Options  map[string]string
	Calls    []FixtureCall
	path     string
	archive  *txtar.Archive
	expected map[string]string
}

// FixtureCall is a response and what it must become.
type FixtureCall struct {
	Name   string // "streaming" or "plain"
	Status int
	Header http.Header
	Body   []byte
}

// readFixtures reads a folder's fixtures; none is a failure.
func readFixtures(t *testing.T, folder string) []*Fixture {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures in %s (%v)", folder, err)
	}
	fixtures := make([]*Fixture, len(paths))
	for i, path := range paths {
		f, err := readFixture(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		fixtures[i] = f
	}
	return fixtures
}

func readFixture(path string) (*Fixture, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	f := &Fixture{
		Name:     strings.TrimSuffix(filepath.Base(path), ".txtar"),
		Options:  map[string]string{},
		path:     path,
		archive:  archive,
		expected: map[string]string{},
	}
	for _, section := range archive.Files {
		switch section.Name {
		case "request":
			f.Request = bytes.TrimSpace(section.Data)
		case "options":
			for line := range strings.Lines(string(section.Data)) {
				name, value, _ := strings.Cut(line, ":")
				f.Options[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		case "streaming", "plain":
			call, err := readResponse(section.Name, section.Data)
			if err != nil {
				return nil, err
			}
			f.Calls = append(f.Calls, call)
		case "streaming.sent", "streaming.events", "plain.sent", "plain.events":
			f.expected[section.Name] = string(section.Data)
		default:
			return nil, fmt.Errorf("unknown section %q", section.Name)
		}
	}
	if f.Request == nil || f.Calls == nil {
		return nil, errors.New("request or response is missing")
	}
	return f, nil
}

func readResponse(name string, data []byte) (FixtureCall, error) {
	call := FixtureCall{Name: name}
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(data)))
	line, err := r.ReadLine()
	if err != nil {
		return call, fmt.Errorf("%s: %w", name, err)
	}
	if call.Status, err = strconv.Atoi(line); err != nil {
		return call, fmt.Errorf("%s: status: %w", name, err)
	}
	header, err := r.ReadMIMEHeader()
	if err != nil {
		return call, fmt.Errorf("%s: header: %w", name, err)
	}
	call.Header = http.Header(header)
	_, body, _ := bytes.Cut(data, []byte("\n\n"))
	call.Body, err = shape(body, call.Header.Get("Fixture"))
	if strings.Contains(call.Header.Get("Fixture"), "gzip") {
		call.Header.Set("Content-Encoding", "gzip")
	}
	call.Header.Del("Fixture")
	return call, err
}

// shape does to a body what the pseudo-header asks for, in its order.
func shape(body []byte, wishes string) ([]byte, error) {
	for wish := range strings.FieldsFuncSeq(wishes, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, value, _ := strings.Cut(wish, "=")
		switch name {
		case "crlf":
			body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))
		case "cr":
			body = bytes.ReplaceAll(body, []byte("\n"), []byte("\r"))
		case "bom":
			body = append([]byte("\xef\xbb\xbf"), body...)
		case "trim":
			n, err := strconv.Atoi(value)
			if err != nil || n > len(body) {
				return nil, fmt.Errorf("trim=%s", value)
			}
			body = body[:len(body)-n]
		case "gzip":
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, _ = w.Write(body) // to memory
			_ = w.Close()
			body = b.Bytes()
		default:
			return nil, fmt.Errorf("unknown shape %q", wish)
		}
	}
	return body, nil
}

// expect compares got with a section, or replaces the section when updating.
func (f *Fixture) expect(t *testing.T, update bool, section, got string) {
	t.Helper()
	if !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	if !update {
		if want := f.expected[section]; got != want {
			t.Errorf("%s: %s differs\n--- got\n%s--- want\n%s", f.path, section, got, want)
		}
		return
	}
	for i := range f.archive.Files {
		if f.archive.Files[i].Name == section {
			f.archive.Files[i].Data = []byte(got)
			f.write(t)
			return
		}
	}
	f.archive.Files = append(f.archive.Files, txtar.File{Name: section, Data: []byte(got)})
	f.write(t)
}

func (f *Fixture) write(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(f.path, txtar.Format(f.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}
