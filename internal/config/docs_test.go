package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	docsFile    = "../../docs/configuration.md"
	exampleFile = "../../osiris.example.yaml"
	tableBegin  = "<!-- settings: written by go test ./internal/config -update -->\n"
	tableEnd    = "<!-- end of settings -->\n"
)

// TestDocumentation holds that docs/configuration.md lists every setting as it is.
func TestDocumentation(t *testing.T) {
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the marks of the table", docsFile)
	}
	want := before + tableBegin + settingsTable() + tableEnd + after
	if *update {
		if err := os.WriteFile(docsFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Errorf("%s is not up to date: run go test ./internal/config -update", docsFile)
	}
}

func settingsTable() string {
	flags := map[string]string{
		"listen": "`--listen`", "admin_listen": "`--admin-listen`", "data_dir": "`--data-dir`", "namespace": "`--namespace`",
		"nats.url": "`--nats-url`", "nats.credentials": "`--nats-creds`", "nats.tls.ca": "`--nats-tls-ca`",
		"nats.tls.cert": "`--nats-tls-cert`", "nats.tls.key": "`--nats-tls-key`", "embedded.listen": "`--nats-listen`",
		"worker.pool": "`--pool`", "worker.slots": "`--slots`", "frontend.allow_anonymous": "`--allow-anonymous`",
		"log.level": "`--log-level`", "log.format": "`--log-format`",
	}
	var b strings.Builder
	b.WriteString("\n| Setting | Variable | Flag | Default | What it does |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range Settings() {
		help := strings.ReplaceAll(s.Help, "|", "\\|")
		if s.Restart {
			help += " *Restart.*"
		}
		value, variable := "", ""
		switch {
		case s.Required:
			value = "*required*"
		case s.Default != "":
			value = "`" + s.Default + "`"
		}
		if s.Variable != "" {
			variable = "`" + s.Variable + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Path, variable, flags[s.Path], value, help)
	}
	b.WriteString("\n")
	return b.String()
}

// TestExample holds that the example is what it says: every setting with its default,
// good as it is and with everything uncommented.
func TestExample(t *testing.T) {
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, s := range Settings() {
		name := regexp.MustCompile(`(\[\])?\.?(<name>)?$`).ReplaceAllString(s.Path, "")
		name = name[strings.LastIndexAny(name, ".>")+1:]
		if !regexp.MustCompile(`(?m)^[ #{-]*.*\b` + name + `:`).MatchString(text) {
			t.Errorf("%s does not name %s", exampleFile, s.Path)
		}
	}
	// Each commented setting at the top is at its default.
	top, sections, ok := strings.Cut(text, "\n#providers:")
	if !ok {
		t.Fatalf("%s lacks its commented providers", exampleFile)
	}
	uncommented := regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`).ReplaceAllString(top, "$1$2")
	cfg := load(t, uncommented)
	want := DefaultConfig()
	if got := cfg.String(); got != want.String() {
		t.Errorf("uncommented, the example is not the defaults:\n%s\nwant:\n%s", got, want)
	}
	sections = regexp.MustCompile(`(?m)^#(  |[a-z]+:)`).ReplaceAllString("#providers:"+sections, "$1")
	everything := regexp.MustCompile(`(?m)^( +)# ([a-z_]+: )`).ReplaceAllString(sections, "$1$2")
	all := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(all, []byte(uncommented+"\n"+everything), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"OPENAI_API_KEY=a", "ANTHROPIC_API_KEY=b", "AZURE_API_KEY=c"}
	for _, p := range []Program{All, FrontendOnly, WorkerOnly} {
		if _, err := Load(Options{File: exampleFile, Program: p}); err != nil {
			t.Errorf("the example, without any variable: %v", err)
		}
		cfg, err := Load(Options{File: all, Program: p, Environ: environ})
		if err != nil {
			t.Errorf("the example, uncommented: %v", err)
		} else if len(cfg.Providers) != 4 || len(cfg.Models) != 1 {
			t.Errorf("uncommented, the example has %d providers and %d models", len(cfg.Providers), len(cfg.Models))
		}
	}
}
