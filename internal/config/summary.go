package config

import (
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// line is one effective setting.
type line struct{ path, value string }

// String lists the effective settings as path: value lines, secrets redacted, and
// what is unset left out.
func (c *Config) String() string {
	var b strings.Builder
	for _, l := range c.lines(false) {
		fmt.Fprintf(&b, "%s: %s\n", l.path, l.value)
	}
	return b.String()
}

// LogValue implements slog.LogValuer: a configuration in a log line is a word.
func (c *Config) LogValue() slog.Value { return slog.StringValue("configuration " + c.File) }

// NeedRestart names the settings that differ between c and next and take effect
// only when the program starts again.
func (c *Config) NeedRestart(next *Config) []string {
	restart := map[string]bool{}
	for _, s := range Settings() {
		restart[s.Path] = s.Restart
	}
	before := map[string]string{}
	for _, l := range c.lines(true) {
		before[l.path] = l.value
	}
	var changed []string
	for _, l := range next.lines(true) {
		if restart[l.path] && before[l.path] != l.value {
			changed = append(changed, l.path)
		}
	}
	return changed
}

// lines flattens c; revealed ones are for comparison only and hold every setting.
func (c *Config) lines(reveal bool) []line {
	var all []line
	flatten(reflect.ValueOf(c).Elem(), "", reveal, &all)
	return all
}

func flatten(v reflect.Value, path string, reveal bool, out *[]line) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("yaml"); name != "-" {
				flatten(v.Field(i), join(path, name), reveal, out)
			}
		}
	case reflect.Map:
		keys := slices.SortedFunc(maps.Keys(stringKeys(v)), strings.Compare)
		for _, key := range keys {
			flatten(v.MapIndex(reflect.ValueOf(key)), join(path, key), reveal, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			flatten(v.Index(i), fmt.Sprintf("%s[%d]", path, i), reveal, out)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			flatten(v.Elem(), path, reveal, out)
		}
	default:
		if text := printed(v, reveal); reveal || text != "" {
			*out = append(*out, line{path, text})
		}
	}
}

func stringKeys(v reflect.Value) map[string]struct{} {
	m := make(map[string]struct{}, v.Len())
	for _, k := range v.MapKeys() {
		m[k.String()] = struct{}{}
	}
	return m
}

func printed(v reflect.Value, reveal bool) string {
	if reveal && v.Kind() == reflect.String {
		return v.String()
	}
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		return formatDuration(d)
	}
	return fmt.Sprint(v.Interface())
}
