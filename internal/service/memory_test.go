package service

import (
	"os"
	"path/filepath"
	"testing"
)

func TestContainerLimit(t *testing.T) {
	for name, c := range map[string]struct {
		own   string
		files map[string]string
		want  int64
	}{
		"no control groups":    {own: ""},
		"no limit":             {own: "0::/\n", files: map[string]string{"memory.max": "max\n"}},
		"container's own root": {own: "0::/\n", files: map[string]string{"memory.max": "1000\n"}, want: 1000},
		"the smallest counts": {own: "0::/a/b\n", want: 500, files: map[string]string{
			"a/memory.max": "500\n", "a/b/memory.max": "900\n", "memory.max": "max\n",
		}},
		"of version 1":     {own: "5:memory:/a\n", files: map[string]string{"a/memory.max": "500\n"}},
		"beyond the root":  {own: "0::/../..\n", files: map[string]string{"memory.max": "700\n"}, want: 700},
		"not a number":     {own: "0::/a\n", files: map[string]string{"a/memory.max": "many\n"}},
		"group not mapped": {own: "0::/gone/away\n", files: map[string]string{"memory.max": "800\n"}, want: 800},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range c.files {
				at := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := containerLimit(root, c.own); got != c.want {
				t.Errorf("limit is %d, want %d", got, c.want)
			}
		})
	}
}
