package config

import (
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Setting describes one setting, for documentation and for overrides.
type Setting struct {
	Path     string // in the file; <name> stands for a name, [] for a list's element
	Variable string // its environment variable; "" if it has none
	Default  string
	Help     string
	Restart  bool // a change waits for a restart
	Required bool
}

// Settings lists every setting in the order of Config.
func Settings() []Setting {
	var all []Setting
	walkType(reflect.TypeFor[Config](), "", false, func(path string, f reflect.StructField, restart bool) {
		s := Setting{
			Path: path, Default: f.Tag.Get("default"), Help: f.Tag.Get("help"),
			Restart: restart, Required: f.Tag.Get("required") != "",
		}
		if !strings.Contains(path, "[]") && isScalar(f.Type) {
			s.Variable = variableOf(path)
		}
		all = append(all, s)
	})
	return all
}

// walkType visits each leaf below t: scalars, and maps and lists of scalars.
func walkType(t reflect.Type, path string, restart bool, visit func(string, reflect.StructField, bool)) {
	for f := range t.Fields() {
		name := f.Tag.Get("yaml")
		if name == "-" {
			continue
		}
		at, restart := join(path, name), restart || f.Tag.Get("restart") != ""
		switch {
		case f.Type.Kind() == reflect.Struct:
			walkType(f.Type, at, restart, visit)
		case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			walkType(f.Type.Elem(), at+".<name>", restart, visit)
		case f.Type.Kind() == reflect.Slice:
			walkType(f.Type.Elem(), at+"[]", restart, visit)
		default:
			visit(at, f, restart)
		}
	}
}

func isScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64:
		return true
	}
	return false
}

// setDefaults fills v, a struct, from its default tags; maps and lists stay empty.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type.Kind() == reflect.Struct {
			setDefaults(v.Field(i))
			continue
		}
		if text := f.Tag.Get("default"); text != "" {
			if value, p := parseScalar(f.Type, text); p == nil { // TestDefaults holds that it is
				v.Field(i).Set(value)
			}
		}
	}
}

// fieldNamed finds the field of a struct by its name in the file.
func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag == name && tag != "-" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func fieldNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag != "-" {
			names = append(names, tag)
		}
	}
	return names
}

func join(path, name string) string {
	if !strings.HasPrefix(name, "<") && !plainKey(name) {
		name = `"` + name + `"`
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func plainKey(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	})
}

// variableOf is the environment variable of a setting: OSIRIS_ and its path.
func variableOf(path string) string {
	clean := regexp.MustCompile(`[^A-Za-z0-9<>]+`).ReplaceAllString(path, "_")
	parts := strings.Split(clean, "<name>")
	for i, p := range parts {
		parts[i] = strings.ToUpper(p)
	}
	return "OSIRIS_" + strings.Trim(strings.Join(parts, "<NAME>"), "_")
}

// formatDuration drops the zero units that time.Duration prints: 5m, not 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
