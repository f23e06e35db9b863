package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files")

// TestFaults holds that every fault is reported, with its line.
func TestFaults(t *testing.T) {
	const golden = "testdata/faults.txtar"
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	out := &txtar.Archive{Comment: archive.Comment}
	for i, f := range archive.Files {
		if !strings.HasSuffix(f.Name, ".yaml") {
			continue
		}
		got := faultsOf(t, f)
		out.Files = append(out.Files, f, txtar.File{Name: f.Name + " faults", Data: []byte(got)})
		if *update {
			continue
		}
		if i+1 == len(archive.Files) || archive.Files[i+1].Name != f.Name+" faults" {
			t.Fatalf("%s has no faults section: run with -update and read it", f.Name)
		}
		if want := string(archive.Files[i+1].Data); got != want {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", f.Name, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func faultsOf(t *testing.T, f txtar.File) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, f.Name)
	if err := os.WriteFile(file, f.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Options{File: file, Environ: []string{"SET_KEY=set"}})
	if err == nil {
		t.Fatalf("%s was accepted", f.Name)
	}
	if _, ok := err.(Faults); !ok {
		t.Fatalf("%s: error is a %T", f.Name, err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: a fault prints a password: %v", f.Name, err)
	}
	return strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "") + "\n"
}

func TestMissingFile(t *testing.T) {
	_, err := Load(Options{File: filepath.Join(t.TempDir(), "osiris.yaml")})
	if err == nil || !strings.Contains(err.Error(), "cannot be read: no such file") {
		t.Errorf("error %v", err)
	}
}

// TestMergeBomb holds that merge keys that lead to themselves end.
func TestMergeBomb(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	if err := os.WriteFile(file, []byte("providers: &a\n  <<: *a\n  <<: *a\n  <<: *a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(Options{File: file}); err != nil {
		t.Log(err)
	}
}

// FuzzLoad holds that no file makes Load panic, and that it never returns both or
// neither of a configuration and faults.
func FuzzLoad(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/faults.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(file.Data)
	}
	example, err := os.ReadFile("../../osiris.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("a: &a {<<: *a}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(Options{File: file})
		if (cfg == nil) == (err == nil) {
			t.Errorf("configuration %v with error %v", cfg != nil, err)
		}
	})
}
